//! Conversations of Responses that are kept: what is put together, and what of an answer is kept.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use turnpike_llm::{
    conversation::{self, Page, Turn},
    request::Request,
};

fn request(body: &Value) -> Request {
    Request::scan(Bytes::from(body.to_string())).unwrap()
}

fn user(text: &str) -> Value {
    json!({"type": "message", "role": "user", "content": text})
}

fn assistant(text: &str) -> Value {
    json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]})
}

/// What was kept of a request and its answer.
fn turn(asked: &Value, output: &Value) -> Turn {
    Turn {
        input: conversation::input(&request(asked)),
        response: json!({"id": "resp_1", "output": output}).to_string(),
    }
}

fn resumed(body: &Value, turns: &[Turn]) -> Value {
    serde_json::from_slice(conversation::resumed(&request(body), turns).unwrap().bytes()).unwrap()
}

#[test]
fn earlier_turns_stand_before_the_request_s_own_items() {
    let call = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"});
    let turns = [
        turn(&json!({"model": "m", "input": "One \"ü\""}), &json!([assistant("Two")])),
        turn(&json!({"model": "m", "input": [user("Three"), user("Four")]}), &json!([call])),
        turn(&json!({"model": "m", "input": []}), &json!([])),
    ];
    let result = json!({"type": "function_call_output", "call_id": "c", "output": "done"});
    let body = json!({"model": "m", "previous_response_id": "resp_1", "input": [result], "tools": [], "own": 1});
    let all = json!([user("One \"ü\""), assistant("Two"), user("Three"), user("Four"), call, result]);
    assert_eq!(resumed(&body, &turns), json!({"model": "m", "input": all, "tools": [], "own": 1}));
    let alone = json!({"model": "m", "previous_response_id": "resp_1"});
    assert_eq!(resumed(&alone, &turns[..1]), json!({"model": "m", "input": [user("One \"ü\""), assistant("Two")]}));
}

#[test]
fn what_a_client_says_of_storing_is_read() {
    let said = |body: Value| {
        let request = request(&body);
        (conversation::previous(&request).map(std::borrow::Cow::into_owned), conversation::wants_kept(&request))
    };
    assert_eq!(said(json!({"input": "hi"})), (None, true));
    assert_eq!(said(json!({"previous_response_id": null, "store": null})), (None, true));
    assert_eq!(said(json!({"previous_response_id": "resp_\u{e9}", "store": false})), (Some("resp_é".into()), false));
}

#[test]
fn an_answer_is_kept_whole_with_what_it_goes_on_from() {
    let body = json!({"id": "resp_2", "previous_response_id": null, "status": "completed", "output": [], "new": 1.50});
    let kept = conversation::finished(&Bytes::from(body.to_string()), false, None).unwrap();
    assert_eq!((kept.id.as_str(), kept.object), ("resp_2", body.to_string()));
    let kept = conversation::finished(&Bytes::from(body.to_string()), false, Some("resp_1")).unwrap();
    let object: Value = serde_json::from_str(&kept.object).unwrap();
    assert_eq!((&object["previous_response_id"], &object["new"]), (&json!("resp_1"), &json!(1.5)));
    for other in [json!({"id": "resp_2", "status": "failed"}), json!({"id": "", "status": "completed"}), json!([])] {
        assert_eq!(conversation::finished(&Bytes::from(other.to_string()), false, None), None, "{other}");
    }
}

/// A stream as clients get it, and its last object.
fn events(last: &str) -> (Bytes, Value) {
    let object = |status: &str| json!({"id": "resp_2", "status": status, "output": []});
    let created = json!({"type": "response.created", "response": object("in_progress")});
    let delta = json!({"type": "response.output_text.delta", "delta": "response.completed"});
    let end = json!({"type": format!("response.{last}"), "response": object(last)});
    let text: String = [created, delta, end]
        .map(|event| format!(": a comment\nevent: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()))
        .concat();
    (Bytes::from(text), object(last))
}

#[test]
fn a_stream_is_kept_by_its_last_event() {
    for last in ["completed", "incomplete"] {
        let (stream, object) = events(last);
        assert_eq!(conversation::finished(&stream, true, None).unwrap().object, object.to_string());
    }
    assert_eq!(conversation::finished(&events("failed").0, true, None), None);
    // All but the last byte of the last event.
    let (stream, _) = events("completed");
    for cut in 0..stream.len() - 3 {
        assert_eq!(conversation::finished(&stream.slice(..cut), true, None), None, "cut at {cut}");
    }
}

proptest! {
    #[test]
    fn anything_kept_can_be_gone_on_from(text in ".*", input in "\\PC*") {
        let kept = Turn { input: text, response: input };
        let body = json!({"model": "m", "input": "hi", "previous_response_id": "resp_1"});
        if let Ok(request) = conversation::resumed(&request(&body), &[kept]) {
            prop_assert!(request.member("input").is_some());
        }
    }
}

#[test]
fn what_was_asked_is_listed_page_by_page() {
    let result = json!({"type": "function_call_output", "call_id": "c", "output": "rain"});
    let call = json!({"type": "function_call", "id": "fc_up", "call_id": "c", "name": "f", "arguments": "{}"});
    let turns = [
        turn(&json!({"model": "m", "input": "One \"\u{fc}\""}), &json!([call])),
        Turn {
            response: json!({"id": "resp_2", "output": [assistant("unseen")]}).to_string(),
            ..turn(&json!({"input": [result, user("Two")]}), &json!([]))
        },
    ];
    let list = |after: Option<&str>, limit, is_newest_first| -> Option<Value> {
        let page = Page { after: after.map(str::to_owned), limit, is_newest_first };
        conversation::listed(&turns, &page).map(|list| serde_json::from_slice(&list).unwrap())
    };
    let said = |id: &str, text: &str| {
        let content = json!([{"type": "input_text", "text": text}]);
        json!({"type": "message", "role": "user", "content": content, "status": "completed", "id": id})
    };
    let mut with_id = result.clone();
    with_id["id"] = json!("fco_in_2_0");
    let all = json!([said("msg_in_1_0", "One \"\u{fc}\""), call, with_id, said("msg_in_2_1", "Two")]);
    let expected =
        json!({"object": "list", "data": all, "first_id": "msg_in_1_0", "last_id": "msg_in_2_1", "has_more": false});
    assert_eq!(list(None, 20, false).unwrap(), expected);
    let newest = list(None, 3, true).unwrap();
    assert_eq!(
        (&newest["first_id"], &newest["last_id"], &newest["has_more"]),
        (&json!("msg_in_2_1"), &json!("fc_up"), &json!(true))
    );
    let rest = list(Some("fc_up"), 3, true).unwrap();
    assert_eq!((&rest["data"], &rest["has_more"]), (&json!([all[0]]), &json!(false)));
    let none = list(Some("msg_in_1_0"), 3, true).unwrap();
    assert_eq!((&none["data"], &none["first_id"]), (&json!([]), &Value::Null));
    assert_eq!(list(Some("unknown"), 3, true), None);
}

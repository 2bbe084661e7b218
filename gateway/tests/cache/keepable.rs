//! Which answers may be given again.

use bytes::Bytes;
use serde_json::{Value, json};
use turnpike_gateway::cache::keepable::{
    Allowed,
    Unfit::{self, Capped, Filtered, Incomplete, ToolCalls},
    check,
};
use turnpike_llm::provider::Operation;

fn whole(operation: Operation, body: &Value) -> Result<(), Unfit> {
    check(operation, false, &Bytes::from(body.to_string()), Allowed::default())
}

fn chat(finish: &Value, message: &Value) -> Value {
    json!({"id": "1", "choices": [{"index": 0, "finish_reason": finish, "message": message}]})
}

#[test]
fn chats() {
    let text = json!({"role": "assistant", "content": "Hi", "tool_calls": null, "refusal": null});
    let called = json!({"role": "assistant", "content": null, "tool_calls": [{"id": "c"}]});
    let of = |finish: Value, message: &Value| whole(Operation::Chat, &chat(&finish, message));
    assert_eq!(of(json!("stop"), &text), Ok(()));
    assert_eq!(of(json!("length"), &text), Ok(()));
    assert_eq!(of(json!(null), &text), Err(Incomplete));
    assert_eq!(of(json!("tool_calls"), &called), Err(ToolCalls));
    assert_eq!(of(json!("stop"), &called), Err(ToolCalls));
    assert_eq!(of(json!("stop"), &json!({"function_call": {"name": "f"}})), Err(ToolCalls));
    assert_eq!(of(json!("content_filter"), &text), Err(Filtered));
    assert_eq!(of(json!("stop"), &json!({"content": null, "refusal": "No."})), Err(Filtered));
    assert_eq!(whole(Operation::Chat, &json!({"choices": []})), Err(Incomplete));
    assert_eq!(whole(Operation::Chat, &json!({"error": {"message": "no"}, "choices": []})), Err(Incomplete));
    assert_eq!(
        check(Operation::Chat, false, &Bytes::from_static(b"{\"choices\""), Allowed::default()),
        Err(Incomplete)
    );
}

#[test]
fn tools_and_limits_as_they_are_allowed() {
    let called = Bytes::from(chat(&json!("tool_calls"), &json!({"tool_calls": [{"id": "c"}]})).to_string());
    let allowed = Allowed { tool_calls: true, is_capped: false };
    assert_eq!(check(Operation::Chat, false, &called, allowed), Ok(()));
    let cut = Bytes::from(chat(&json!("length"), &json!({"content": "Hi"})).to_string());
    let capped = Allowed { tool_calls: false, is_capped: true };
    assert_eq!(check(Operation::Chat, false, &cut, capped), Err(Capped));
    let short = Bytes::from(chat(&json!("stop"), &json!({"content": "Hi"})).to_string());
    assert_eq!(check(Operation::Chat, false, &short, capped), Ok(()));
}

#[test]
fn other_dialects() {
    let message = |reason: Value, block: &str| json!({"content": [{"type": block}], "stop_reason": reason});
    let of = |reason: Value, block: &str| whole(Operation::Messages, &message(reason, block));
    assert_eq!(of(json!("end_turn"), "text"), Ok(()));
    assert_eq!(of(json!("end_turn"), "server_tool_use"), Ok(()));
    assert_eq!(of(json!("tool_use"), "tool_use"), Err(ToolCalls));
    assert_eq!(of(json!("refusal"), "text"), Err(Filtered));
    assert_eq!(of(json!("pause_turn"), "text"), Err(Incomplete));
    assert_eq!(of(json!(null), "text"), Err(Incomplete));

    let response = |status: &str, item: Value, why: Value| {
        whole(Operation::Responses, &json!({"status": status, "output": [item], "incomplete_details": why}))
    };
    let text = json!({"type": "message", "content": [{"type": "output_text"}]});
    assert_eq!(response("completed", text.clone(), json!(null)), Ok(()));
    assert_eq!(response("incomplete", text.clone(), json!({"reason": "max_output_tokens"})), Ok(()));
    assert_eq!(response("incomplete", text.clone(), json!({"reason": "content_filter"})), Err(Filtered));
    assert_eq!(response("in_progress", text.clone(), json!(null)), Err(Incomplete));
    assert_eq!(response("failed", text, json!(null)), Err(Incomplete));
    assert_eq!(response("completed", json!({"type": "function_call"}), json!(null)), Err(ToolCalls));
    assert_eq!(response("completed", json!({"type": "web_search_call"}), json!(null)), Ok(()));
    let refused = json!({"type": "message", "content": [{"type": "refusal"}]});
    assert_eq!(response("completed", refused, json!(null)), Err(Filtered));

    assert_eq!(whole(Operation::Embeddings, &json!({"data": [{"embedding": [1]}]})), Ok(()));
    assert_eq!(whole(Operation::Embeddings, &json!({"data": []})), Err(Incomplete));
    assert_eq!(whole(Operation::Rerank, &json!({"results": [{"index": 0}]})), Ok(()));
}

fn events(operation: Operation, events: &[&str]) -> Result<(), Unfit> {
    let text = events.iter().flat_map(|data| ["data: ", data, "\n\n"]).collect::<String>();
    check(operation, true, &Bytes::from(text), Allowed::default())
}

#[test]
fn streams() {
    let delta = r#"{"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}"#;
    let stop = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    let usage = r#"{"choices":[],"usage":{"prompt_tokens":1}}"#;
    let call = r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0}]},"finish_reason":null}]}"#;
    let error = r#"{"error":{"message":"broken"}}"#;
    let of = |all: &[&str]| events(Operation::Chat, all);
    assert_eq!(of(&[delta, stop, usage, "[DONE]"]), Ok(()));
    assert_eq!(of(&[delta, stop]), Err(Incomplete));
    assert_eq!(of(&[delta, error]), Err(Incomplete));
    assert_eq!(of(&[delta, error, "[DONE]"]), Err(Incomplete));
    assert_eq!(of(&[delta, "[DONE]", delta]), Err(Incomplete));
    assert_eq!(of(&[call, stop, "[DONE]"]), Err(ToolCalls));
    assert_eq!(of(&[delta, "{", "[DONE]"]), Err(Incomplete));

    let of = |all: &[&str]| events(Operation::Messages, all);
    let start = r#"{"type":"content_block_start","content_block":{"type":"text"}}"#;
    let tool = r#"{"type":"content_block_start","content_block":{"type":"tool_use"}}"#;
    let end = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#;
    let over = r#"{"type":"message_stop"}"#;
    assert_eq!(of(&[start, end, over]), Ok(()));
    assert_eq!(of(&[start, end]), Err(Incomplete));
    assert_eq!(of(&[tool, end, over]), Err(ToolCalls));
    assert_eq!(of(&[start, r#"{"type":"error","error":{"type":"overloaded_error"}}"#]), Err(Incomplete));

    let of = |all: &[&str]| events(Operation::Responses, all);
    let begun = r#"{"type":"response.created","response":{"status":"in_progress","output":[]}}"#;
    let done = r#"{"type":"response.completed","response":{"status":"completed","output":[]}}"#;
    let failed = r#"{"type":"response.failed","response":{"status":"failed","output":[]}}"#;
    assert_eq!(of(&[begun, done]), Ok(()));
    assert_eq!(of(&[begun]), Err(Incomplete));
    assert_eq!(of(&[begun, failed]), Err(Incomplete));
}

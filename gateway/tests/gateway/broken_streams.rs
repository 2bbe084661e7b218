//! Streams that end badly: cut, silent, abandoned. Never a hang, never a reset, never a lie.

use bytes::Bytes;
use serde_json::json;
use turnpike_testkit::{
    Script,
    client::Rest,
    sse::Event,
    upstream::{Cut, Gate, Recorded},
};

use crate::{
    stage::{CHAT, Stage, chat, streamed},
    streams::{CHUNK, FINISH, chunks, run, text},
};

/// The text before the error event with which a stream must have ended, and the error's code.
fn failed(rest: &Rest) -> (String, String) {
    assert!(rest.clean, "a failed stream ends as HTTP says it must: {rest:?}");
    let (last, before) = rest.events.split_last().unwrap();
    let error = &last.json()["error"];
    assert_eq!(last.name, None, "data only: SDKs drop events with a name");
    for member in ["message", "type", "code"] {
        assert!(error[member].is_string(), "error.{member} in {last:?}");
    }
    assert!(before.iter().all(|event| event.data != "[DONE]" && event.json().get("error").is_none()), "{rest:?}");
    (text(&before.iter().map(Event::json).collect::<Vec<_>>()), error["code"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn nothing_is_committed_before_the_first_event() {
    let stage = Stage::new().await;
    let none: [&str; 0] = [];
    let cases = [
        ("closed after the head", Script::parts(none).cut(0, Cut::Close), 502),
        ("ended without an event", Script::parts(none), 502),
        ("a comment, then reset", Script::parts([": hold on\n\n"]).cut(11, Cut::Reset), 502),
        ("half an event", Script::parts([&CHUNK[..40]]), 502),
        ("a page for humans", Script::html(), 502),
        ("not an event stream", Script::raw("text/event-stream", "hello there"), 502),
        (
            "an error as first event",
            Script::parts([
                r#"data: {"error":{"message":"overloaded","type":"server_error","param":null,"code":"overloaded"}}"#,
                "\n\n",
            ]),
            502,
        ),
    ];
    for (what, script, status) in cases {
        stage.upstream.next(script);
        let reply = stage.alice().post(CHAT, &streamed()).await;
        assert!(reply.status == status || (what.contains("first event") && reply.status >= 500), "{what}: {reply:?}");
        reply.error_code();
    }
    stage.still_serves().await;
}

#[tokio::test]
async fn a_failure_in_mid_stream_is_one_error_event_and_a_clean_end() {
    let stage = Stage::new().await;
    let two = Script::parts([format!("{CHUNK}\n\n"), format!("{CHUNK}\n\n")]);
    let length = 2 * (CHUNK.len() + 2);
    for how in [Cut::Close, Cut::Reset] {
        let (text, code) = failed(&run(&stage, two.clone().cut(length, how), &streamed()).await);
        assert_eq!(text, "HiHi", "what came before is kept: {how:?}");
        assert!(!code.is_empty());
        // In the middle of an event: the half is not shown.
        let (text, _) = failed(&run(&stage, two.clone().cut(length - 20, how), &streamed()).await);
        assert_eq!(text, "Hi", "{how:?}");
    }
    // Half an event, then an orderly end.
    let half = Script::parts([format!("{CHUNK}\n\n"), CHUNK[..60].to_owned()]);
    assert_eq!(failed(&run(&stage, half, &streamed()).await).0, "Hi");
    // No [DONE] and no finish reason: cut short, however orderly.
    assert_eq!(failed(&run(&stage, two, &streamed()).await).0, "HiHi");
    // Not JSON.
    let garbage = Script::parts([
        format!("{CHUNK}\n\n"),
        "data: {\"choices\":[{]\n\n".to_owned(),
        format!("{FINISH}\n\ndata: [DONE]\n\n"),
    ]);
    assert_eq!(failed(&run(&stage, garbage, &streamed()).await).0, "Hi");
    // The upstream's own error event.
    let own =
        r#"data: {"error":{"message":"the engine died","type":"server_error","param":null,"code":"engine_dead"}}"#;
    let rest = run(&stage, Script::parts([format!("{CHUNK}\n\n"), format!("{own}\n\n")]), &streamed()).await;
    assert_eq!(failed(&rest).0, "Hi");
    stage.still_serves().await;
}

#[tokio::test]
async fn a_stream_cut_at_every_byte_never_hangs_or_lies() {
    let stage = Stage::new().await;
    let whole = format!("{CHUNK}\n\n{FINISH}\n\ndata: [DONE]\n\n");
    let first = CHUNK.len() + 1;
    for cut in (0..whole.len()).step_by(3) {
        stage.upstream.next(Script::parts([Bytes::from(whole.clone())]).cut(cut, Cut::Close));
        let streaming = stage.alice().stream(CHAT, &streamed()).await;
        if streaming.status != 200 {
            assert!(cut <= first && streaming.status == 502, "cut at {cut}: {streaming:?}");
            continue;
        }
        let rest = streaming.rest().await;
        assert!(rest.clean, "cut at {cut}: {rest:?}");
        let done = rest.events.iter().filter(|event| event.data == "[DONE]").count();
        let errors = rest.events.iter().filter(|event| event.data.contains("\"error\"")).count();
        assert_eq!(done + errors, 1, "cut at {cut}: {rest:?}");
    }
    stage.still_serves().await;
}

#[tokio::test]
async fn servers_that_never_say_done_are_understood() {
    let stage = Stage::new().await;
    let script = Script::parts([format!("{CHUNK}\n\n"), format!("{FINISH}\n\n")]);
    let rest = run(&stage, script, &streamed()).await;
    assert_eq!(text(&chunks(&rest)), "Hi", "a finish reason is an end; [DONE] is added for the client");
}

#[tokio::test]
async fn a_client_that_leaves_cancels_the_upstream() {
    let stage = Stage::new().await;
    let gate = Gate::default();
    gate.open(2);
    stage.upstream.next(Script::pieces(100).paced(&gate));
    let mut streaming = stage.alice().stream(CHAT, &streamed()).await;
    assert!(streaming.event().await.unwrap().is_some());
    drop(streaming);
    stage.upstream.wait_for("the upstream sees it", |log| log[0].client_gone()).await;
    // The same while the gateway still waits for the first event.
    stage.upstream.next(Script::pieces(3).head_after(&gate));
    let mut raw = turnpike_testkit::raw::Raw::connect(stage.gateway.public).await;
    let body = streamed().to_string();
    let request = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        crate::stage::ALICE,
        body.len()
    );
    raw.write(request.as_bytes()).await;
    stage.upstream.wait_for("the request is there", |log| log.len() == 2 && !log[1].body.is_empty()).await;
    raw.reset();
    stage.upstream.wait_for("the upstream sees it", |log| log[1].client_gone()).await;
    stage.still_serves().await;
}

#[tokio::test]
async fn silence_is_bounded() {
    let timeouts = json!({"firstByte": "1s", "idle": "1s", "total": "1s"});
    let stage = Stage::with_model(|model| model.with("timeouts", timeouts), |setup, _| setup).await;
    let never = Gate::default();
    // Before the head, and between the head and the first event.
    let none: [&str; 0] = [];
    for script in [
        Script::pieces(3).head_after(&never),
        Script::parts(none).cut(0, Cut::Stall),
        Script::parts([": wait\n\n"]).cut(8, Cut::Stall),
    ] {
        stage.upstream.next(script);
        let reply = stage.alice().post(CHAT, &streamed()).await;
        assert_eq!((reply.status, reply.error_code().as_str()), (504, "timeout"), "{reply:?}");
    }
    // Between two events.
    let stalled = Script::parts([format!("{CHUNK}\n\n")]).cut(CHUNK.len() + 2, Cut::Stall);
    assert_eq!(failed(&run(&stage, stalled, &streamed()).await), ("Hi".to_owned(), "timeout".to_owned()));
    // A call that is not streamed is bounded as a whole, before and inside its body.
    for script in [Script::chat("late").head_after(&never), Script::chat("late").cut(20, Cut::Stall)] {
        stage.upstream.next(script);
        let reply = stage.alice().post(CHAT, &chat()).await;
        assert_eq!((reply.status, reply.error_code().as_str()), (504, "timeout"), "{reply:?}");
    }
    // The upstream is told each time: its work is not paid for in vain.
    stage.upstream.wait_for("every call was let go", |log| log.iter().all(Recorded::client_gone)).await;
    stage.still_serves().await;
}

//! Streams that go well: usage, restamped chunks, events passed on at once.

use serde_json::{Value, json};
use turnpike_testkit::{
    Script,
    client::Rest,
    sse::Event,
    upstream::{Gate, Usage},
};

use crate::stage::{CHAT, MODEL, Stage, streamed, streamed_with_usage, with};

pub(crate) const CHUNK: &str = r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"upstream-gpt","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}"#;
pub(crate) const FINISH: &str = r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"upstream-gpt","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;

/// The chunks of a stream that must have ended well.
pub(crate) fn chunks(rest: &Rest) -> Vec<Value> {
    assert!(rest.clean, "{rest:?}");
    let (done, chunks) = rest.events.split_last().unwrap();
    assert_eq!(done.data, "[DONE]");
    chunks.iter().map(Event::json).collect()
}

pub(crate) fn text(chunks: &[Value]) -> String {
    chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect()
}

pub(crate) async fn run(stage: &Stage, script: Script, body: &Value) -> Rest {
    stage.upstream.next(script);
    let streaming = stage.alice().stream(CHAT, body).await;
    assert_eq!(streaming.status, 200, "{streaming:?}");
    streaming.rest().await
}

#[tokio::test]
async fn usage_is_always_asked_for_and_shown_only_if_the_client_asked() {
    let stage = Stage::with_model(
        |model| model.with("price", json!({"inputPerMillion": "1", "outputPerMillion": "2"})),
        |setup, _| setup,
    )
    .await;
    let usage = Usage { prompt: 1000, completion: 500, ..Usage::default() };
    let script = || Script::pieces(3).usage(usage);
    for body in [
        streamed(),
        with(streamed(), "stream_options", json!({"include_usage": false})),
        with(streamed(), "stream_options", json!(null)),
    ] {
        let chunks = chunks(&run(&stage, script(), &body).await);
        assert_eq!(text(&chunks), "t0 t1 t2 ");
        assert!(chunks.iter().all(|chunk| chunk["choices"] != json!([]) && chunk["usage"].is_null()), "{chunks:?}");
        assert_eq!(stage.upstream.log().pop().unwrap().json()["stream_options"]["include_usage"], true, "{body}");
    }
    let chunks = chunks(&run(&stage, script(), &streamed_with_usage()).await);
    let (last, before) = chunks.split_last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!((&last["usage"]["prompt_tokens"], &last["usage"]["completion_tokens"]), (&json!(1000), &json!(500)));
    assert!((last["usage"]["cost"].as_f64().unwrap() - 0.002).abs() < 1e-12, "{last}");
    assert!(before.iter().all(|chunk| chunk["usage"].is_null()));
    // Other options are kept.
    let body = with(streamed(), "stream_options", json!({"include_obfuscation": false}));
    run(&stage, script(), &body).await;
    let sent = stage.upstream.log().pop().unwrap().json();
    assert_eq!(sent["stream_options"], json!({"include_obfuscation": false, "include_usage": true}));
}

#[tokio::test]
async fn every_chunk_bears_the_name_that_was_asked_for() {
    let stage = Stage::new().await;
    let shown = chunks(&run(&stage, Script::pieces(20), &streamed_with_usage()).await);
    assert_eq!(shown.len(), 23);
    assert!(shown.iter().all(|chunk| chunk["model"] == MODEL), "{shown:?}");
    assert!(
        shown.iter().all(|chunk| chunk["id"] == "chatcmpl-upstream" && chunk["system_fingerprint"] == "fp_upstream")
    );
}

#[tokio::test]
async fn legacy_completions_stream_too() {
    let stage = Stage::new().await;
    let body = json!({"model": MODEL, "prompt": "Hi", "stream": true});
    stage.upstream.next(Script::pieces(3));
    let rest = stage.alice().stream("/v1/completions", &body).await.rest().await;
    let chunks = chunks(&rest);
    let text: String = chunks.iter().filter_map(|chunk| chunk["choices"][0]["text"].as_str()).collect();
    assert_eq!(text, "t0 t1 t2 ");
    assert!(chunks.iter().all(|chunk| chunk["model"] == MODEL));
}

#[tokio::test]
async fn each_event_goes_on_at_once() {
    let stage = Stage::new().await;
    let gate = Gate::default();
    stage.upstream.next(Script::pieces(5).paced(&gate));
    gate.open(1);
    let mut streaming = stage.alice().stream(CHAT, &streamed()).await;
    assert_eq!(streaming.event().await.unwrap().unwrap().json()["choices"][0]["delta"]["role"], "assistant");
    for index in 0..5 {
        // The next one is not sent before this one was seen.
        gate.open(1);
        let event = streaming.event().await.unwrap().unwrap().json();
        assert_eq!(event["choices"][0]["delta"]["content"], format!("t{index} "));
    }
    gate.open(10);
    assert_eq!(chunks(&streaming.rest().await).len(), 1);
}

#[tokio::test]
async fn how_the_bytes_arrive_makes_no_difference() {
    let stage = Stage::new().await;
    let whole = run(&stage, Script::pieces(6), &streamed_with_usage()).await;
    let trickled = run(&stage, Script::pieces(6).trickle(), &streamed_with_usage()).await;
    assert_eq!(whole.events, trickled.events);
    let odd = format!(
        ": a comment\r\n\r\nid: 7\r\nretry: 100\r\n{CHUNK}\r\n\r\n{}\n\n{FINISH}\n\ndata:[DONE]\n\n",
        CHUNK.replace("data: ", "data:").replace("Hi", "\u{e9}\u{1f600}\u{2028}")
    );
    let one = run(&stage, Script::parts([odd.clone()]), &streamed()).await;
    let bytes = run(&stage, Script::parts([odd]).trickle(), &streamed()).await;
    assert_eq!(text(&chunks(&one)), "Hi\u{e9}\u{1f600}\u{2028}");
    assert_eq!(one.events, bytes.events);
    assert!(chunks(&one).iter().all(|chunk| chunk["model"] == MODEL));
}

#[tokio::test]
async fn large_events_go_through_up_to_a_bound() {
    let stage = Stage::new().await;
    let rest = run(&stage, Script::chat(&"z".repeat(1_000_000)), &streamed()).await;
    assert_eq!(text(&chunks(&rest)).len(), 1_000_000);
    // One that never ends would fill the memory.
    let rest = run(&stage, Script::chat(&"z".repeat(64 << 20)), &streamed()).await;
    assert!(rest.clean);
    assert_eq!(rest.events.last().unwrap().json()["error"]["code"], "bad_backend_answer");
}

#[tokio::test]
async fn a_stream_may_last_longer_than_its_silences_may() {
    let stage =
        Stage::with_model(|model| model.with("timeouts", json!({"firstByte": "1s", "idle": "1s"})), |setup, _| setup)
            .await;
    let slow = Script::pieces(12).every(std::time::Duration::from_millis(130));
    assert_eq!(chunks(&run(&stage, slow, &streamed()).await).len(), 14);
}

//! Streams are kept and given again as streams.

use serde_json::{Value, json};
use turnpike_testkit::{
    Client, Script,
    client::Rest,
    upstream::{Cut, Gate},
};

use crate::stage::{CHAT, Stage, ask, chat, with};

fn streamed(text: &str) -> Value {
    with(chat(text), "stream", json!(true))
}

fn with_usage(text: &str) -> Value {
    with(streamed(text), "stream_options", json!({"include_usage": true}))
}

/// The stream, and whether it was a kept one.
async fn stream(client: &Client, route: &str, body: &Value) -> (Rest, bool) {
    let streaming = client.stream(route, body).await;
    assert_eq!(streaming.status, 200);
    let hit = streaming.headers.contains_key("x-litellm-cache-hit");
    assert_eq!(streaming.headers["content-type"], "text/event-stream; charset=utf-8");
    (streaming.rest().await, hit)
}

fn data(rest: &Rest) -> Vec<String> {
    rest.events.iter().map(|event| event.data.clone()).collect()
}

#[tokio::test]
async fn a_stream_is_given_again_event_by_event() {
    let stage = Stage::plain().await;
    let client = stage.alice();
    stage.upstream.next(Script::pieces(5));
    let (first, hit) = stream(&client, CHAT, &streamed("Hi")).await;
    assert!(!hit && first.clean);
    let (second, hit) = stream(&client, CHAT, &streamed("Hi")).await;
    assert!(hit && second.clean);
    assert_eq!(data(&second), data(&first));
    assert_eq!(stage.asked(), 1);
    // A whole answer is another one.
    assert!(!ask(&client, &chat("Hi")).await);
}

#[tokio::test]
async fn usage_is_shown_to_those_who_ask_and_costs_nothing() {
    let stage = Stage::plain().await;
    let client = stage.alice();
    let (shown, _) = stream(&client, CHAT, &with_usage("Hi")).await;
    let usage = |rest: &Rest| rest.events[rest.events.len() - 2].json()["usage"].clone();
    assert_eq!(usage(&shown)["prompt_tokens"], 10);
    assert!(usage(&shown)["cost"].as_f64().unwrap() > 0.0);
    let (again, hit) = stream(&client, CHAT, &with_usage("Hi")).await;
    assert!(hit);
    assert_eq!((&usage(&again)["prompt_tokens"], usage(&again)["cost"].as_f64()), (&json!(10), Some(0.0)));
    let (hidden, hit) = stream(&client, CHAT, &streamed("Hi")).await;
    assert!(!hit);
    assert!(data(&hidden).iter().all(|data| !data.contains("prompt_tokens")));
    let (hidden, hit) = stream(&client, CHAT, &streamed("Hi")).await;
    assert!(hit);
    assert!(data(&hidden).iter().all(|data| !data.contains("prompt_tokens")));
}

#[tokio::test]
async fn in_every_dialect() {
    let stage = Stage::plain().await;
    let client = stage.alice();
    for (route, body) in [
        ("/v1/completions", json!({"model": "gpt-test", "prompt": "Hi", "stream": true})),
        (
            "/v1/messages",
            json!({"model": "gpt-test", "max_tokens": 9, "stream": true, "messages": [{"role": "user", "content": "Hi"}]}),
        ),
        ("/v1/responses", json!({"model": "gpt-test", "input": "Hi", "stream": true})),
    ] {
        let (first, hit) = stream(&client, route, &body).await;
        assert!(!hit && first.clean, "{route}");
        let (second, hit) = stream(&client, route, &body).await;
        assert!(hit && second.clean, "{route}");
        assert_eq!(data(&second), data(&first), "{route}");
    }
}

#[tokio::test]
async fn a_stream_that_is_cut_is_not_kept() {
    let stage = Stage::plain().await;
    let client = stage.alice();
    for cut in [Cut::Close, Cut::Reset] {
        stage.upstream.next(Script::pieces(5).cut(900, cut));
        let (rest, hit) = stream(&client, CHAT, &streamed("Hi")).await;
        assert!(!hit);
        assert!(data(&rest).last().unwrap().contains("error"), "{rest:?}");
    }
    let (rest, hit) = stream(&client, CHAT, &streamed("Hi")).await;
    assert!(!hit && rest.clean);
}

#[tokio::test]
async fn one_that_its_client_left_is_not_kept() {
    let stage = Stage::plain().await;
    let client = stage.alice();
    let gate = Gate::default();
    stage.upstream.next(Script::pieces(5).paced(&gate));
    gate.open(2);
    let mut streaming = client.stream(CHAT, &streamed("Hi")).await;
    assert!(streaming.event().await.unwrap().is_some());
    drop(streaming);
    stage.upstream.wait_for("the upstream is left", |log| log[0].client_gone()).await;
    gate.open(10);
    let (_, hit) = stream(&client, CHAT, &streamed("Hi")).await;
    assert!(!hit);
}

//! Cohere.

use serde_json::json;
use turnpike_testkit::{Script, provider::Cohere, spend, upstream::Usage};

use crate::stage::{MODEL, Stage, chat, text, with, with_tools};

const TOOL_CALL: &str = r#"{"id":"c1","finish_reason":"TOOL_CALL","message":{"role":"assistant","tool_plan":"I will look.","tool_calls":[{"id":"get_weather_1","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Oslo\"}"}}]},"usage":{"billed_units":{"input_tokens":3,"output_tokens":2}}}"#;

async fn stage() -> Stage {
    Stage::new("Cohere", "command-a-03-2025", &Cohere).await
}

#[tokio::test]
async fn chats_and_is_charged_by_what_is_billed() {
    let stage = stage().await;
    stage.upstream.next(Script::pieces(2).usage(Usage { prompt: 1000, completion: 500, ..Usage::default() }));
    let answer = stage.chat(&with(chat(), "max_completion_tokens", json!(600))).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "t0 t1 ");
    assert_eq!((&answer["model"], &answer["usage"]["prompt_tokens"]), (&json!(MODEL), &json!(1000)));
    assert_eq!(stage.sent()["max_tokens"], 600);
    let rows = spend::rows(
        &stage.gateway.database(),
        ("spend", "sequence"),
        &["provider", "prompt_tokens", "completion_tokens", "cost_nano"],
        1,
    )
    .await;
    // 2.50 and 10 USD a million.
    let expected =
        json!({"provider": "cohere", "prompt_tokens": 1000, "completion_tokens": 500, "cost_nano": 7_500_000});
    assert_eq!(rows[0], expected);
}

#[tokio::test]
async fn streams() {
    let stage = stage().await;
    stage.upstream.next(Script::pieces(3).trickle());
    let body = with(with(chat(), "stream", json!(true)), "stream_options", json!({"include_usage": true}));
    let chunks = stage.stream(&body).await;
    assert_eq!(text(&chunks), "t0 t1 t2 ");
    assert_eq!(chunks[chunks.len() - 2]["choices"][0]["finish_reason"], "stop");
    assert_eq!(chunks.last().unwrap()["usage"]["total_tokens"], 15);
}

#[tokio::test]
async fn calls_tools() {
    let stage = stage().await;
    stage.chat(&with_tools()).await;
    stage.upstream.next(Script::raw("application/json", TOOL_CALL));
    let answer = stage.chat(&with(with_tools(), "tool_choice", json!("required"))).await;
    assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"], "{\"city\":\"Oslo\"}");
}

#[tokio::test]
async fn embeds() {
    let stage = Stage::new("Cohere", "embed-v4.0", &Cohere).await;
    let reply = stage.post("/v1/embeddings", &json!({"model": MODEL, "input": ["a", "b"]})).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.json()["data"][1]["embedding"].as_array().unwrap().len(), 6);
    assert_eq!(reply.json()["usage"]["prompt_tokens"], 10);
    assert_eq!(stage.sent()["input_type"], "search_document");
}

#[tokio::test]
async fn fails_as_clients_expect() {
    let stage = stage().await;
    let too_long = r#"{"message":"too many tokens: size limit exceeded by 11326 tokens."}"#;
    stage.upstream.next(Script::raw("application/json", too_long).status(400));
    let (status, error) = stage.failure(&chat()).await;
    assert_eq!((status, &error["code"]), (400, &json!("context_length_exceeded")), "{error}");
    stage.upstream.next(Script::raw("application/json", r#"{"message":"slow down"}"#).status(429));
    assert_eq!(stage.failure(&chat()).await.0, 429);
    let (status, error) = stage.failure(&with(chat(), "n", json!(2))).await;
    assert_eq!((status, &error["param"]), (400, &json!("n")), "{error}");
}

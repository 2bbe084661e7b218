//! Ollama.

use serde_json::{Value, json};
use turnpike_testkit::{Script, provider::Ollama};

use crate::stage::{MODEL, Stage, chat, text, with, with_tools};

const TOOL_CALL: &str = r#"{"model":"llama3.2","message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"get_weather","arguments":{"city":"Oslo"}}}]},"done":true,"done_reason":"stop","prompt_eval_count":9,"eval_count":3}"#;
const FAILED: &str = concat!(
    r#"{"message":{"role":"assistant","content":"Hal"},"done":false}"#,
    "\n",
    r#"{"error":"unexpected EOF"}"#,
    "\n"
);

async fn stage() -> Stage {
    Stage::new("Ollama", "llama3.2", &Ollama).await
}

#[tokio::test]
async fn chats() {
    let stage = stage().await;
    let body = with(with(chat(), "max_tokens", json!(7)), "num_ctx", json!(8192));
    let answer = stage.chat(&with(body, "keep_alive", json!("5m"))).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "Hello");
    assert_eq!((&answer["model"], &answer["usage"]["total_tokens"]), (&json!(MODEL), &json!(15)));
    let sent = stage.sent();
    assert_eq!(sent["options"], json!({"num_ctx": 8192, "num_predict": 7}));
    assert_eq!((&sent["keep_alive"], &sent["stream"]), (&json!("5m"), &json!(false)));
}

#[tokio::test]
async fn streams() {
    let stage = stage().await;
    stage.upstream.next(Script::pieces(3).trickle());
    let body = with(with(chat(), "stream", json!(true)), "stream_options", json!({"include_usage": true}));
    let chunks = stage.stream(&body).await;
    assert_eq!(text(&chunks), "t0 t1 t2 ");
    assert_eq!(chunks.last().unwrap()["usage"]["total_tokens"], 15);
}

#[tokio::test]
async fn calls_tools() {
    let stage = stage().await;
    stage.chat(&with_tools()).await;
    assert_eq!(stage.sent()["messages"][2]["tool_name"], "get_weather");
    stage.upstream.next(Script::raw("application/json", TOOL_CALL));
    let answer = stage.chat(&with_tools()).await;
    let call = &answer["choices"][0]["message"]["tool_calls"][0];
    assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(call["function"]["arguments"], "{\"city\":\"Oslo\"}");
    assert!(call["id"].as_str().unwrap().starts_with("call_"), "{call}");
}

#[tokio::test]
async fn embeds() {
    let stage = Stage::new("Ollama", "nomic-embed-text", &Ollama).await;
    let body = json!({"model": MODEL, "input": ["a", "b"], "encoding_format": "base64"});
    let reply = stage.post("/v1/embeddings", &body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(reply.json()["data"][1]["embedding"].is_string());
}

#[tokio::test]
async fn fails_as_clients_expect() {
    let stage = stage().await;
    let missing = r#"{"error":"model \"llama3.2\" not found, try pulling it first"}"#;
    stage.upstream.next(Script::raw("application/json", missing).status(404));
    let (status, error) = stage.failure(&chat()).await;
    assert_eq!(status, 404, "{error}");
    stage.upstream.next(Script::raw("application/x-ndjson", FAILED));
    let streaming = stage.stream_raw(&with(chat(), "stream", json!(true))).await;
    let last: Value = streaming.events.last().unwrap().json();
    assert!(last["error"]["message"].as_str().unwrap().contains("unexpected EOF"), "{last}");
    let (status, error) = stage.failure(&with(with_tools(), "tool_choice", json!("required"))).await;
    assert_eq!((status, &error["param"]), (400, &json!("tool_choice")), "{error}");
}

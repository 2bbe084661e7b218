//! Anthropic, for clients of both dialects.

use serde_json::{Value, json};
use turnpike_testkit::{
    Script,
    client::{Reply, Rest},
    provider::Anthropic,
    spend,
    upstream::Usage,
};

use crate::stage::{MODEL, Stage, chat, text, with, with_tools};

const MESSAGES: &str = "/v1/messages";
const COUNT: &str = "/v1/messages/count_tokens";
const TOOL_USE: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[{"type":"thinking","thinking":"Oslo.","signature":"c2ln"},{"type":"text","text":"I will look."},{"type":"tool_use","id":"toolu_1","name":"get_weather","input":{"city":"Oslo"}}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":2}}"#;
const CACHED: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1000,"cache_read_input_tokens":2000,"cache_creation_input_tokens":3000,"cache_creation":{"ephemeral_5m_input_tokens":1000,"ephemeral_1h_input_tokens":2000},"output_tokens":100}}"#;

async fn stage() -> Stage {
    Stage::new("Anthropic", "claude-sonnet-4-5", &Anthropic).await
}

/// A request of Anthropic's dialect.
fn message() -> Value {
    json!({
        "model": MODEL, "max_tokens": 64, "system": "Be brief.", "messages": [{"role": "user", "content": "Hi"}],
    })
}

fn fine(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

#[tokio::test]
async fn chats() {
    let stage = stage().await;
    stage.upstream.next(Script::pieces(2));
    let answer = stage.chat(&chat()).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "t0 t1 ");
    assert_eq!((&answer["model"], &answer["usage"]["prompt_tokens"]), (&json!(MODEL), &json!(10)));
    // What the model can, as nobody said how much is wanted.
    assert_eq!(stage.sent()["max_tokens"], 64_000);
}

#[tokio::test]
async fn caches_are_charged_by_what_was_read_and_written() {
    let stage = stage().await;
    stage.upstream.next(Script::raw("application/json", CACHED));
    let answer = stage.chat(&chat()).await;
    assert_eq!(answer["usage"]["prompt_tokens_details"], json!({"cached_tokens": 2000, "cache_creation_tokens": 3000}));
    let rows = spend::rows(
        &stage.gateway.database(),
        ("spend", "sequence"),
        &["provider", "prompt_tokens", "completion_tokens", "cost_nano"],
        1,
    )
    .await;
    // By the million: 3 USD, 0.30 read, 3.75 and 6 written for five minutes and an hour, 15 for output.
    let cost = 3_000_000 + 600_000 + 3_750_000 + 12_000_000 + 1_500_000;
    let expected = json!({"provider": "anthropic", "prompt_tokens": 6000, "completion_tokens": 100, "cost_nano": cost});
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
async fn calls_tools_and_goes_on_with_their_results() {
    let stage = stage().await;
    stage.chat(&with_tools()).await;
    stage.upstream.next(Script::raw("application/json", TOOL_USE));
    let answer = stage.chat(&with(with_tools(), "tool_choice", json!("required"))).await;
    let said = &answer["choices"][0]["message"];
    assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(said["tool_calls"][0]["function"]["arguments"], "{\"city\":\"Oslo\"}");
    let mut next = with_tools();
    let turns = next["messages"].as_array_mut().unwrap();
    turns.push(said.clone());
    turns.push(json!({"role": "tool", "tool_call_id": "toolu_1", "content": "5 C"}));
    stage.chat(&with(next, "reasoning_effort", json!("high"))).await;
    let sent = stage.sent();
    let thought = json!({"type": "thinking", "thinking": "Oslo.", "signature": "c2ln"});
    assert_eq!(sent["messages"][3]["content"][0], thought);
    assert_eq!(sent["thinking"], json!({"type": "enabled", "budget_tokens": 4096}));
}

#[tokio::test]
async fn writes_answers_by_a_schema_where_the_model_has_to_be_forced() {
    let stage = Stage::new("Anthropic", "claude-3-5-haiku-20241022", &Anthropic).await;
    let called = TOOL_USE.replace("get_weather", "json_tool_call");
    stage.upstream.next(Script::raw("application/json", called));
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let format = json!({"type": "json_schema", "json_schema": {"name": "place", "schema": schema}});
    let answer = stage.chat(&with(chat(), "response_format", format)).await;
    assert_eq!(stage.sent()["tool_choice"], json!({"type": "tool", "name": "json_tool_call"}));
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert!(answer["choices"][0]["message"]["content"].as_str().unwrap().ends_with("{\"city\":\"Oslo\"}"));
}

#[tokio::test]
async fn fails_as_clients_expect() {
    let stage = stage().await;
    let error = |kind: &str, text: &str| {
        json!({"type": "error", "error": {"type": kind, "message": text}, "request_id": "req_1"}).to_string()
    };
    let too_long = error("invalid_request_error", "prompt is too long: 203456 tokens > 200000 maximum");
    stage.upstream.next(Script::raw("application/json", too_long).status(400));
    let (status, failed) = stage.failure(&chat()).await;
    assert_eq!((status, &failed["code"]), (400, &json!("context_length_exceeded")), "{failed}");
    let limited = error("rate_limit_error", "too fast");
    stage.upstream.next(Script::raw("application/json", limited).status(429));
    assert_eq!(stage.failure(&chat()).await.0, 429);
    stage.upstream.next(Script::raw("application/json", error("overloaded_error", "Overloaded")).status(529));
    assert!(stage.failure(&chat()).await.0 >= 500);
    let (status, failed) = stage.failure(&with(chat(), "n", json!(2))).await;
    assert_eq!((status, &failed["param"]), (400, &json!("n")), "{failed}");
}

#[tokio::test]
async fn messages_pass_as_they_came() {
    let stage = stage().await;
    let body = with(with(message(), "num_retries", json!(2)), "context_management", json!({"edits": []}));
    let request = stage.alice().json(MESSAGES, &body, &[("anthropic-beta", "context-management-2025-06-27")]);
    let answer = fine(&stage.alice().send(request).await);
    assert_eq!(
        (&answer["model"], &answer["type"], &answer["id"]),
        (&json!(MODEL), &json!("message"), &json!("msg_upstream"))
    );
    let sent = stage.sent();
    assert_eq!((&sent["model"], &sent["system"]), (&json!("claude-sonnet-4-5"), &json!("Be brief.")));
    assert_eq!((sent.get("num_retries"), &sent["context_management"]), (None, &json!({"edits": []})));
}

#[tokio::test]
async fn messages_stream_with_the_name_that_was_asked_for() {
    let stage = stage().await;
    stage.upstream.next(Script::pieces(2).usage(Usage { prompt: 1000, completion: 500, ..Usage::default() }));
    let streaming = stage.alice().stream(MESSAGES, &with(message(), "stream", json!(true))).await;
    assert_eq!(streaming.status, 200);
    let Rest { events, clean } = streaming.rest().await;
    assert!(clean, "{events:?}");
    let names: Vec<&str> = events.iter().map(|event| event.name.as_deref().unwrap_or_default()).collect();
    let delta = "content_block_delta";
    let expected = [
        "message_start",
        "content_block_start",
        "ping",
        delta,
        delta,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(names, expected);
    assert_eq!(events[0].json()["message"]["model"], MODEL);
    let rows =
        spend::rows(&stage.gateway.database(), ("spend", "sequence"), &["prompt_tokens", "completion_tokens"], 1).await;
    assert_eq!(rows[0], json!({"prompt_tokens": 1000, "completion_tokens": 500}));
}

#[tokio::test]
async fn tokens_are_counted_by_anthropic() {
    let stage = stage().await;
    let answer = fine(&stage.post(COUNT, &message()).await);
    assert_eq!(answer, json!({"input_tokens": 10}));
    assert_eq!(stage.sent()["model"], "claude-sonnet-4-5");
}

#[tokio::test]
async fn answers_clients_of_gemini_with_thoughts_that_they_hand_back() {
    let stage = stage().await;
    let path = format!("/v1beta/models/{MODEL}:generateContent");
    let tool = json!({"functionDeclarations": [{"name": "get_weather", "parameters": {
        "type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]}}]});
    let thinking = json!({"includeThoughts": true, "thinkingBudget": 2048});
    let mut body = json!({
        "contents": [{"role": "user", "parts": [{"text": "Weather?"}]}], "tools": [tool],
        "generationConfig": {"maxOutputTokens": 8000, "thinkingConfig": thinking},
    });
    stage.upstream.next(Script::raw("application/json", TOOL_USE));
    let answer = fine(&stage.post(&path, &body).await);
    let said = &answer["candidates"][0]["content"];
    assert_eq!((&said["parts"][0]["thought"], &said["parts"][0]["text"]), (&json!(true), &json!("Oslo.")), "{answer}");
    assert_eq!(said["parts"][2]["functionCall"]["args"], json!({"city": "Oslo"}));
    let contents = body["contents"].as_array_mut().unwrap();
    contents.push(said.clone());
    // Without the call's id, as Google's own client answers calls.
    let result = json!({"name": "get_weather", "response": {"result": "6 C"}});
    contents.push(json!({"role": "user", "parts": [{"functionResponse": result}]}));
    fine(&stage.post(&path, &body).await);
    let messages = &stage.sent()["messages"];
    assert_eq!(messages[1]["content"][0], json!({"type": "thinking", "thinking": "Oslo.", "signature": "c2ln"}));
    assert_eq!(messages[1]["content"][2]["id"], "toolu_1");
    assert_eq!(messages[2]["content"][0]["tool_use_id"], "toolu_1");
}

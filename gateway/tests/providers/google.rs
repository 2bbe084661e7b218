//! Google's Gemini API and Vertex AI.

use serde_json::{Value, json};
use turnpike_testkit::{
    Script,
    provider::{Gemini, Vertex},
    spend,
    sse::Event,
    upstream::Usage,
};

use crate::stage::{MODEL, Stage, chat, text, with, with_tools};

const TOOL_CALL: &str = r#"{"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"name":"get_weather","args":{"city":"Oslo"}},"thoughtSignature":"AQI/+w=="}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":30,"candidatesTokenCount":8,"thoughtsTokenCount":60,"totalTokenCount":98}}"#;

async fn gemini(model: &str) -> Stage {
    Stage::new("Gemini", model, &Gemini).await
}

async fn vertex(model: &str) -> Stage {
    Stage::with("VertexAI", model, &Vertex, |model| {
        model.with("provider.project", "my-project").with("provider.region", "europe-west4")
    })
    .await
}

#[tokio::test]
async fn chats_and_is_charged_for_thoughts_and_cached_tokens() {
    let stage = gemini("gemini-2.5-flash").await;
    let usage = Usage { prompt: 1000, completion: 500, cached: 400, reasoning: 300 };
    stage.upstream.next(Script::pieces(2).usage(usage));
    let answer = stage.chat(&with(chat(), "max_tokens", json!(600))).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "t0 t1 ");
    assert_eq!((&answer["model"], &answer["usage"]["prompt_tokens"]), (&json!(MODEL), &json!(1000)));
    assert_eq!(answer["usage"]["completion_tokens_details"]["reasoning_tokens"], 300);
    assert_eq!(stage.sent()["generationConfig"]["maxOutputTokens"], 600);
    let columns = ["provider", "prompt_tokens", "completion_tokens", "cost_nano"];
    let rows = spend::rows(&stage.gateway.database(), ("spend", "sequence"), &columns, 1).await;
    // 0.30, 0.03 and 2.50 USD a million.
    let expected =
        json!({"provider": "gcp.gemini", "prompt_tokens": 1000, "completion_tokens": 500, "cost_nano": 1_442_000});
    assert_eq!(rows[0], expected);
}

#[tokio::test]
async fn a_class_of_service_is_asked_for_and_what_is_given_is_charged() {
    let stage = gemini("gemini-2.5-flash").await;
    stage.chat(&with(chat(), "service_tier", json!("flex"))).await;
    assert_eq!(stage.sent()["serviceTier"], "flex");
    let rows = spend::rows(&stage.gateway.database(), ("spend", "sequence"), &["cost_nano"], 1).await;
    // 10 tokens at 0.15 USD a million and 5 at 1.25: half of the usual price.
    assert_eq!(rows[0], json!({"cost_nano": 7_750}));
    stage.chat(&with(chat(), "service_tier", json!("auto"))).await;
    assert_eq!(stage.sent()["serviceTier"], Value::Null);
}

#[tokio::test]
async fn streams() {
    let stage = gemini("gemini-2.5-flash").await;
    stage.upstream.next(Script::pieces(3).trickle());
    let body = with(with(chat(), "stream", json!(true)), "stream_options", json!({"include_usage": true}));
    let chunks = stage.stream(&body).await;
    assert_eq!(text(&chunks), "t0 t1 t2 ");
    assert_eq!(chunks[chunks.len() - 2]["choices"][0]["finish_reason"], "stop");
    assert_eq!(chunks.last().unwrap()["usage"]["total_tokens"], 15);
}

#[tokio::test]
async fn calls_tools_and_signs_the_next_turn() {
    let stage = gemini("gemini-3-pro-preview").await;
    // Calls that another model made are taken too.
    stage.chat(&with_tools()).await;
    stage.upstream.next(Script::raw("application/json", TOOL_CALL));
    let mut request = with_tools();
    let answer = stage.chat(&request).await;
    assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
    let call = &answer["choices"][0]["message"]["tool_calls"][0];
    assert_eq!(call["function"]["arguments"], "{\"city\":\"Oslo\"}");
    let plain = json!({"id": call["id"], "type": "function", "function": call["function"]});
    let messages = request["messages"].as_array_mut().unwrap();
    messages.push(json!({"role": "assistant", "content": null, "tool_calls": [plain]}));
    messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": "6 C"}));
    stage.chat(&request).await;
    let sent = stage.sent();
    let signed = sent["contents"].as_array().unwrap().iter().flat_map(|said| said["parts"].as_array().unwrap());
    let signatures: Vec<&Value> = signed.filter_map(|part| part.get("thoughtSignature")).collect();
    assert_eq!(signatures, [&json!("skip_thought_signature_validator"), &json!("AQI/+w==")]);
}

#[tokio::test]
async fn embeds() {
    let stage = gemini("gemini-embedding-001").await;
    let reply = stage.post("/v1/embeddings", &json!({"model": MODEL, "input": ["a", "b"], "dimensions": 6})).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.json()["data"][1]["embedding"].as_array().unwrap().len(), 6);
    assert_eq!(stage.sent()["requests"][1]["outputDimensionality"], 6);
}

#[tokio::test]
async fn fails_as_clients_expect() {
    let stage = gemini("gemini-2.5-flash").await;
    let fail = |code: u16, status: &str, message: &str| {
        let body = json!({"error": {"code": code, "message": message, "status": status}});
        Script::raw("application/json", body.to_string()).status(code)
    };
    let too_long = "The input token count (2000000) exceeds the maximum number of tokens allowed (1048576).";
    stage.upstream.next(fail(400, "INVALID_ARGUMENT", too_long));
    let (status, error) = stage.failure(&chat()).await;
    assert_eq!((status, &error["code"]), (400, &json!("context_length_exceeded")), "{error}");
    stage.upstream.next(fail(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."));
    assert_eq!(stage.failure(&chat()).await.0, 429);
    let (status, error) = stage.failure(&with(chat(), "logit_bias", json!({"1": 2}))).await;
    assert_eq!((status, &error["param"]), (400, &json!("logit_bias")), "{error}");
    let (status, error) = stage.failure(&with(chat(), "min_p", json!(0.1))).await;
    assert_eq!(status, 400, "{error}");
    assert!(error["message"].as_str().unwrap().contains("min_p"), "{error}");
}

#[tokio::test]
async fn a_blocked_prompt_is_an_answer_without_content() {
    let stage = gemini("gemini-2.5-flash").await;
    let blocked =
        r#"{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":9,"totalTokenCount":9}}"#;
    stage.upstream.next(Script::raw("application/json", blocked));
    let answer = stage.chat(&chat()).await;
    assert_eq!(answer["choices"][0]["finish_reason"], "content_filter");
    assert_eq!(answer["choices"][0]["message"]["content"], Value::Null);
}

#[tokio::test]
async fn vertex_chats_streams_and_embeds() {
    let stage = vertex("gemini-2.5-flash").await;
    let answer = stage.chat(&with(chat(), "metadata", json!({"team": "blue"}))).await;
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(stage.sent()["labels"], json!({"team": "blue"}));
    let chunks = stage.stream(&with(chat(), "stream", json!(true))).await;
    assert!(!text(&chunks).is_empty());
    stage.chat(&with_tools()).await;
    for model in ["text-embedding-005", "gemini-embedding-001"] {
        let stage = vertex(model).await;
        let reply = stage.post("/v1/embeddings", &json!({"model": MODEL, "input": ["a", "b"]})).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.json()["data"].as_array().unwrap().len(), 2);
    }
}

const PATH: &str = "/v1beta/models/public-name:";

/// A request of a client that speaks Gemini's dialect.
fn contents() -> Value {
    json!({
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
        "generationConfig": {"maxOutputTokens": 600, "topK": 40.0},
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
    })
}

#[tokio::test]
async fn its_own_clients_pass_through() {
    for stage in [gemini("gemini-2.5-flash").await, vertex("gemini-2.5-flash").await] {
        let usage = Usage { prompt: 1000, completion: 500, cached: 400, reasoning: 300 };
        stage.upstream.next(Script::pieces(2).usage(usage));
        let reply = stage.post(&format!("{PATH}generateContent"), &contents()).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(stage.sent(), contents(), "nothing is changed");
        let answer = reply.json();
        assert_eq!(answer["usageMetadata"]["thoughtsTokenCount"], 300, "{answer}");
        stage.upstream.next(Script::pieces(3).trickle());
        let path = format!("{PATH}streamGenerateContent?alt=sse");
        let rest = stage.alice().stream(&path, &contents()).await.rest().await;
        assert!(rest.clean, "{rest:?}");
        let pieces: Vec<Value> = rest.events.iter().map(Event::json).collect();
        let texts = pieces.iter().filter_map(|piece| piece["candidates"][0]["content"]["parts"][0]["text"].as_str());
        assert_eq!(texts.collect::<String>(), "t0 t1 t2 ");
        let columns = ["operation", "prompt_tokens", "completion_tokens", "cost_nano", "estimated"];
        let rows = spend::rows(&stage.gateway.database(), ("spend", "sequence"), &columns, 2).await;
        let expected = json!({"operation": "generate_content", "prompt_tokens": 1000, "completion_tokens": 500,
            "cost_nano": 1_442_000, "estimated": 0});
        assert_eq!(rows[0], expected);
        assert_eq!((&rows[1]["prompt_tokens"], &rows[1]["estimated"]), (&json!(10), &json!(0)));
    }
}

#[tokio::test]
async fn its_own_clients_read_its_errors() {
    let stage = gemini("gemini-2.5-flash").await;
    let mut body = contents();
    body["contents"][0]["role"] = json!("narrator");
    let reply = stage.post(&format!("{PATH}generateContent"), &body).await;
    let told = reply.json();
    assert_eq!((reply.status, &told["error"]["status"]), (400, &json!("INVALID_ARGUMENT")), "{told}");
    assert!(told["error"]["message"].as_str().unwrap().contains("valid role"), "{told}");
}

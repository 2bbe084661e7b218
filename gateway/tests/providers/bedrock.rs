//! Bedrock.

use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::{Value, json};
use turnpike_testkit::{
    Script,
    manifest::Manifest,
    provider::{Bedrock, event, exception},
    sigv4::Account,
    spend,
    upstream::Usage,
};

use crate::stage::{MODEL, Stage, UPSTREAM_KEY, chat, text, with, with_tools};

const SONNET: &str = "us.anthropic.claude-sonnet-4-20250514-v1:0";
const EVENTS: &str = "application/vnd.amazon.eventstream";

async fn stage() -> Stage {
    of(SONNET, |model| model).await
}

pub(crate) async fn of(model: &'static str, edit: impl FnOnce(Manifest) -> Manifest) -> Stage {
    static WITH_A_KEY: Bedrock = Bedrock { account: None };
    let edit = |model: Manifest| edit(model.with("provider.region", json!("us-east-1")));
    Stage::with("Bedrock", model, &WITH_A_KEY, edit).await
}

/// One to which requests are signed, whose id and secret are both the upstream's key of other tests.
pub(crate) async fn signed(region: &str, model: &'static str) -> Stage {
    static WITH_AN_ACCOUNT: LazyLock<Bedrock> =
        LazyLock::new(|| Bedrock { account: Some(Account::bedrock(UPSTREAM_KEY, UPSTREAM_KEY)) });
    let secret = json!({"secretRef": {"name": "upstream", "key": "api-key"}});
    let aws = json!({"aws": {"accessKeyId": secret, "secretAccessKey": secret}});
    let edit = |model: Manifest| model.with("provider.region", json!(region)).with("provider.credentials", aws);
    Stage::with("Bedrock", model, &*WITH_AN_ACCOUNT, edit).await
}

fn streamed() -> Value {
    with(with(chat(), "stream", json!(true)), "stream_options", json!({"include_usage": true}))
}

fn events(parts: &[Bytes]) -> Script {
    Script::raw(EVENTS, parts.concat())
}

#[tokio::test]
async fn chats_and_charges_what_the_cache_served_apart() {
    let stage = stage().await;
    stage.upstream.next(Script::pieces(2).usage(Usage { prompt: 1000, completion: 500, cached: 400, reasoning: 0 }));
    let answer = stage.chat(&with(chat(), "max_completion_tokens", json!(600))).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "t0 t1 ");
    assert_eq!((&answer["model"], &answer["usage"]["prompt_tokens"]), (&json!(MODEL), &json!(1000)));
    assert_eq!(answer["usage"]["prompt_tokens_details"]["cached_tokens"], 400);
    let seen = stage.upstream.log().pop().unwrap();
    assert_eq!(seen.target, "/model/us.anthropic.claude-sonnet-4-20250514-v1%3A0/converse");
    assert_eq!(
        (&stage.sent()["inferenceConfig"], &stage.sent()["system"]),
        (&json!({"maxTokens": 600}), &json!([{"text": "Be brief."}]))
    );
    let columns = ["provider", "prompt_tokens", "cached_tokens", "completion_tokens", "cost_nano"];
    let rows = spend::rows(&stage.gateway.database(), ("spend", "sequence"), &columns, 1).await;
    // 600 tokens at 3 USD a million, 400 at 0.30, and 500 at 15.
    let cost = 1_800_000 + 120_000 + 7_500_000;
    let expected = json!({"provider": "aws.bedrock", "prompt_tokens": 1000, "cached_tokens": 400, "completion_tokens": 500, "cost_nano": cost});
    assert_eq!(rows[0], expected);
}

#[tokio::test]
async fn signs_what_it_sends() {
    let stage = signed("us-east-1", SONNET).await;
    stage.chat(&with(chat(), "user", json!("\u{e6}"))).await;
    stage.stream(&streamed()).await;
    let elsewhere = signed("eu-west-1", SONNET).await;
    let (status, error) = elsewhere.failure(&chat()).await;
    assert_eq!(status, 502, "{error}");
    let refused = elsewhere.upstream.log().pop().unwrap().refused.unwrap();
    assert!(refused.contains("Credential should be scoped"), "{refused}");
}

#[tokio::test]
async fn streams() {
    let stage = stage().await;
    stage.upstream.next(Script::pieces(3).trickle());
    let chunks = stage.stream(&streamed()).await;
    assert_eq!(text(&chunks), "t0 t1 t2 ");
    assert_eq!(chunks[chunks.len() - 2]["choices"][0]["finish_reason"], "stop");
    assert_eq!(chunks.last().unwrap()["usage"]["total_tokens"], 15);
    assert!(stage.upstream.only().target.ends_with("/converse-stream"));
}

#[tokio::test]
async fn calls_tools_under_the_clients_names() {
    let stage = stage().await;
    stage.chat(&with_tools()).await;
    let own = "files.read/".repeat(8);
    let tool = json!([{"type": "function", "function": {"name": own}}]);
    let request = with(with(chat(), "tools", tool), "tool_choice", json!("required"));
    stage.chat(&request).await;
    let sent = stage.sent()["toolConfig"]["tools"][0]["toolSpec"]["name"].as_str().unwrap().to_owned();
    assert_ne!(sent, own);
    let called = json!({"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "tooluse_1", "name": sent}}});
    stage.upstream.next(events(&[
        event("messageStart", &json!({"role": "assistant"})),
        event("contentBlockStart", &called),
        event("contentBlockDelta", &json!({"contentBlockIndex": 0, "delta": {"toolUse": {"input": "{\"a\":1}"}}})),
        event("contentBlockStop", &json!({"contentBlockIndex": 0})),
        event("messageStop", &json!({"stopReason": "tool_use"})),
    ]));
    let chunks = stage.stream(&with(request, "stream", json!(true))).await;
    assert_eq!(chunks[0]["choices"][0]["delta"]["tool_calls"][0]["function"]["name"], json!(own));
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");
}

#[tokio::test]
async fn gives_an_answer_of_a_schema() {
    let stage = stage().await;
    let schema = json!({"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]});
    let format = json!({"type": "json_schema", "json_schema": {"name": "person", "schema": schema}});
    let call = json!({"toolUse": {"toolUseId": "t", "name": "json_tool_call", "input": {"age": 3}}});
    let answer = json!({"output": {"message": {"role": "assistant", "content": [call]}}, "stopReason": "tool_use",
        "usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}});
    stage.upstream.next(Script::raw("application/json", answer.to_string()));
    let answer = stage.chat(&with(chat(), "response_format", format)).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "{\"age\":3}");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn reranks_and_charges_by_the_search() {
    for (model, cost) in [("cohere.rerank-v3-5:0", 2 * 2_000_000), ("amazon.rerank-v1:0", 2 * 1_000_000)] {
        let stage = of(model, |model| model).await;
        // One search for every hundred documents.
        let documents: Vec<String> = (0..150).map(|at| format!("d{at}")).collect();
        let body = json!({"model": MODEL, "query": "q", "documents": documents, "top_n": 1, "return_documents": true});
        let reply = stage.post("/v1/rerank", &body).await;
        assert_eq!(reply.status, 200, "{reply:?}; {:?}", stage.upstream.log().last());
        let expected = json!([{"index": 149, "relevance_score": 0.98, "document": {"text": "d149"}}]);
        assert_eq!(reply.json()["results"], expected);
        assert!(stage.upstream.only().target.ends_with("/invoke"));
        let rows = spend::rows(&stage.gateway.database(), ("spend", "sequence"), &["cost_nano"], 1).await;
        assert_eq!(rows[0], json!({ "cost_nano": cost }));
    }
}

#[tokio::test]
async fn embeds() {
    let titan = of("amazon.titan-embed-text-v2:0", |model| model).await;
    let one = titan.post("/v1/embeddings", &json!({"model": MODEL, "input": "a", "encoding_format": "base64"})).await;
    assert_eq!(one.status, 200, "{one:?}");
    assert!(one.json()["data"][0]["embedding"].is_string());
    assert_eq!(one.json()["usage"]["prompt_tokens"], 10);
    let cohere = of("cohere.embed-english-v3", |model| model).await;
    let two = cohere.post("/v1/embeddings", &json!({"model": MODEL, "input": ["a", "b"]})).await;
    assert_eq!((two.status, two.json()["data"].as_array().unwrap().len()), (200, 2), "{two:?}");
    let nova = of("amazon.nova-2-multimodal-embeddings-v1:0", |model| model).await;
    let body = json!({"model": MODEL, "input": ["a", "b"], "dimensions": 256, "input_type": "clustering"});
    let two = nova.post("/v1/embeddings", &body).await;
    assert_eq!((two.status, two.json()["data"].as_array().unwrap().len()), (200, 2), "{two:?}");
}

#[tokio::test]
async fn fails_as_clients_expect() {
    let stage = stage().await;
    let refuse = |status, name: &str, message: &str| {
        let body = json!({"message": message}).to_string();
        stage.upstream.next(Script::raw("application/json", body).status(status).header("x-amzn-errortype", name));
    };
    refuse(400, "ValidationException", "Input is too long for requested model.");
    let (status, error) = stage.failure(&chat()).await;
    assert_eq!((status, &error["code"]), (400, &json!("context_length_exceeded")), "{error}");
    refuse(429, "ThrottlingException", "Too many tokens, please wait before trying again.");
    assert_eq!(stage.failure(&chat()).await.0, 429);
    refuse(424, "ModelErrorException", "The system encountered an unexpected error.");
    assert_eq!(stage.failure(&chat()).await.0, 502);
    let (status, error) = stage.failure(&with(chat(), "seed", json!(2))).await;
    assert_eq!((status, &error["param"]), (400, &json!("seed")), "{error}");
}

#[tokio::test]
async fn a_stream_that_fails_at_once_is_an_error_and_later_one_is_told_within() {
    let stage = stage().await;
    stage.upstream.next(events(&[exception("throttlingException", "Too many requests, please wait.")]));
    assert_eq!(stage.failure(&streamed()).await.0, 429);
    stage.upstream.next(events(&[
        event("messageStart", &json!({"role": "assistant"})),
        event("contentBlockDelta", &json!({"contentBlockIndex": 0, "delta": {"text": "Os"}})),
        exception("modelStreamErrorException", "The model failed."),
    ]));
    let reply = stage.post("/v1/chat/completions", &streamed()).await;
    assert_eq!(reply.status, 200);
    assert!(reply.text().contains("\"Os\"") && reply.text().contains("The model failed."), "{reply:?}");
    assert!(!reply.text().contains("[DONE]"), "{reply:?}");
}

//! Embeddings of several texts by a model that takes one text a call: one request, one hold, one row, several calls.

use serde_json::{Value, json};
use turnpike_testkit::{
    Client, Script,
    client::Reply,
    spend,
    upstream::{Gate, refused_url},
};

use crate::{
    bedrock::{of, signed},
    stage::{MODEL, Stage},
};

const TITAN: &str = "amazon.titan-embed-text-v2:0";
/// As it stands in the path.
const SEGMENT: &str = "amazon.titan-embed-text-v2%3A0";

async fn stage() -> Stage {
    signed("us-east-1", TITAN).await
}

/// The number of a text.
fn number(asked: &Value) -> u64 {
    asked["inputText"].as_str().unwrap().parse().unwrap()
}

/// The vector of text `n` is `[n]`, and it has n tokens.
fn vector(asked: &Value) -> Script {
    let number = number(asked);
    Script::raw("application/json", json!({"embedding": [number], "inputTextTokenCount": number}).to_string())
}

fn throttled() -> Script {
    Script::raw("application/json", json!({"message": "Too many requests"}).to_string())
        .status(429)
        .header("x-amzn-errortype", "ThrottlingException")
}

async fn embed(client: &Client, count: u64) -> Reply {
    let texts: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    client.post("/v1/embeddings", &json!({"model": MODEL, "input": texts})).await
}

async fn row(stage: &Stage) -> Value {
    let columns = ["status", "prompt_tokens", "cost_nano", "estimated"];
    let mut rows = spend::rows(&stage.gateway.database(), ("spend", "sequence"), &columns, 1).await;
    rows.remove(0)
}

#[tokio::test]
async fn answers_in_order_and_charges_the_sum() {
    let stage = stage().await;
    stage.upstream.decide(SEGMENT, vector);
    let reply = embed(&stage.alice(), 40).await;
    assert_eq!(reply.status, 200, "{reply:?}; {:?}", stage.upstream.log().last());
    let answer = reply.json();
    let expected: Vec<Value> = (0..40).map(|n| json!({"object": "embedding", "index": n, "embedding": [n]})).collect();
    assert_eq!(answer["data"], json!(expected));
    assert_eq!(answer["usage"], json!({"prompt_tokens": 780, "total_tokens": 780}));
    assert_eq!(stage.upstream.calls(), 40);
    // 0.02 USD a million.
    let expected = json!({"status": 200, "prompt_tokens": 780, "cost_nano": 780 * 20, "estimated": 0});
    assert_eq!(row(&stage).await, expected);
}

#[tokio::test]
async fn fails_whole_with_the_error_of_one() {
    let stage = stage().await;
    stage.upstream.decide(SEGMENT, |asked| if number(asked) == 20 { throttled() } else { vector(asked) });
    let reply = embed(&stage.alice(), 40).await;
    assert_eq!((reply.status, reply.error_code()), (429, "rate_limit_exceeded".to_owned()), "{reply:?}");
    // At least the calls before it were answered: that is paid for.
    let row = row(&stage).await;
    assert_eq!((&row["status"], &row["estimated"]), (&json!(429), &json!(1)), "{row}");
    assert!(row["cost_nano"].as_i64().unwrap() > 0, "{row}");
}

#[tokio::test]
async fn costs_nothing_where_no_call_was_sent() {
    let nobody = refused_url().await;
    let stage = of(TITAN, |model| model.with("provider.baseURL", json!(nobody))).await;
    assert_eq!(embed(&stage.alice(), 40).await.status, 503);
    let row = row(&stage).await;
    assert_eq!((&row["cost_nano"], &row["prompt_tokens"]), (&json!(null), &json!(0)), "{row}");
}

#[tokio::test]
async fn asks_a_few_at_a_time_and_no_more_once_the_client_has_left() {
    let stage = stage().await;
    let gate = Gate::default();
    let held = gate.clone();
    stage.upstream.decide(SEGMENT, move |asked| vector(asked).head_after(&held));
    let client = stage.alice();
    let asking = tokio::spawn(async move { embed(&client, 40).await });
    stage.upstream.wait_for("calls side by side", |log| log.len() >= 8).await;
    asking.abort();
    let row = row(&stage).await;
    assert_eq!((&row["status"], &row["estimated"]), (&json!(499), &json!(1)), "{row}");
    gate.open(40);
    assert_eq!(stage.upstream.calls(), 8);
}

//! Wildcard names: what they match, what it costs, and who may call it.

use serde_json::{Value, json};
use turnpike_testkit::{
    Script, Upstream,
    manifest::{self, Manifest},
    spend::rows,
    upstream::Usage,
};

use crate::stage::{CHAT, MODEL, Stage, chat, credentials, model, streamed_with_usage, with};

/// Tokens of every answer here.
const USAGE: Usage = Usage { prompt: 1000, completion: 100, cached: 400, reasoning: 0 };
/// nano-USD of them at gpt-4o-mini's 0.15, 0.075 (cached) and 0.60 USD per million.
const MINI_COST: i64 = 600 * 150 + 400 * 75 + 100 * 600;
/// The same in USD.
const MINI_USD: &str = "0.00018";

/// A wildcard of this provider.
fn wildcard(kind: &str, name: &str, (public, served): (&str, &str), upstream: &Upstream) -> Manifest {
    manifest::provider(kind, name, &upstream.url())
        .with("modelName", public)
        .with("provider.model", served)
        .with("provider.credentials", credentials())
}

async fn stage() -> Stage {
    Stage::with(|setup, upstream| {
        setup.manifests(&[
            wildcard("OpenAI", "openai", ("openai/*", "*"), upstream),
            wildcard("OpenAICompatible", "local", ("local/*", "*"), upstream),
            wildcard("OpenAI", "fixed", ("mini/*", "gpt-4o-mini"), upstream),
            wildcard("OpenAI", "dear", ("dear/*", "*"), upstream)
                .with("price", json!({"inputPerMillion": "1", "outputPerMillion": "2"})),
        ])
    })
    .await
}

/// What one model's calls left behind: a whole answer, a stream, and a call whose tokens nobody counted.
async fn cost_everywhere(stage: &Stage, model: &str) -> (Option<String>, Value, Vec<Value>) {
    let before = stage.upstream.log().len();
    for usage in [Some(USAGE), Some(USAGE), None] {
        stage.upstream.next(Script::chat("Hi").usage(usage));
    }
    let ask = |body: Value| with(body, "model", json!(model));
    let whole = stage.alice().post(CHAT, &ask(chat())).await;
    assert_eq!(whole.status, 200, "{whole:?}");
    let header = whole.header("x-litellm-response-cost").map(str::to_owned);
    let rest = stage.alice().stream(CHAT, &ask(streamed_with_usage())).await.rest().await;
    let mut usages =
        rest.events.iter().filter(|event| event.data != "[DONE]").map(|event| event.json()["usage"].clone());
    let usage = usages.rfind(|usage| !usage.is_null()).unwrap();
    assert_eq!(usage["prompt_tokens"], 1000, "{usage}");
    assert_eq!(stage.alice().post(CHAT, &ask(chat())).await.status, 200);
    let columns = ["requested_model", "upstream_model", "cost_nano", "estimated"];
    let mut all = rows(&stage.gateway.database(), ("spend", "sequence"), &columns, before + 3).await;
    all.retain(|row| row["requested_model"] == model);
    assert_eq!(all.len(), 3, "{all:?}");
    (header, usage, all)
}

#[tokio::test]
async fn the_price_is_that_of_what_was_matched() {
    let stage = stage().await;
    // A dated name that the table does not list has the price of its model.
    for (model, served) in [
        ("openai/gpt-4o-mini", "gpt-4o-mini"),
        ("openai/gpt-4o-mini-2030-01-01", "gpt-4o-mini-2030-01-01"),
        ("mini/whatever", "gpt-4o-mini"),
    ] {
        let (header, usage, rows) = cost_everywhere(&stage, model).await;
        assert_eq!(header.as_deref(), Some(MINI_USD), "{model}");
        assert!((usage["cost"].as_f64().unwrap() - 0.00018).abs() < 1e-12, "{model}: {usage}");
        assert_eq!(stage.upstream.log().pop().unwrap().json()["model"], served);
        for row in &rows[..2] {
            assert_eq!((&row["cost_nano"], &row["estimated"]), (&json!(MINI_COST), &json!(0)), "{model}: {row}");
            assert_eq!(row["upstream_model"], served);
        }
        assert!(rows[2]["estimated"] == 1 && rows[2]["cost_nano"].as_i64() > Some(0), "{model}: {rows:?}");
    }
}

#[tokio::test]
async fn a_price_of_the_manifest_goes_before_the_table() {
    let stage = stage().await;
    let (header, usage, rows) = cost_everywhere(&stage, "dear/gpt-4o-mini").await;
    assert_eq!(header.as_deref(), Some("0.0012"));
    assert!((usage["cost"].as_f64().unwrap() - 0.0012).abs() < 1e-12, "{usage}");
    assert_eq!(rows[0]["cost_nano"], 1_200_000);
}

#[tokio::test]
async fn an_unknown_price_is_no_cost_rather_than_none_to_pay() {
    let stage = stage().await;
    // OpenAICompatible serves anybody's models: a name of OpenAI's says nothing about their price.
    for model in ["openai/gpt-99-ultra", "local/gpt-4o-mini"] {
        let (header, usage, rows) = cost_everywhere(&stage, model).await;
        assert_eq!(header, None, "{model}");
        assert_eq!(usage.get("cost"), None, "{model}: {usage}");
        for row in rows {
            assert_eq!(row["cost_nano"], Value::Null, "{model}: {row}");
        }
    }
}

#[tokio::test]
async fn the_most_specific_wildcard_wins() {
    let stage = Stage::with(|setup, upstream| {
        let wild = |name: &str, public: &str, served: &str| {
            model(name, upstream).with("modelName", public).with("provider.model", served)
        };
        setup.manifests(&[
            wild("w1", "*", "any:*"),
            wild("w2", "openai/*", "openai:*"),
            wild("w3", "openai/gpt-*", "gpt:*"),
            wild("w4", "openai/gpt-4o", "exact"),
            wild("w5", "fixed/*", "one-for-all"),
        ])
    })
    .await;
    for (asked, served) in [
        ("openai/gpt-4o", "exact"),
        ("openai/gpt-4o-mini", "gpt:4o-mini"),
        // The star stands for something.
        ("openai/gpt-", "openai:gpt-"),
        ("openai/o4-mini", "openai:o4-mini"),
        ("openai/", "any:openai/"),
        ("llama/3/8b:q4", "any:llama/3/8b:q4"),
        ("a*b", "any:a*b"),
        ("fixed/whatever", "one-for-all"),
        (MODEL, crate::stage::UPSTREAM_MODEL),
    ] {
        let reply = stage.alice().post(CHAT, &with(chat(), "model", json!(asked))).await;
        assert_eq!(reply.status, 200, "{asked}: {reply:?}");
        assert_eq!(stage.upstream.log().pop().unwrap().json()["model"], served, "{asked}");
        assert_eq!(reply.json()["model"], asked);
    }
}

#[tokio::test]
async fn wildcards_are_not_listed_but_what_they_match_is_found() {
    let stage = stage().await;
    let list = stage.alice().get("/v1/models").await.json();
    let ids: Vec<&str> = list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [MODEL]);
    for id in ["openai%2Fx", "openai/x", "openai%2Fgpt-4o-mini", "local/meta/llama:8b"] {
        let reply = stage.alice().get(&format!("/v1/models/{id}")).await;
        assert_eq!(reply.status, 200, "{id}: {reply:?}");
        assert_eq!(reply.json()["id"], id.replace("%2F", "/"));
    }
    for id in ["openai%2F", "openai", "other%2Fx"] {
        let reply = stage.alice().get(&format!("/v1/models/{id}")).await;
        assert_eq!((reply.status, reply.error_code().as_str()), (404, "model_not_found"), "{id}");
    }
}

#[tokio::test]
async fn keys_may_be_limited_to_part_of_a_wildcard() {
    const GPT: &str = "sk-gpt-0123456789abcdef";
    const WHOLE: &str = "sk-whole-0123456789abcdef";
    let stage = Stage::with(|setup, upstream| {
        setup.manifests(&[
            wildcard("OpenAI", "openai", ("openai/*", "*"), upstream),
            wildcard("OpenAICompatible", "local", ("local/*", "*"), upstream),
            manifest::key("gpt", GPT).with("allowedModels", json!(["openai/gpt-*"])),
            manifest::key("whole", WHOLE).with("allowedModels", json!(["openai/*"])),
        ])
    })
    .await;
    for (key, name, status) in [
        (GPT, "openai/gpt-4o-mini", 200),
        (GPT, "openai/gpt-5", 200),
        (GPT, "openai/o3", 404),
        (GPT, "openai/*", 404),
        (GPT, "local/gpt-4o-mini", 404),
        (GPT, MODEL, 404),
        (WHOLE, "openai/gpt-4o-mini", 200),
        (WHOLE, "openai/o3", 200),
        (WHOLE, "local/x", 404),
    ] {
        let client = stage.gateway.client().with_key(key);
        let before = stage.upstream.log().len();
        let reply = client.post(CHAT, &with(chat(), "model", json!(name))).await;
        assert_eq!(reply.status, status, "{key} {name}: {reply:?}");
        assert_eq!(stage.upstream.log().len() - before, usize::from(status == 200));
        let found = client.get(&format!("/v1/models/{}", name.replace('/', "%2F"))).await;
        assert_eq!(found.status, status, "GET says the same: {key} {name}");
        if status == 404 {
            assert_eq!(reply.error_code(), "model_not_found");
        }
    }
}

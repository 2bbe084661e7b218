//! Requests that mean the same: answered by one another's answers where all but the last message is equal.

use serde_json::{Value, json};
use turnpike_testkit::{
    Client, Script, Upstream,
    client::Reply,
    manifest::{self, Manifest},
    spend,
};

use crate::stage::{CHAT, MODEL, Stage, ask, cache, chat, is_hit, with};

const EMBEDDER: &str = "embedder";

/// The model, one that compares requests to it, and two keys.
pub(crate) fn objects(upstream: &Upstream) -> Vec<Manifest> {
    let cache = json!({
        "enabled": true, "scope": "Team", "semantic": {"threshold": "0.9", "embeddingModel": EMBEDDER},
    });
    let price = json!({"inputPerMillion": "0.10", "outputPerMillion": "0"});
    let embedder = manifest::model(EMBEDDER, &upstream.url()).with("price", price);
    // They may call the one, and have its requests compared by the other.
    let keys = crate::stage::keys().map(|key| key.with("allowedModels", json!([MODEL])));
    [crate::stage::model(upstream, cache), embedder].into_iter().chain(keys).collect()
}

/// A gateway whose upstream also embeds.
async fn stage() -> Stage {
    let upstream = turnpike_testkit::upstream::Demands::default().start().await;
    let gateway = crate::stage::setup().manifests(&objects(&upstream)).start().await;
    Stage { upstream, gateway }
}

/// The next text means this.
pub(crate) fn means(upstream: &Upstream, vector: &[f32]) {
    let body = json!({
        "object": "list", "model": EMBEDDER, "usage": {"prompt_tokens": 4, "total_tokens": 4},
        "data": [{"object": "embedding", "index": 0, "embedding": vector}],
    });
    upstream.next_for(EMBEDDER, Script::raw("application/json", body.to_string()));
}

async fn say(stage: &Stage, client: &Client, vector: &[f32], body: &Value) -> Reply {
    means(&stage.upstream, vector);
    client.post(CHAT, body).await
}

/// How often the model itself was asked.
pub(crate) fn answered(upstream: &Upstream) -> usize {
    upstream.log().iter().filter(|seen| seen.target.ends_with("/chat/completions")).count()
}

#[tokio::test]
async fn a_question_put_in_other_words_has_the_same_answer() {
    let stage = stage().await;
    let client = stage.alice();
    let first = say(&stage, &client, &[1.0, 0.1, 0.0], &chat("What is Python?")).await;
    assert!(!is_hit(&first));
    let alike = say(&stage, &client, &[1.0, 0.2, 0.0], &chat("Tell me what Python is")).await;
    assert!(is_hit(&alike));
    let similarity: f32 = alike.header("x-litellm-semantic-similarity").unwrap().parse().unwrap();
    assert!((0.99..1.0).contains(&similarity), "{similarity}");
    assert_eq!(alike.json(), first.json());
    let far = say(&stage, &client, &[0.0, 1.0, 0.5], &chat("What is Rust?")).await;
    assert!(!is_hit(&far));
    // The same words need no comparison.
    let same = client.post(CHAT, &chat("What is Python?")).await;
    assert!(is_hit(&same));
    assert_eq!(same.header("x-litellm-semantic-similarity"), None);
    assert_eq!(answered(&stage.upstream), 2);
    stage.gateway.metric_is("turnpike_cache_embeddings", "", 2.0).await;

    // Each comparison is a request of its own, on the caller's account.
    let columns = ["operation", "key_id", "requested_model", "cost_nano", "prompt_tokens", "outcome", "tags"];
    let rows = spend::rows(&stage.gateway.database(), ("spend", "sequence"), &columns, 7).await;
    let embeddings: Vec<&Value> = rows.iter().filter(|row| row["operation"] == "embeddings").collect();
    assert_eq!(embeddings.len(), 3);
    for row in embeddings {
        assert_eq!((&row["requested_model"], &row["outcome"]), (&json!(EMBEDDER), &json!("success")));
        assert_eq!((&row["cost_nano"], &row["prompt_tokens"]), (&json!(400), &json!(4)));
        assert_eq!(row["key_id"], rows[0]["key_id"]);
        assert_eq!(row["tags"], "[\"semantic-cache\"]");
    }
}

#[tokio::test]
async fn only_the_last_message_may_differ() {
    let stage = stage().await;
    let client = stage.alice();
    let vector = [0.3, 0.4, 0.5];
    let conversation = |system: &str, text: &str| {
        json!({"model": MODEL, "messages": [
            {"role": "system", "content": system}, {"role": "user", "content": text},
        ]})
    };
    assert!(!is_hit(&say(&stage, &client, &vector, &conversation("Be brief", "one")).await));
    assert!(is_hit(&say(&stage, &client, &vector, &conversation("Be brief", "two")).await));
    for other in [
        conversation("Be long", "three"),
        with(conversation("Be brief", "three"), "temperature", json!(0.1)),
        with(conversation("Be brief", "three"), "tools", json!([{"type": "function", "function": {"name": "f"}}])),
        with(conversation("Be brief", "three"), "stream", json!(true)),
        cache(conversation("Be brief", "three"), json!({"namespace": "x"})),
        chat("three"),
    ] {
        assert!(!is_hit(&say(&stage, &client, &vector, &other).await), "{other}");
    }
    // Another key of the team shares them.
    assert!(is_hit(&say(&stage, &stage.bob(), &vector, &conversation("Be brief", "four")).await));
}

#[tokio::test]
async fn a_request_that_cannot_be_compared_is_not() {
    let stage = stage().await;
    let client = stage.alice();
    let image = json!([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]);
    let with_image = json!({"model": MODEL, "messages": [{"role": "user", "content": image}]});
    let after_tool = json!({"model": MODEL, "messages": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "1"},
    ]});
    for body in [with_image, after_tool] {
        assert!(!ask(&client, &body).await);
        assert!(ask(&client, &body).await, "the very same is found");
    }
    let embedded = stage.upstream.log().iter().filter(|seen| seen.target.ends_with("/embeddings")).count();
    assert_eq!(embedded, 0);
}

#[tokio::test]
async fn a_failing_embedder_fails_no_request() {
    let stage = stage().await;
    let client = stage.alice();
    for number in 0..10 {
        stage.upstream.next_for(EMBEDDER, Script::error(400, "no", "bad"));
        assert!(!ask(&client, &chat(&format!("question {number}"))).await);
    }
    // After a few in a row it is left alone for a while.
    let tried = stage.upstream.log().iter().filter(|seen| seen.target.ends_with("/embeddings")).count();
    assert!((3..10).contains(&tried), "{tried}");
    assert!(ask(&client, &chat("question 9")).await);
}

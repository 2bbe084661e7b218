//! Clients of other dialects than chat completions: their routes, and errors in their own words.

use serde_json::{Value, json};
use turnpike_testkit::{Script, client::Reply, manifest, spend::query_json, upstream::Usage, wait::eventually};

use crate::stage::{ALICE, CHAT, MODEL, Stage, UPSTREAM_MODEL, chat};

const BOB: &str = "sk-bob-0123456789abcdef";

/// Anthropic's route.
const MESSAGES: &str = "/v1/messages";
const COUNT: &str = "/v1/messages/count_tokens";

/// A request of Anthropic's dialect.
fn message() -> Value {
    json!({"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]})
}

/// Status, type and message of an error in Anthropic's shape, whose id must be the header's.
fn anthropic_error(reply: &Reply) -> (u16, String, String) {
    let body = reply.json();
    assert_eq!(body["type"], "error", "{body}");
    assert_eq!(body["request_id"].as_str(), reply.header("request-id"), "{body}");
    assert_eq!(reply.header("request-id"), reply.header("x-request-id"));
    let text = |name: &str| body["error"][name].as_str().unwrap().to_owned();
    (reply.status, text("type"), text("message"))
}

#[tokio::test]
async fn anthropic_s_clients_read_errors_in_their_own_shape() {
    let stage = Stage::new().await;
    let alice = stage.alice();
    let unknown = alice.post(MESSAGES, &json!({"model": "nope", "max_tokens": 1, "messages": []})).await;
    let (status, kind, text) = anthropic_error(&unknown);
    assert_eq!((status, kind.as_str()), (404, "not_found_error"));
    assert!(text.contains("`nope`"), "{text}");
    let nobody = stage.gateway.client().post(MESSAGES, &message()).await;
    let (status, kind, _) = anthropic_error(&nobody);
    assert_eq!((status, kind.as_str()), (401, "authentication_error"));
    for body in ["{", r#"{"model": "m", "model": "n"}"#, "{}"] {
        let (status, kind, _) = anthropic_error(&alice.post_bytes(MESSAGES, body).await);
        assert_eq!((status, kind.as_str()), (400, "invalid_request_error"), "{body}");
    }
    let batches = alice.get("/v1/messages/batches").await;
    assert_eq!(anthropic_error(&batches).0, 404);
    assert_eq!(anthropic_error(&alice.get(MESSAGES).await).0, 405);
    assert!(stage.upstream.log().is_empty(), "nothing of this went on");
}

#[tokio::test]
async fn an_exhausted_budget_is_not_worth_a_retry_to_anthropic_s_clients() {
    let limit = json!([{"window": "Day", "usd": "0.001"}]);
    let stage = Stage::with_model(
        |model| model.with("price", json!({"inputPerMillion": "1.00", "outputPerMillion": "1.00"})),
        |setup, _| setup.manifests(&[manifest::key("bob", BOB).with("budget", limit)]),
    )
    .await;
    let all = Usage { prompt: 10, completion: 990, cached: 0, reasoning: 0 };
    stage.upstream.always(UPSTREAM_MODEL, Script::chat("Hi").usage(all));
    let bob = stage.gateway.client().with_key(BOB);
    assert_eq!(bob.post(CHAT, &chat()).await.status, 200);
    let path = stage.gateway.database();
    let sql = "select json_object('spent', sum(cost_nano)) from spend";
    eventually("all is spent", || async {
        query_json(&path, sql).await?["spent"].as_i64().filter(|it| *it == 1_000_000)
    })
    .await;
    let refused = bob.post(MESSAGES, &message()).await;
    let (status, kind, text) = anthropic_error(&refused);
    assert_eq!((status, kind.as_str()), (429, "rate_limit_error"));
    assert!(text.contains("Budget exceeded: VirtualKey default/bob"), "{text}");
    assert_eq!(refused.header("x-should-retry"), Some("false"));
    assert!(refused.header("x-turnpike-reset-at").is_some());
}

#[tokio::test]
async fn tokens_are_counted_here_where_the_upstream_does_not() {
    let stage = Stage::with(|setup, _| setup.manifests(&[manifest::mock("canned", "Hello")])).await;
    for (path, model) in [(COUNT, MODEL), ("/messages/count_tokens", MODEL), (COUNT, "canned")] {
        let body = json!({
            "model": model, "system": [{"type": "text", "text": "tiktoken is great!"}],
            "messages": [{"role": "user", "content": [{"type": "text", "text": "tiktoken is great!"}]}],
        });
        let request = stage.gateway.client().json(path, &body, &[("x-api-key", ALICE)]);
        let reply = stage.gateway.client().send(request).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        // Twice six tokens, and what stands around messages.
        assert!((12..30).contains(&reply.json()["input_tokens"].as_u64().unwrap()), "{reply:?}");
    }
    assert!(stage.upstream.log().is_empty());
    let labels = r#"route="/v1/messages/count_tokens""#;
    stage.gateway.metric_is("litellm_proxy_total_requests_metric_total", labels, 3.0).await;
}

#[tokio::test]
async fn rows_tell_the_route_and_anthropic_s_end_user() {
    let stage = Stage::new().await;
    let mut body = message();
    body["metadata"] = json!({"user_id": "user_7"});
    assert_eq!(stage.alice().post(COUNT, &body).await.status, 200);
    let sql = "select json_object('operation', operation, 'end_user', end_user, 'cost', cost_nano, \
               'tokens', prompt_tokens + completion_tokens) from spend";
    let path = stage.gateway.database();
    let row = eventually("a row", || async { query_json(&path, sql).await }).await;
    assert_eq!(
        (&row["operation"], &row["end_user"], &row["tokens"]),
        (&json!("count_tokens"), &json!("user_7"), &json!(0))
    );
}

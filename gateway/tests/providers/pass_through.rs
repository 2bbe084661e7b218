//! Providers' own APIs through the gateway: `/anthropic/...`, `/gemini/...` and the like.

use std::sync::LazyLock;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use turnpike_testkit::{
    Script, Upstream,
    client::Reply,
    gateway::Setup,
    manifest::{self, Manifest},
    provider::{Anthropic, Bedrock, Dialect, Gemini, OpenAi},
    sigv4::Account,
    spend,
    upstream::{Demands, Usage},
};

use crate::stage::{ALICE, Stage, UPSTREAM_KEY};

/// A key that may call one model only.
const BOB: &str = "sk-bob-0123456789abcdef";
/// A key with a budget in USD.
const CAROL: &str = "sk-carol-0123456789abcdef";
const SUSPENDED: &str = "sk-dave-0123456789abcdef";
const USAGE: Usage = Usage { prompt: 1000, completion: 500, cached: 0, reasoning: 0 };
const GENERATE: &str = "/gemini/models/gemini-2.5-flash:generateContent";

/// One model under the name `mine`, and pass-through to these providers.
async fn stage(kind: &str, model: &str, dialect: &'static dyn Dialect, enabled: &str) -> Stage {
    staged(kind, model, dialect, (enabled, |model| model)).await
}

async fn staged(
    kind: &str,
    model: &str,
    dialect: &'static dyn Dialect,
    (enabled, edit): (&str, fn(Manifest) -> Manifest),
) -> Stage {
    let upstream = Demands::default().speaks(dialect).api_key(UPSTREAM_KEY).start().await;
    let deployment = manifest::provider(kind, "mine", &upstream.root())
        .with("provider.model", model)
        .with("retry", json!({"attempts": 0}))
        .with("provider.credentials", json!({"secretRef": {"name": "upstream", "key": "api-key"}}));
    let objects = [
        edit(deployment),
        manifest::secret("upstream", "api-key", UPSTREAM_KEY),
        manifest::key("alice", ALICE),
        manifest::key("bob", BOB).with("allowedModels", json!(["mine"])),
        manifest::key("carol", CAROL).with("budget", json!([{"window": "Month", "usd": "0.01"}])),
        manifest::key("dave", SUSPENDED).with("suspended", true),
    ];
    let setup = Setup::new(env!("CARGO_BIN_EXE_turnpike-gateway")).manifests(&objects);
    let setup = if enabled.is_empty() { setup } else { setup.arg("--pass-through").arg(enabled) };
    Stage { upstream, gateway: setup.start().await }
}

/// The rows so far.
async fn rows(stage: &Stage, count: usize) -> Vec<Value> {
    let columns = ["operation", "requested_model", "upstream_model", "prompt_tokens", "completion_tokens", "cost_nano"];
    spend::rows(&stage.gateway.database(), ("spend", "sequence"), &columns, count).await
}

async fn post_as(stage: &Stage, key: &str, path: &str, body: &Value) -> Reply {
    let reply = stage.gateway.client().with_key(key).post(path, body).await;
    assert!(!reply.text().contains(UPSTREAM_KEY), "{reply:?}");
    reply
}

fn contents(most: u64) -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}], "generationConfig": {"maxOutputTokens": most}})
}

fn message(model: &str) -> Value {
    json!({"model": model, "max_tokens": 600, "messages": [{"role": "user", "content": "Hi"}]})
}

#[tokio::test]
async fn is_off_unless_the_gateway_is_told() {
    let stage = stage("Gemini", "gemini-2.5-flash", &Gemini, "").await;
    let reply = post_as(&stage, ALICE, GENERATE, &contents(9)).await;
    assert_eq!((reply.status, reply.error_code()), (404, "unknown_url".to_owned()));
    let other = self::stage("Gemini", "gemini-2.5-flash", &Gemini, "anthropic,openai").await;
    assert_eq!(post_as(&other, ALICE, GENERATE, &contents(9)).await.status, 404);
    assert!(stage.upstream.log().is_empty() && other.upstream.log().is_empty());
}

#[tokio::test]
async fn a_model_call_in_the_provider_s_dialect_goes_on_as_it_is_and_is_charged() {
    let stage = stage("Gemini", "gemini-2.5-flash", &Gemini, "gemini").await;
    stage.upstream.next(Script::pieces(2).usage(USAGE));
    let body =
        r#"{ "contents":[{"role":"user","parts":[{"text":"Hi"}]}],   "generationConfig":{"maxOutputTokens":600}}"#;
    let request = stage.gateway.client().request(Method::POST, GENERATE).header("content-type", "application/json");
    let request = request.header("x-goog-api-key", BOB).body(Bytes::from_static(body.as_bytes())).unwrap();
    let reply = stage.gateway.client().send(request).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.json()["usageMetadata"]["promptTokenCount"], 1000);
    // 0.30 and 2.50 USD a million.
    assert_eq!(reply.header("x-litellm-response-cost"), Some("0.00155"));
    let sent = stage.upstream.only();
    assert_eq!((&*sent.body, sent.target.as_str()), (body.as_bytes(), "/models/gemini-2.5-flash:generateContent"));
    assert_eq!(sent.header("authorization").or(sent.header("x-api-key")), None, "the client's key stays here");
    let expected = json!({
        "operation": "pass_through", "requested_model": "gemini-2.5-flash", "upstream_model": "gemini-2.5-flash",
        "prompt_tokens": 1000, "completion_tokens": 500, "cost_nano": 1_550_000,
    });
    assert_eq!(rows(&stage, 1).await, [expected]);
}

#[tokio::test]
async fn streams_pass_and_are_charged() {
    let stage = stage("Gemini", "gemini-2.5-flash", &Gemini, "gemini").await;
    stage.upstream.next(Script::pieces(3).usage(USAGE).trickle());
    let path = "/gemini/models/gemini-2.5-flash:streamGenerateContent";
    let streaming = stage.alice().stream(&format!("{path}?alt=sse"), &contents(600)).await;
    assert_eq!(streaming.status, 200);
    assert!(streaming.headers["content-type"].to_str().unwrap().starts_with("text/event-stream"));
    let rest = streaming.rest().await;
    assert!(rest.clean, "{:?}", rest.events);
    assert_eq!(rest.events.last().unwrap().json()["usageMetadata"]["candidatesTokenCount"], 500);
    let row = rows(&stage, 1).await.remove(0);
    assert_eq!((&row["prompt_tokens"], &row["cost_nano"]), (&json!(1000), &json!(1_550_000)));
    // Of an array nobody reads what it used.
    let reply = post_as(&stage, ALICE, path, &contents(600)).await;
    assert_eq!((reply.status, reply.error_code()), (400, "invalid_value".to_owned()));
}

#[tokio::test]
async fn frames_that_are_no_text_pass_too_and_calls_are_signed_anew() {
    static SIGNED: LazyLock<Bedrock> =
        LazyLock::new(|| Bedrock { account: Some(Account::bedrock(UPSTREAM_KEY, UPSTREAM_KEY)) });
    let edit = |model: Manifest| {
        let secret = json!({"secretRef": {"name": "upstream", "key": "api-key"}});
        let aws = json!({"aws": {"accessKeyId": secret, "secretAccessKey": secret}});
        model.with("provider.region", "us-east-1").with("provider.credentials", aws)
    };
    let model = "us.anthropic.claude-3-5-haiku-20241022-v1:0";
    let stage = staged("Bedrock", model, &*SIGNED, ("bedrock", edit)).await;
    stage.upstream.next(Script::pieces(2).usage(USAGE));
    let body = json!({"messages": [{"role": "user", "content": [{"text": "Hi"}]}]});
    let path = "/bedrock/model/us.anthropic.claude-3-5-haiku-20241022-v1%3A0/converse-stream";
    let reply = post_as(&stage, ALICE, path, &body).await;
    assert_eq!(reply.status, 200, "{reply:?}; {:?}", stage.upstream.log());
    assert_eq!(reply.header("content-type"), Some("application/vnd.amazon.eventstream"));
    let row = rows(&stage, 1).await.remove(0);
    // 0.80 and 4 USD a million.
    assert_eq!((&row["upstream_model"], &row["cost_nano"]), (&json!(model), &json!(2_800_000)));
}

#[tokio::test]
async fn calls_that_the_gateway_speaks_itself_are_served_as_on_its_own_routes() {
    let stage = stage("Anthropic", "claude-haiku-4-5-20251001", &Anthropic, "anthropic").await;
    // By the provider's name for it, and by the gateway's.
    for name in ["claude-haiku-4-5-20251001", "mine"] {
        stage.upstream.next(Script::chat("Hello").usage(USAGE));
        let reply = post_as(&stage, BOB, "/anthropic/v1/messages", &message(name)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.json()["content"][0]["text"], "Hello");
        assert_eq!(stage.sent()["model"], "claude-haiku-4-5-20251001");
    }
    let rows = rows(&stage, 2).await;
    assert_eq!(
        (&rows[0]["operation"], &rows[0]["requested_model"]),
        (&json!("messages"), &json!("claude-haiku-4-5-20251001"))
    );
    assert_eq!((&rows[0]["cost_nano"], &rows[1]["requested_model"]), (&json!(3_500_000), &json!("mine")));
    let reply = post_as(&stage, ALICE, "/anthropic/v1/messages", &message("claude-opus-4-5")).await;
    assert_eq!((reply.status, &reply.json()["error"]["type"]), (404, &json!("not_found_error")));
}

#[tokio::test]
async fn other_paths_need_a_key_for_every_model_and_pass_with_their_query() {
    let stage = stage("OpenAI", "gpt-4o-mini", &OpenAi, "openai").await;
    let alice = stage.alice();
    let reply = alice.get("/openai/v1/models?limit=3&after=%2Fa").await;
    assert_eq!((reply.status, &reply.json()["object"]), (200, &json!("list")), "{reply:?}");
    let sent = stage.upstream.only();
    assert_eq!(
        (sent.target.as_str(), sent.header("authorization")),
        ("/v1/models?limit=3&after=%2Fa", Some(&*format!("Bearer {UPSTREAM_KEY}")))
    );
    let body = json!({"model": "gpt-4o-mini", "training_file": "file-1", "prompt": "p"});
    stage.upstream.next(Script::raw("application/json", r#"{"id":"job-1"}"#).status(201));
    let reply = post_as(&stage, ALICE, "/openai/v1/fine_tuning/jobs", &body).await;
    assert_eq!((reply.status, reply.text()), (201, r#"{"id":"job-1"}"#.to_owned()));
    assert_eq!(stage.sent(), body);
    for row in rows(&stage, 2).await {
        assert_eq!((&row["operation"], &row["upstream_model"]), (&json!("pass_through"), &json!("gpt-4o-mini")));
    }
    let calls = stage.upstream.log().len();
    let reply = stage.gateway.client().with_key(BOB).get("/openai/v1/files").await;
    assert_eq!((reply.status, reply.error_code()), (403, "all_models_required".to_owned()));
    // Under a limit in USD: what looks is free, of the rest nobody knows what it costs.
    let reply = post_as(&stage, CAROL, "/openai/v1/fine_tuning/jobs", &body).await;
    assert_eq!((reply.status, reply.error_code()), (400, "cost_not_bounded".to_owned()));
    assert_eq!(stage.upstream.log().len(), calls);
    assert_eq!(stage.gateway.client().with_key(CAROL).get("/openai/v1/files").await.status, 200);
}

#[tokio::test]
async fn budgets_and_keys_hold() {
    let stage = stage("Gemini", "gemini-2.5-flash", &Gemini, "gemini,cohere").await;
    // 10,000 tokens are more than a cent, at whatever class of service; 1000 are not, but twice.
    let reply = post_as(&stage, CAROL, GENERATE, &contents(10_000)).await;
    assert_eq!((reply.status, reply.error_code()), (400, "request_exceeds_limit".to_owned()));
    stage.upstream.always("gemini-2.5-flash", Script::chat("Hi").usage(Usage { completion: 1000, ..USAGE }));
    let reply = post_as(&stage, CAROL, GENERATE, &contents(1000)).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let reply = post_as(&stage, CAROL, GENERATE, &contents(1000)).await;
    assert_eq!((reply.status, reply.error_code()), (429, "insufficient_quota".to_owned()));
    for (key, code) in [(SUSPENDED, "suspended_api_key"), ("sk-nobody-0123456789abcdef", "invalid_api_key")] {
        let reply = post_as(&stage, key, GENERATE, &contents(9)).await;
        assert_eq!((reply.status, reply.error_code()), (401, code.to_owned()));
    }
    let reply = stage.gateway.client().post(GENERATE, &contents(9)).await;
    assert_eq!((reply.status, reply.error_code()), (401, "invalid_api_key".to_owned()));
    let reply = stage.alice().get("/cohere/v1/models").await;
    assert_eq!((reply.status, reply.error_code()), (404, "no_model_of_provider".to_owned()));
    let unserved = "/gemini/models/gemini-2.5-pro:generateContent";
    let reply = post_as(&stage, ALICE, unserved, &contents(9)).await;
    assert_eq!((reply.status, reply.error_code()), (404, "model_not_found".to_owned()));
    let reply = stage.alice().get("/gemini/models?%6Bey=sk-x").await;
    assert_eq!((reply.status, reply.error_code()), (400, "invalid_value".to_owned()));
}

#[tokio::test]
async fn no_path_leaves_the_provider_s() {
    let upstream: Upstream = Demands::default().speaks(&OpenAi).api_key(UPSTREAM_KEY).start().await;
    let model = manifest::provider("OpenAI", "mine", &upstream.url())
        .with("provider.model", "gpt-4o-mini")
        .with("provider.credentials", json!({"secretRef": {"name": "upstream", "key": "api-key"}}));
    let objects = [model, manifest::secret("upstream", "api-key", UPSTREAM_KEY), manifest::key("alice", ALICE)];
    let setup = Setup::new(env!("CARGO_BIN_EXE_turnpike-gateway")).manifests(&objects);
    let gateway = setup.arg("--pass-through").arg("openai").start().await;
    let alice = gateway.client().with_key(ALICE);
    for path in ["/openai/v1/../admin", "/openai/%2e%2e/admin", "/openai/a%2f..%2f..%2fadmin", "/openai/%252e%252e/x"] {
        let reply = alice.get(path).await;
        assert_eq!((reply.status, reply.error_code()), (404, "unknown_url".to_owned()), "{path}");
    }
    assert!(upstream.log().is_empty());
    // What the base URL ends with is not said twice.
    for path in ["/openai/files", "/openai/v1/files"] {
        assert_eq!(alice.get(path).await.status, 200);
        assert_eq!(upstream.log().pop().unwrap().target, "/v1/files");
    }
}

#[tokio::test]
async fn the_provider_s_errors_are_its_own_but_for_our_key() {
    let stage = stage("Gemini", "gemini-2.5-flash", &Gemini, "gemini").await;
    let error = json!({"error": {"code": 400, "message": "Bad.", "status": "INVALID_ARGUMENT", "details": [1]}});
    stage.upstream.next(Script::raw("application/json", error.to_string()).status(400));
    let reply = post_as(&stage, ALICE, GENERATE, &contents(9)).await;
    assert_eq!((reply.status, reply.json()), (400, error));
    let quoted =
        json!({"error": {"code": 401, "message": format!("bad key {UPSTREAM_KEY}"), "status": "UNAUTHENTICATED"}});
    stage.upstream.next(Script::raw("application/json", quoted.to_string()).status(401));
    let reply = post_as(&stage, ALICE, GENERATE, &contents(9)).await;
    assert_eq!((reply.status, reply.error_code()), (502, "backend_authentication_failed".to_owned()));
    assert!(rows(&stage, 2).await.iter().all(|row| row["cost_nano"].is_null()));
}

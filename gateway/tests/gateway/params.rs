//! What happens to a request's parameters on their way: defaults, removals, renames, and members meant for us.

use serde_json::{Value, json};
use turnpike_testkit::manifest::{self, Manifest};

use crate::stage::{CHAT, Stage, chat, credentials, with};

async fn sent(stage: &Stage, body: &Value) -> Value {
    let reply = stage.alice().post(CHAT, body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    stage.upstream.log().pop().unwrap().json()
}

#[tokio::test]
async fn members_meant_for_the_gateway_stay_here() {
    let stage = Stage::new().await;
    let ours = json!({
        "cache": {"no-cache": true}, "tags": ["a"], "fallbacks": ["other"], "context_window_fallbacks": [], "num_retries": 3,
        "timeout": 5, "stream_timeout": 5, "mock_response": "x", "mock_testing_fallbacks": true, "drop_params": false,
        "guardrails": [], "disable_fallbacks": true, "litellm_trace_id": "t", "litellm_anything": {"deep": [1]},
        "api_key": "sk-forged", "api_base": "http://evil.example", "metadata": {"variant": "b", "n": 1},
    });
    let mut body = chat();
    body.as_object_mut().unwrap().extend(ours.as_object().unwrap().clone());
    body["temperature"] = json!(0.5);
    let sent = sent(&stage, &body).await;
    let mut names: Vec<&str> = sent.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["messages", "model", "temperature"]);
}

#[tokio::test]
async fn the_model_s_own_parameters_are_applied() {
    let params = json!({"defaults": {"temperature": 0.2, "top_k": 40}, "drop": ["user"], "rename": {"max_tokens": "max_completion_tokens"}});
    let stage = Stage::with_model(|model| model.with("provider.params", params), |setup, _| setup).await;
    let seen = sent(&stage, &with(with(chat(), "user", json!("u")), "max_tokens", json!(7))).await;
    assert_eq!((&seen["temperature"], &seen["top_k"]), (&json!(0.2), &json!(40)));
    assert_eq!((seen.get("user"), seen.get("max_tokens")), (None, None));
    assert_eq!(seen["max_completion_tokens"], 7);
    let own = sent(&stage, &with(chat(), "temperature", json!(0.9))).await;
    assert_eq!(own["temperature"], json!(0.9), "a default gives way to the client");
}

fn groq(name: &str, base_url: &str) -> Manifest {
    manifest::provider("Groq", name, base_url).with("provider.credentials", credentials())
}

#[tokio::test]
async fn what_the_provider_does_not_take_is_refused_or_dropped_as_told() {
    let stage = Stage::with(|setup, upstream| {
        let lenient = groq("lenient", &upstream.url()).with("provider.params", json!({"dropUnsupported": true}));
        setup.manifests(&[groq("strict", &upstream.url()), lenient])
    })
    .await;
    let ask = |model: &str| with(with(chat(), "model", json!(model)), "logprobs", json!(true));
    let reply = stage.alice().post(CHAT, &ask("strict")).await;
    assert_eq!((reply.status, reply.error_code().as_str()), (400, "unsupported_parameter"));
    assert_eq!(reply.json()["error"]["param"], "logprobs");
    assert!(stage.upstream.log().is_empty());
    for body in [with(ask("strict"), "drop_params", json!(true)), ask("lenient")] {
        let seen = sent(&stage, &body).await;
        assert_eq!((seen.get("logprobs"), seen.get("drop_params")), (None, None));
    }
}

#[tokio::test]
async fn azure_is_called_at_its_deployment() {
    let stage = Stage::with(|setup, upstream| {
        let azure = manifest::provider("AzureOpenAI", "on-azure", &upstream.root())
            .with("provider.model", "my-deployment")
            .with("provider.apiVersion", "2024-10-21")
            .with("provider.credentials", credentials());
        setup.manifests(&[azure])
    })
    .await;
    let reply = stage.alice().post(CHAT, &with(chat(), "model", json!("on-azure"))).await;
    assert_eq!((reply.status, reply.json()["model"].as_str()), (200, Some("on-azure")));
    let seen = stage.upstream.only();
    assert_eq!(seen.target, "/openai/deployments/my-deployment/chat/completions?api-version=2024-10-21");
    assert!(seen.header("api-key").is_some() && seen.header("authorization").is_none());
}

#[tokio::test]
async fn metadata_goes_on_only_where_the_provider_takes_it() {
    let stage = Stage::with(|setup, upstream| {
        setup.manifests(&[
            manifest::provider("OpenAI", "real", &upstream.url()).with("provider.credentials", credentials())
        ])
    })
    .await;
    let body = with(with(chat(), "model", json!("real")), "metadata", json!({"variant": "b"}));
    assert_eq!(sent(&stage, &body).await.get("metadata"), None);
    let stored = sent(&stage, &with(body, "store", json!(true))).await;
    assert_eq!(stored["metadata"], json!({"variant": "b"}));
}

//! The same request again: what is answered from the cache, what it costs, what the client may say.

use std::time::Duration;

use serde_json::json;
use turnpike_testkit::{Script, manifest, spend, wait::eventually};

use crate::stage::{ALICE, CHAT, MODEL, Stage, ask, cache, chat, is_hit, setup, with};

#[tokio::test]
async fn a_kept_answer_is_the_same_and_costs_nothing() {
    let stage = Stage::plain().await;
    let client = stage.alice();
    let first = client.post(CHAT, &with(chat("Hi"), "temperature", json!(0.5))).await;
    assert!(!is_hit(&first));
    // Another spelling of it, and another end user.
    let again =
        json!({"user": "ann", "temperature": 0.5, "messages": [{"content": "Hi", "role": "user"}], "model": MODEL});
    let second = client.post(CHAT, &again).await;
    assert!(is_hit(&second));
    assert_eq!(second.json(), first.json());
    assert_eq!(second.header("x-litellm-response-cost"), Some("0"));
    assert_eq!(second.header("age"), Some("0"));
    assert_eq!(second.header("x-litellm-model-id"), Some("default/gpt-test"));
    assert_ne!(second.header("x-litellm-call-id"), first.header("x-litellm-call-id"));
    assert_eq!(stage.asked(), 1);

    let columns = ["cost_nano", "prompt_tokens", "completion_tokens", "attempts", "outcome", "model", "end_user"];
    let rows = spend::rows(&stage.gateway.database(), ("spend", "sequence"), &columns, 2).await;
    assert_eq!(rows[0]["cost_nano"], 20_000);
    assert_eq!(
        rows[1],
        json!({"cost_nano": 0, "prompt_tokens": 10, "completion_tokens": 5, "attempts": 0, "outcome": "success",
               "model": "default/gpt-test", "end_user": "ann"})
    );
    let logs =
        spend::rows(&stage.gateway.database(), ("\"LiteLLM_SpendLogs\"", "\"startTime\""), &["cache_hit"], 2).await;
    assert_eq!(logs, [json!({"cache_hit": "False"}), json!({"cache_hit": "True"})]);

    let key = "hashed_api_key";
    stage.gateway.metric_is("litellm_cache_hits_metric_total", key, 1.0).await;
    stage.gateway.metric_is("litellm_cache_misses_metric_total", key, 1.0).await;
    stage.gateway.metric_is("litellm_cached_tokens_metric_total", key, 15.0).await;
    stage.gateway.metric_is("litellm_cache_hits_total", "", 1.0).await;
    stage.gateway.metric_is("litellm_deployment_total_requests_total", "", 1.0).await;
    stage.gateway.metric_is("litellm_requests_metric_total", key, 2.0).await;
    stage.gateway.metric_is("turnpike_cache_answers", "", 1.0).await;
}

#[tokio::test]
async fn a_model_that_does_not_cache_is_always_asked() {
    let stage = Stage::new(json!({"enabled": false})).await;
    for _ in 0..3 {
        assert!(!ask(&stage.alice(), &cache(chat("Hi"), json!({"use-cache": true}))).await);
    }
    assert_eq!(stage.asked(), 3);
    let wrong = stage.alice().post(CHAT, &cache(chat("Hi"), json!({"ttl": "1h"}))).await;
    assert_eq!((wrong.status, &wrong.json()["error"]["param"]), (400, &json!("cache.ttl")));
}

#[tokio::test]
async fn requests_say_what_they_want() {
    let stage = Stage::plain().await;
    let client = stage.alice();
    let say = |control| cache(chat("Hi"), control);
    assert!(!ask(&client, &say(json!({"no-store": true}))).await);
    assert!(!ask(&client, &say(json!({"use-cache": false}))).await);
    assert!(!ask(&client, &say(json!({"ttl": 0}))).await);
    assert!(!ask(&client, &chat("Hi")).await, "none of them was kept");
    assert!(ask(&client, &say(json!({"no-store": true}))).await, "what is there may be read");
    assert!(!ask(&client, &say(json!({"no-cache": true}))).await);
    assert!(!ask(&client, &say(json!({"s-maxage": 0}))).await);
    assert!(ask(&client, &say(json!({"s-maxage": 60}))).await);
    assert!(!ask(&client, &say(json!({"namespace": "a"}))).await);
    assert!(ask(&client, &say(json!({"namespace": "a"}))).await);
    assert!(!ask(&client, &say(json!({"namespace": "b"}))).await);
    assert_eq!(stage.asked(), 8);

    let header = |value| client.json(CHAT, &chat("Hi"), &[("cache-control", value)]);
    assert!(is_hit(&client.send(header("max-age=60")).await));
    assert!(!is_hit(&client.send(header("no-cache")).await));
    assert!(!is_hit(&client.send(header("max-age=0")).await));
    // Nothing of it reaches the upstream.
    for seen in stage.upstream.log() {
        assert_eq!(seen.json().get("cache"), None);
        assert_eq!(seen.header("cache-control"), None);
    }
    let twice = r#"{"model":"gpt-test","messages":[],"cache":{},"cache":{"no-store":true}}"#;
    assert_eq!(client.post_bytes(CHAT, twice).await.error_code(), "duplicate_key");
}

#[tokio::test]
async fn answers_go_when_their_time_is_over() {
    let stage = Stage::plain().await;
    let client = stage.alice();
    let short = cache(chat("Hi"), json!({"ttl": 0.3}));
    assert!(!ask(&client, &short).await);
    eventually("it is asked again", || async { (!ask(&client, &chat("Hi")).await).then_some(()) }).await;
    assert_eq!(stage.asked(), 2);
    assert!(ask(&client, &chat("Hi")).await, "kept for an hour now");
}

#[tokio::test]
async fn a_request_cannot_make_it_longer() {
    let stage = Stage::new(json!({"enabled": true, "ttl": "1s"})).await;
    let client = stage.alice();
    let long = cache(chat("Hi"), json!({"ttl": 3600}));
    assert!(!ask(&client, &long).await);
    eventually("it is asked again", || async { (!ask(&client, &long).await).then_some(()) }).await;
}

#[tokio::test]
async fn what_is_not_good_is_not_kept() {
    let stage = Stage::plain().await;
    let client = stage.alice();
    let answer = |finish: &str, message: serde_json::Value| {
        let body = json!({
            "id": "1", "object": "chat.completion", "created": 1, "model": MODEL,
            "choices": [{"index": 0, "finish_reason": finish, "message": message}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        });
        Script::raw("application/json", body.to_string())
    };
    let call = json!([{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
    let called = || answer("tool_calls", json!({"role": "assistant", "content": null, "tool_calls": call}));
    stage.upstream.next(called());
    stage.upstream.next(answer("content_filter", json!({"role": "assistant", "content": ""})));
    stage.upstream.next(answer("stop", json!({"role": "assistant", "content": null, "refusal": "No."})));
    stage.upstream.next(Script::of_size(1_100_000));
    for _ in 0..4 {
        assert!(!ask(&client, &chat("Hi")).await);
    }
    stage.upstream.next(Script::error(400, "no", "bad"));
    assert_eq!(client.post(CHAT, &chat("Hi")).await.status, 400);
    assert!(!ask(&client, &chat("Hi")).await);
    assert!(ask(&client, &chat("Hi")).await);

    // Calls of tools only for those who say so.
    stage.upstream.next(called());
    let with_tools = cache(chat("Call"), json!({"tool-calls": true}));
    assert!(!ask(&client, &with_tools).await);
    assert!(ask(&client, &with_tools).await);
    assert!(!ask(&client, &chat("Call")).await);
}

#[tokio::test]
async fn every_route_that_answers_once_and_for_all() {
    let stage = Stage::plain().await;
    let client = stage.alice();
    for (route, body) in [
        ("/v1/completions", json!({"model": MODEL, "prompt": "Hi"})),
        ("/v1/embeddings", json!({"model": MODEL, "input": "Hi"})),
        ("/v1/embeddings", json!({"model": MODEL, "input": "Hi", "encoding_format": "base64"})),
        ("/v1/messages", json!({"model": MODEL, "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]})),
        ("/v1/responses", json!({"model": MODEL, "input": "Hi"})),
    ] {
        let first = client.post(route, &body).await;
        assert!(!is_hit(&first), "{route}");
        let second = client.post(route, &body).await;
        assert!(is_hit(&second), "{route}");
        assert_eq!(second.json(), first.json(), "{route}");
    }
}

#[tokio::test]
async fn an_alias_shares_answers_under_its_own_name() {
    let upstream = turnpike_testkit::upstream::Demands::default().start().await;
    let model = crate::stage::model(&upstream, json!({"enabled": true})).with("aliases", json!(["other"]));
    let gateway = setup().manifests(&[model, manifest::key("alice", ALICE)]).start().await;
    let client = gateway.client().with_key(ALICE);
    assert!(!ask(&client, &chat("Hi")).await);
    let reply = client.post(CHAT, &with(chat("Hi"), "model", json!("other"))).await;
    assert!(is_hit(&reply));
    assert_eq!(reply.json()["model"], "other");
    assert_eq!(reply.header("x-litellm-model-group"), Some("other"));
}

#[tokio::test]
async fn hits_count_as_requests_and_pass_a_spent_budget() {
    let limits = json!({"rpm": 3});
    let key = manifest::key("eve", "sk-eve-0123456789abcdef")
        .with("limits", limits)
        .with("budget", json!([{"window": "Month", "usd": "0.0003"}]));
    let stage = Stage::with(json!({"enabled": true}), &[key]).await;
    let client = stage.gateway.client().with_key("sk-eve-0123456789abcdef");
    let asked = with(chat("Hi"), "max_tokens", json!(5));
    assert!(!ask(&client, &asked).await);
    assert!(ask(&client, &asked).await);
    let other = client.post(CHAT, &with(chat("Other"), "max_tokens", json!(5))).await;
    assert_eq!(other.error_code(), "insufficient_quota", "what is left is less than it may cost");
    assert!(ask(&client, &asked).await);
    let refused = client.post(CHAT, &asked).await;
    assert_eq!((refused.status, refused.error_code().as_str()), (429, "rate_limit_exceeded"));
    assert_eq!(stage.asked(), 1);
}

#[tokio::test]
async fn a_changed_backend_has_no_answers_yet() {
    let stage = Stage::plain().await;
    let client = stage.alice();
    assert!(!ask(&client, &chat("Hi")).await);
    assert!(ask(&client, &chat("Hi")).await);
    let changed = crate::stage::model(&stage.upstream, json!({"enabled": true}))
        .with("provider.params", json!({"defaults": {"temperature": 0.1}}))
        .with("modelName", MODEL);
    stage.gateway.write("changed.yaml", &manifest::documents(&[changed.named("second")]));
    tokio::time::timeout(Duration::from_secs(20), async {
        while ask(&client, &chat("Hi")).await {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn clients_of_gemini_are_answered_again_in_their_dialect() {
    let stage = Stage::plain().await;
    let path = |method: &str| format!("/v1beta/models/{MODEL}:{method}");
    let body = json!({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]});
    let first = stage.alice().post(&path("generateContent"), &body).await;
    let second = stage.alice().post(&path("generateContent"), &body).await;
    assert!(!is_hit(&first) && is_hit(&second), "{second:?}");
    assert_eq!(second.json(), first.json());
    // Streams are kept apart, and so are other settings.
    let stream = path("streamGenerateContent?alt=sse");
    let heard = stage.alice().stream(&stream, &body).await.rest().await;
    let again = stage.alice().stream(&stream, &body).await.rest().await;
    assert!(heard.clean && again.clean);
    assert_eq!(again.events.len(), heard.events.len());
    let other = with(body, "generationConfig", json!({"topP": 0.5}));
    assert!(!is_hit(&stage.alice().post(&path("generateContent"), &other).await));
    assert_eq!(stage.asked(), 3);
}

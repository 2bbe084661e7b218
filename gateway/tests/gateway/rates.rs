//! Requests and tokens per minute, and requests at the same time.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use turnpike_testkit::{Client, Script, manifest, upstream::Gate};

use crate::stage::{CHAT, Stage, chat, with};

const BOB: &str = "sk-bob-0123456789abcdef";

async fn stage(limits: serde_json::Value) -> Stage {
    Stage::with(|setup, _| setup.manifests(&[manifest::key("bob", BOB).with("limits", limits)])).await
}

fn bob(stage: &Stage) -> Client {
    stage.gateway.client().with_key(BOB)
}

#[tokio::test]
async fn requests_beyond_rpm_wait_for_the_clients_own_retry() {
    let stage = stage(json!({"rpm": 3})).await;
    for _ in 0..3 {
        assert_eq!(bob(&stage).post(CHAT, &chat()).await.status, 200);
    }
    let reply = bob(&stage).post(CHAT, &chat()).await;
    assert_eq!((reply.status, reply.error_code()), (429, "rate_limit_exceeded".to_owned()));
    let after: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&after), "{after}");
    assert_eq!(reply.header("x-should-retry"), None);
    let message = reply.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("VirtualKey default/bob allows 3 requests per Minute"), "{message}");
    assert_eq!(stage.upstream.log().len(), 3);
    assert_eq!(stage.alice().post(CHAT, &chat()).await.status, 200);
}

#[tokio::test]
async fn tokens_per_minute_are_estimated_and_then_corrected() {
    let stage = stage(json!({"tpm": 1000})).await;
    // Estimated far below what it uses: the next one pays for it.
    stage.upstream.always(
        "upstream-gpt",
        Script::chat("Hi").usage(turnpike_testkit::upstream::Usage {
            prompt: 500,
            completion: 600,
            cached: 0,
            reasoning: 0,
        }),
    );
    let ask = with(chat(), "max_tokens", json!(50));
    assert_eq!(bob(&stage).post(CHAT, &ask).await.status, 200);
    assert_eq!(bob(&stage).post(CHAT, &ask).await.error_code(), "rate_limit_exceeded");
}

#[tokio::test]
async fn as_many_at_the_same_time_as_allowed() {
    let bob_s = manifest::key("bob", BOB).with("limits", json!({"maxParallel": 2}));
    let stage = Stage::with(|setup, _| setup.manifests(&[bob_s]).arg("--queue-wait").arg("0s")).await;
    let gate = Gate::default();
    stage.upstream.always("upstream-gpt", Script::chat("Hi").head_after(&gate));
    let under_way: Vec<_> = (0..2)
        .map(|_| {
            let client = bob(&stage);
            tokio::spawn(async move { client.post(CHAT, &chat()).await.status })
        })
        .collect();
    stage.upstream.wait_for("two requests", |log| log.len() == 2).await;
    assert_eq!(bob(&stage).post(CHAT, &chat()).await.error_code(), "rate_limit_exceeded");
    gate.open(10);
    for request in under_way {
        assert_eq!(request.await.unwrap(), 200);
    }
    stage.settles().await;
    assert_eq!(bob(&stage).post(CHAT, &chat()).await.status, 200);
}

#[tokio::test]
async fn a_limit_for_one_model_leaves_the_others() {
    let limits = json!({"perModel": [{"model": "gpt-test", "rpm": 1}]});
    let stage = Stage::with(|setup, upstream| {
        setup.manifests(&[manifest::key("bob", BOB).with("limits", limits), crate::stage::model("other", upstream)])
    })
    .await;
    assert_eq!(bob(&stage).post(CHAT, &chat()).await.status, 200);
    assert_eq!(bob(&stage).post(CHAT, &chat()).await.error_code(), "rate_limit_exceeded");
    assert_eq!(bob(&stage).post(CHAT, &with(chat(), "model", json!("other"))).await.status, 200);
}

#[tokio::test]
async fn a_backends_own_limit_counts_everybody() {
    let stage = Stage::with_model(
        |model| model.with("limits", json!({"rpm": 2})),
        |setup, _| setup.manifests(&[manifest::key("bob", BOB)]),
    )
    .await;
    assert_eq!(stage.alice().post(CHAT, &chat()).await.status, 200);
    assert_eq!(bob(&stage).post(CHAT, &chat()).await.status, 200);
    assert_eq!(stage.alice().post(CHAT, &chat()).await.error_code(), "rate_limit_exceeded");
}

/// Requests that find all places taken, in the order of a test: they wait until one is free.
#[tokio::test]
async fn a_request_waits_for_a_place_and_its_wait_has_a_bound() {
    let stage = Stage::with(|setup, _| {
        setup
            .manifests(&[manifest::key("bob", BOB).with("limits", json!({"maxParallel": 1}))])
            .arg("--queue-wait")
            .arg("1s")
    })
    .await;
    let gate = Gate::default();
    stage.upstream.always("upstream-gpt", Script::chat("Hi").head_after(&gate));
    let send = || {
        let client = bob(&stage);
        tokio::spawn(async move { client.post(CHAT, &chat()).await })
    };
    let first = send();
    stage.upstream.wait_for("the first request", |log| log.len() == 1).await;
    let began = Instant::now();
    let refused = bob(&stage).post(CHAT, &chat()).await;
    assert_eq!((refused.status, refused.error_code()), (429, "rate_limit_exceeded".to_owned()));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert!(began.elapsed() >= Duration::from_millis(950), "{:?}", began.elapsed());
    let asked = Instant::now();
    let hurried = bob(&stage).json(CHAT, &chat(), &[("x-litellm-timeout", "0.3")]);
    let refused = bob(&stage).send(hurried).await;
    assert_eq!(refused.status, 429);
    assert!(asked.elapsed() < Duration::from_millis(900), "its deadline is sooner: {:?}", asked.elapsed());
    let second = send();
    let limit = "limit=\"VirtualKey default/bob\"";
    stage.gateway.metric_is("turnpike_queued_requests", limit, 1.0).await;
    gate.open(10);
    assert_eq!((first.await.unwrap().status, second.await.unwrap().status), (200, 200));
    stage.settles().await;
    stage.gateway.metric_is("turnpike_queued_requests", "", 0.0).await;
    let waited = stage.gateway.metric("turnpike_queue_wait_seconds_count", "passed=\"true\"").await;
    assert!((1.0..=2.0).contains(&waited), "the first one may have waited for its lease: {waited}");
    stage.gateway.metric_is("turnpike_queue_wait_seconds_count", "passed=\"false\"", 2.0).await;
}

#[tokio::test]
async fn what_is_left_of_rates_is_told() {
    let stage = stage(json!({"perModel": [{"model": "gpt-test", "rpm": 5, "tpm": 1000}]})).await;
    let of_key = ["litellm_remaining_api_key_requests_for_model", "litellm_remaining_api_key_tokens_for_model"];
    let of_model = ["litellm_remaining_requests_metric", "litellm_remaining_tokens_metric"];
    let told = async |names: [&str; 2], labels: &str, left: [f64; 2]| {
        for (name, left) in names.into_iter().zip(left) {
            stage.gateway.metric_is(name, labels, left).await;
        }
    };
    let (bob_s, model_s) = ("api_key_alias=\"bob\"", "model_id=\"default/gpt-test\"");
    told(of_key, bob_s, [5.0, 1000.0]).await;
    let used = turnpike_testkit::upstream::Usage { prompt: 100, completion: 50, cached: 0, reasoning: 0 };
    stage.upstream.next(
        Script::chat("Hi")
            .usage(used)
            .header("x-ratelimit-remaining-requests", "41")
            .header("x-ratelimit-remaining-tokens", "9000"),
    );
    assert_eq!(bob(&stage).post(CHAT, &chat()).await.status, 200);
    told(of_model, model_s, [41.0, 9000.0]).await;
    told(of_key, bob_s, [4.0, 850.0]).await;
    // An error tells it too; what it does not say stays.
    let refusal = Script::error(429, "slow down", "rate_limit_exceeded").header("x-ratelimit-remaining-requests", "0");
    stage.upstream.next(refusal);
    assert_eq!(stage.alice().post(CHAT, &chat()).await.status, 429);
    told(of_model, model_s, [0.0, 9000.0]).await;
}

//! What is published is live at once, and what does not change is not loaded again.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use turnpike_bundle::entry::{Backend, Egress};
use turnpike_testkit::{Script, manifest, wait::eventually};

use super::{Pod, contents, mocks};
use crate::stage::{ALICE, CHAT, MODEL, chat, model, secret, upstream, with};

async fn until(pod: &Pod, name: &str, status: u16) {
    let body = with(chat(), "model", json!(name));
    eventually(&format!("{name} answers {status}"), || async {
        (pod.alice().post(CHAT, &body).await.status == status).then_some(())
    })
    .await;
}

#[tokio::test]
async fn models_come_and_go_within_100_ms() {
    let mut pod = Pod::new(&mocks(&["one"])).await;
    let mut took = Vec::new();
    for name in ["two", "three", "four", "five", "six"] {
        let started = Instant::now();
        pod.operator.publish(&mocks(&["one", name]));
        until(&pod, name, 200).await;
        took.push(started.elapsed());
        pod.operator.publish(&mocks(&["one"]));
        until(&pod, name, 404).await;
    }
    took.sort_unstable();
    // The median: a machine that is busy with other tests may be late now and then.
    assert!(took[took.len() / 2] < Duration::from_millis(100), "{took:?}");
}

#[tokio::test]
async fn credentials_travel_in_their_own_shards() {
    let upstream = upstream().await;
    let objects = [model(MODEL, &upstream), secret(), manifest::key("alice", ALICE)];
    let mut pod = Pod::new(&contents(&objects)).await;
    assert_eq!(pod.alice().post(CHAT, &chat()).await.status, 200);
    let wrong = manifest::secret("upstream", "api-key", "sk-wrong-now");
    pod.operator.publish(&contents(&[model(MODEL, &upstream), wrong, manifest::key("alice", ALICE)]));
    until(&pod, MODEL, 502).await;
    pod.operator.publish(&contents(&objects));
    until(&pod, MODEL, 200).await;
    upstream.next(Script::error(500, "it broke", "server_error"));
    assert_eq!(pod.alice().post(CHAT, &chat()).await.status, 500, "it is this upstream that answers");
}

#[tokio::test]
async fn the_same_bundle_again_is_no_reload() {
    let mut pod = Pod::new(&mocks(&["one"])).await;
    let before = pod.report().await;
    let generation = pod.gateway.internal().get("/health/readiness").await.json()["config"]["generation"].clone();
    let bundle = pod.operator.publish(&mocks(&["one"]));
    // What comes after it has been seen proves that it was seen.
    let auth = pod.operator.auth.path();
    assert!(auth.join("..data").exists());
    let next = pod.operator.publish(&mocks(&["one", "two"]));
    assert_eq!(before.hash.as_ref(), Some(&bundle.manifest.hash));
    pod.has(&next).await;
    let now = pod.gateway.internal().get("/health/readiness").await.json()["config"]["generation"].clone();
    assert_eq!(now.as_u64(), generation.as_u64().map(|generation| generation + 1));
}

#[tokio::test]
async fn only_a_model_of_an_own_service_may_be_at_a_private_address() {
    let private = |name: &str| {
        manifest::model(name, "http://10.255.255.254:9/v1").with("timeouts", json!({"connect": "1s", "total": "2s"}))
    };
    let mut contents = contents(&[private("own"), private("other"), manifest::key("alice", ALICE)]);
    for model in &mut contents.models {
        if let (Backend::Provider(backend), "own") = (&mut model.backend, model.model_name.as_str()) {
            backend.egress = Egress::OwnService;
        }
    }
    let pod = Pod::with(&contents, |setup| setup.arg("--egress").arg("guarded")).await;
    for (name, guarded) in [("own", false), ("other", true)] {
        // The address was tried or not; no model answers there either way.
        let reply = pod.alice().post(CHAT, &with(chat(), "model", json!(name))).await;
        assert_ne!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.text().contains("egress guard"), guarded, "{name}: {reply:?}");
    }
}

//! Probes: what is asked, who is asked, what a failure and a success change, and where that is told.

use std::{collections::HashSet, time::Duration};

use http::Method;
use serde_json::{Value, json};
use turnpike_testkit::{
    Gateway, Script, Upstream,
    manifest::{self, Manifest},
    upstream::Demands,
    wait::eventually,
};

use crate::stage::{ALICE, CHAT, MODEL, UPSTREAM_KEY, chat, credentials, secret, setup};

/// A member of the usual pool, probed each second.
fn probed(name: &str, upstream: &Upstream) -> Manifest {
    manifest::model(name, &upstream.url())
        .with("modelName", MODEL)
        .with("health", json!({"active": true, "interval": "1s"}))
}

async fn gateway(models: Vec<Manifest>) -> Gateway {
    let objects: Vec<_> = models.into_iter().chain([manifest::key("alice", ALICE)]).collect();
    setup().manifests(&objects).start().await
}

/// The backends that take no requests, as the internal readiness has them.
async fn unhealthy(gateway: &Gateway) -> Vec<Value> {
    let detail = gateway.internal().get("/health/readiness").await.json();
    detail["unhealthy_backends"].as_array().unwrap().clone()
}

async fn unhealthy_is(gateway: &Gateway, models: &[&str]) -> Vec<Value> {
    eventually(&format!("unhealthy: {models:?}"), || async {
        let found = unhealthy(gateway).await;
        found.iter().map(|found| found["model"].as_str().unwrap()).eq(models.iter().copied()).then_some(found)
    })
    .await
}

/// Who answered, over so many requests that all must succeed.
async fn served(gateway: &Gateway, calls: usize) -> HashSet<String> {
    let client = gateway.client().with_key(ALICE);
    let mut served = HashSet::new();
    for _ in 0..calls {
        let reply = client.post(CHAT, &chat()).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        served.insert(reply.header("x-litellm-model-id").unwrap().to_owned());
    }
    served
}

#[tokio::test]
async fn a_dead_backend_is_left_alone_before_a_request_is_sent_to_it_and_comes_back() {
    let (well, sick) = (Upstream::start().await, Upstream::start().await);
    let address = sick.address();
    let models = vec![probed("well", &well), probed("sick", &sick)];
    drop(sick);
    let gateway = gateway(models).await;
    let found = unhealthy_is(&gateway, &["default/sick"]).await;
    assert_eq!(found[0]["state"], "Down");
    assert_eq!(found[0]["reason"], "probes fail: the connection was refused or failed");
    gateway.metric_is("litellm_deployment_state", "model_id=\"default/sick\"", 2.0).await;
    gateway.metric_is("litellm_deployment_state", "model_id=\"default/well\"", 0.0).await;
    gateway.metric_is("litellm_deployment_cooled_down_total", "model_id=\"default/sick\"", 1.0).await;
    assert_eq!(served(&gateway, 20).await, ["default/well".to_owned()].into());
    let _sick = Demands::default().at(address).start().await;
    eventually("it is tried again", || async { served(&gateway, 5).await.contains("default/sick").then_some(()) })
        .await;
    unhealthy_is(&gateway, &[]).await;
    gateway.process.wrote("its return", |line| line.contains("a backend takes requests again")).await;
    let output = gateway.process.output();
    let lines = |text: &str| output.lines().filter(|line| line.contains(text)).count();
    assert_eq!((lines("a backend is down"), lines("a backend takes requests again")), (1, 1), "{output}");
}

#[tokio::test]
async fn what_does_not_know_the_path_or_refuses_the_probe_is_alive() {
    let statuses = [(404, 200), (404, 404), (401, 500), (403, 500), (405, 500), (429, 500), (501, 500), (302, 500)];
    let mut upstreams = Vec::new();
    for (health, models) in statuses {
        let upstream = Upstream::start().await;
        upstream.health(health, models);
        upstreams.push(upstream);
    }
    let models = upstreams.iter().enumerate().map(|(at, upstream)| probed(&format!("m{at}"), upstream)).collect();
    let gateway = gateway(models).await;
    for (upstream, (health, _)) in upstreams.iter().zip(statuses) {
        let log = upstream.wait_for("several probes", |log| log.len() >= 4).await;
        let paths: Vec<_> = log.iter().map(|asked| asked.target.as_str()).collect();
        match health {
            404 => assert_eq!(paths[..2], ["/health", "/v1/models"]),
            _ => assert!(paths.iter().all(|path| *path == "/health"), "{paths:?}"),
        }
    }
    // What works is remembered.
    assert_eq!(upstreams[0].probes()[1..4], ["/v1/models"; 3]);
    assert_eq!(unhealthy(&gateway).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_server_that_says_it_is_ill_or_says_nothing_is_down() {
    let (ill, mute) = (Upstream::start().await, Upstream::start().await);
    ill.health(503, 200);
    mute.health(0, 200);
    let gateway = gateway(vec![probed("ill", &ill), probed("mute", &mute)]).await;
    let found = unhealthy_is(&gateway, &["default/ill", "default/mute"]).await;
    assert_eq!(found[0]["reason"], "probes fail: it answers 503");
    assert_eq!(found[1]["reason"], "probes fail: it did not answer in time");
    ill.health(200, 200);
    unhealthy_is(&gateway, &["default/mute"]).await;
}

/// The probe says that all is well, the requests do not.
#[tokio::test]
async fn requests_outweigh_probes() {
    let (well, lying) = (Upstream::start().await, Upstream::start().await);
    lying.always("lying", Script::error(500, "it broke", "server_error"));
    let lies = probed("lying", &lying).with("provider.model", "lying").with("health.allowedFails", 1);
    let gateway = gateway(vec![probed("well", &well), lies]).await;
    lying.wait_for("a probe", |log| !log.is_empty()).await;
    assert_eq!(served(&gateway, 60).await, ["default/well".to_owned()].into());
    gateway.metric_is("litellm_deployment_state", "model_id=\"default/lying\"", 2.0).await;
    assert!(lying.calls() < 15, "{} of 60 requests were tried on it", lying.calls());
}

#[tokio::test]
async fn models_behind_one_url_are_probed_once_with_the_headers_of_calls() {
    let upstream = Demands::default().api_key(UPSTREAM_KEY).start().await;
    let model = |name: &str| probed(name, &upstream).with("provider.credentials", credentials());
    let gateway = gateway(vec![model("a"), model("b"), model("c"), secret()]).await;
    let log = upstream.wait_for("three probes", |log| log.len() >= 3).await;
    assert!(log.iter().all(|asked| asked.method == Method::GET && asked.target == "/health"));
    assert!(log.iter().all(|asked| asked.headers["authorization"] == format!("Bearer {UPSTREAM_KEY}")));
    let span = log[2].started - log[0].started;
    assert!(span >= Duration::from_millis(1600), "one URL, one probe an interval: {span:?}");
    assert_eq!(unhealthy(&gateway).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_path_of_its_own_is_asked_and_a_removed_model_no_more() {
    let (first, second) = (Upstream::start().await, Upstream::start().await);
    let gone = probed("gone", &first).with("health.path", "/ready/now");
    let gateway = gateway(vec![gone, probed("stays", &second)]).await;
    first.wait_for("a probe", |log| !log.is_empty()).await;
    assert!(first.probes().iter().all(|path| path == "/ready/now"));
    let left = [probed("stays", &second), manifest::key("alice", ALICE)];
    gateway.write("objects-0.yaml", &manifest::documents(&left));
    eventually("its series goes", || async {
        let text = gateway.internal().get("/metrics").await.text();
        (!text.contains("model_id=\"default/gone\"")).then_some(())
    })
    .await;
    let (asked, others) = (first.probes().len(), second.probes().len());
    second.wait_for("four more probes", |log| log.len() >= others + 4).await;
    assert!(first.probes().len() <= asked + 1, "at most the one that was under way");
}

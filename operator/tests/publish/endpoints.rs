//! Where engines' pods are is told soon, together, and beside everything else.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use turnpike_bundle::{
    State,
    entry::{EndpointEntry, ObjectRef},
    layout::MANIFEST,
    parse,
};
use turnpike_engine::Observed;
use turnpike_operator::{
    engine::Engines,
    publish::endpoints::{DEBOUNCE, Endpoints, of, run},
};

use crate::{
    apiserver::Apiserver,
    publishing::{Leader, writes},
};

fn object(name: &str) -> ObjectRef {
    ObjectRef { namespace: "ml".to_owned(), name: name.to_owned() }
}

/// A pod of an engine; `more` of its metadata.
fn pod(ip: Option<&str>, ready: &str, more: &Value) -> Arc<Pod> {
    pod_with(&json!({}), ip, ready, more)
}

fn pod_with(spec: &Value, ip: Option<&str>, ready: &str, more: &Value) -> Arc<Pod> {
    let pod = json!({"metadata": more, "spec": spec, "status": {"podIP": ip, "conditions": [{"type": "Ready", "status": ready}]}});
    Arc::new(serde_json::from_value(pod).unwrap())
}

/// Engines, each with ready pods at these addresses.
fn engines(of: &[(&str, &[&str])]) -> Arc<Engines> {
    let observed = |ips: &[&str]| {
        let pods = ips.iter().map(|ip| (format!("pod-{ip}"), pod(Some(ip), "True", &json!({}))));
        Observed { pods: pods.collect(), refused: Some("so that it is there".to_owned()), ..Observed::default() }
    };
    Arc::new(of.iter().map(|(name, ips)| (object(name), observed(ips))).collect())
}

fn entry(name: &str, ips: &[&str]) -> EndpointEntry {
    EndpointEntry { object: object(name), port: 8000, addresses: ips.iter().map(|ip| ip.parse().unwrap()).collect() }
}

#[test]
fn pods_that_are_ready_and_stay_are_named_in_order() {
    let ending = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
    let pods = [
        ("b", pod(Some("10.1.0.9"), "True", &json!({}))),
        ("a", pod(Some("10.1.0.10"), "True", &json!({}))),
        ("six", pod(Some("fd00::1"), "True", &json!({}))),
        ("loading", pod(Some("10.1.0.11"), "False", &json!({}))),
        ("ending", pod(Some("10.1.0.12"), "True", &ending)),
        ("unplaced", pod(None, "True", &json!({}))),
        // Its address is its node's: whatever listens there.
        ("node", pod_with(&json!({"hostNetwork": true}), Some("10.1.0.15"), "True", &json!({}))),
    ];
    let fetchers = [("fetch".to_owned(), pod(Some("10.1.0.13"), "True", &json!({})))].into();
    let pods = pods.into_iter().map(|(name, pod)| (name.to_owned(), pod)).collect();
    let loading = [("x".to_owned(), pod_loading())].into();
    let engines: Engines = [
        (object("qwen"), Observed { pods, fetchers, ..Observed::default() }),
        (object("loads"), Observed { pods: loading, ..Observed::default() }),
    ]
    .into_iter()
    .collect();
    assert_eq!(*of(&engines), [entry("qwen", &["10.1.0.9", "10.1.0.10", "fd00::1"])]);
}

fn pod_loading() -> Arc<Pod> {
    pod(Some("10.1.0.14"), "False", &json!({}))
}

/// What is told, and when.
struct Stage {
    engines: watch::Sender<Arc<Engines>>,
    told: watch::Receiver<Option<Endpoints>>,
    start: Instant,
}

impl Stage {
    fn new() -> Self {
        let (engines, observed) = watch::channel(Arc::default());
        let (sender, told) = watch::channel(None);
        tokio::spawn(run(observed, sender));
        Self { engines, told, start: Instant::now() }
    }

    /// Shows this after a while.
    async fn show(&self, after: Duration, of: &[(&str, &[&str])]) {
        sleep(after).await;
        self.engines.send_replace(engines(of));
    }

    /// What is told next, and so long after the last time.
    async fn next(&mut self) -> Option<(Vec<EndpointEntry>, Duration)> {
        timeout(Duration::from_mins(1), self.told.changed()).await.ok()?.unwrap();
        let told = self.told.borrow_and_update().clone().unwrap();
        Some((told.to_vec(), std::mem::replace(&mut self.start, Instant::now()).elapsed()))
    }
}

#[tokio::test(start_paused = true)]
async fn changes_within_a_quarter_of_a_second_are_told_once() {
    let mut stage = Stage::new();
    assert_eq!(stage.next().await, None, "nothing is known yet");
    stage.start = Instant::now();
    stage.show(Duration::ZERO, &[("qwen", &["10.1.0.1"])]).await;
    assert_eq!(stage.next().await, Some((vec![entry("qwen", &["10.1.0.1"])], Duration::ZERO)));

    stage.show(Duration::ZERO, &[("qwen", &["10.1.0.1", "10.1.0.2"])]).await;
    stage.show(DEBOUNCE / 3, &[("qwen", &["10.1.0.2"])]).await;
    stage.show(DEBOUNCE / 3, &[("qwen", &["10.1.0.2"]), ("llama", &["10.1.0.3"])]).await;
    let last = vec![entry("llama", &["10.1.0.3"]), entry("qwen", &["10.1.0.2"])];
    assert_eq!(stage.next().await, Some((last, DEBOUNCE)));
    assert_eq!(DEBOUNCE, Duration::from_millis(250));
    assert_eq!(stage.next().await, None);

    // What is as it was by then is no news, nor is what else there is of engines.
    stage.show(Duration::ZERO, &[("qwen", &["10.1.0.2"])]).await;
    stage.show(DEBOUNCE / 2, &[("qwen", &["10.1.0.2"]), ("llama", &["10.1.0.3"])]).await;
    stage.show(DEBOUNCE, &[("qwen", &["10.1.0.2"]), ("llama", &["10.1.0.3"]), ("new", &[])]).await;
    assert_eq!(stage.next().await, None);
}

/// The endpoints that a gateway with nothing reads from what lies there.
fn read(server: &Apiserver) -> Vec<EndpointEntry> {
    let mut parts = server.with(|objects| objects.parts());
    let manifest = parts.remove(MANIFEST).unwrap();
    let parsed = parse(&manifest, &parts, State::default());
    assert_eq!(parsed.rejections, []);
    parsed.state.contents().endpoints.clone()
}

#[tokio::test(start_paused = true)]
async fn a_pod_more_costs_one_shard_and_the_manifest_and_no_object_changes() {
    const WRITES: [&str; 2] =
        ["PATCH configmaps/turnpike-bundle-endpoints-00", "PATCH configmaps/turnpike-bundle-manifest"];
    let server = Apiserver::new();
    let mut leader = Leader::start(&server);
    leader.engines.send_replace(engines(&[("qwen", &["10.1.0.1"])]));
    leader.show(&[("a", "1")]);
    sleep(Duration::from_secs(5)).await;
    let first = leader.latest();
    writes(&server);
    assert_eq!(read(&server), [entry("qwen", &["10.1.0.1"])]);

    leader.engines.send_replace(engines(&[("qwen", &["10.1.0.1", "10.1.0.2"])]));
    let second = leader.published().await;
    assert_eq!(writes(&server), WRITES);
    assert_eq!(read(&server), [entry("qwen", &["10.1.0.1", "10.1.0.2"])]);
    assert_eq!(second.objects, first.objects);

    // A next leader, who does not know the engines at first, writes nothing.
    drop(leader);
    let mut leader = Leader::start(&server);
    leader.show(&[("a", "1")]);
    assert_eq!(leader.published().await.objects, second.objects);
    sleep(Duration::from_secs(5)).await;
    leader.engines.send_replace(engines(&[("qwen", &["10.1.0.1", "10.1.0.2"])]));
    sleep(Duration::from_hours(1)).await;
    assert_eq!((writes(&server), read(&server).len()), (vec![], 1));

    // The last engine goes.
    leader.engines.send_replace(engines(&[]));
    leader.published().await;
    assert_eq!(writes(&server), WRITES);
    assert_eq!(read(&server), []);
}

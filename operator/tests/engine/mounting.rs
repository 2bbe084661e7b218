//! Events of pods are read where one waits for its volumes for long, and only then.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http::{Request, Response};
use k8s_openapi::api::core::v1::Pod;
use kube::{Client, client::Body};
use serde_json::json;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};
use turnpike_engine::Observed;
use turnpike_operator::{
    context::Context,
    engine::{Engines, Report, Reports, mounts},
};

use super::scale::model;

const WORDS: &str = "MountVolume.SetUp failed for volume \"models\" : hostPath type check failed";

/// A client that hands on each request's line, and has this event.
fn client() -> (Client, mpsc::UnboundedReceiver<String>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let service = tower::service_fn(move |request: Request<Body>| {
        let sender = sender.clone();
        async move {
            sender.send(format!("{} {}", request.method(), request.uri())).unwrap();
            let event = json!({"metadata": {"name": "a.17"}, "involvedObject": {}, "reason": "FailedMount", "message": WORDS,
                "lastTimestamp": "2026-03-10T11:00:00Z"});
            let list = json!({"kind": "EventList", "apiVersion": "v1", "metadata": {}, "items": [event]});
            Ok::<_, Infallible>(Response::new(Body::from(list.to_string().into_bytes())))
        }
    });
    (Client::new(service, "default"), receiver)
}

/// A pod on a node, as far as this.
fn engines(may_start: &str) -> Arc<Engines> {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "a", "namespace": "ml", "uid": "uid-a"}, "spec": {"nodeName": "gpu-1", "containers": []},
        "status": {"conditions": [{"type": "PodReadyToStartContainers", "status": may_start}]},
    }))
    .unwrap();
    let pods = [("a".to_owned(), Arc::new(pod))].into();
    Arc::new([(model(), Observed { pods, ..Observed::default() })].into_iter().collect())
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_waits_for_long_is_asked_about_until_it_may_start() {
    let (client, mut asked) = client();
    let (context, _) = crate::context::context(client, "trial", "llm");
    let (engine_reports, mut reports) = Reports::new();
    let (sender, engines_seen) = watch::channel(engines("False"));
    let began = Instant::now();
    let task = tokio::spawn(mounts::run(Context { engines: engines_seen, engine_reports, ..context }));
    let line = asked.recv().await.unwrap();
    assert!(
        line.starts_with("GET /api/v1/namespaces/ml/events?") && line.contains("involvedObject.uid%3Duid-a"),
        "{line}"
    );
    assert!(began.elapsed() >= mounts::EVERY, "most pods have their volumes by then");
    let told = |words: Option<&str>| Some((model(), Report::Unmounted("a".to_owned(), words.map(str::to_owned))));
    assert_eq!(reports.recv().await, told(Some(WORDS)));
    sender.send_replace(engines("True"));
    assert_eq!(reports.recv().await, told(None));
    while asked.try_recv().is_ok() {}
    let more = timeout(Duration::from_mins(5), asked.recv()).await;
    assert!(more.is_err(), "{more:?}");
    task.abort();
}

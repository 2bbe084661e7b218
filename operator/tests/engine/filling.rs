//! The Job that fills a cache, and the Deployment that waits for it.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};
use turnpike_engine::Observed;
use turnpike_operator::engine::{Engines, progress::fetching};

use crate::{
    apiserver::at,
    keeping::{ENGINE, Running, with},
};

fn cached(revision: &str) -> Value {
    json!({"vllm": {"source": {"huggingFace": {"repo": "a/llama", "revision": revision}}, "cache": {"size": "1Gi"}}})
}

const FETCH: &str = "llama-engine-fetch";

fn bind(running: &Running) {
    running.server.change(|state| {
        state.edit("persistentvolumeclaims", ENGINE, |object| object["status"]["phase"] = "Bound".into());
    });
}

/// The revision that a child fetches or serves.
fn revision(running: &Running, plural: &str, name: &str, list: &str) -> Option<String> {
    running.server.look(|state| {
        let object = state.objects.get(&(plural.to_owned(), name.to_owned()))?;
        let variables = object["spec"]["template"]["spec"][list][0]["env"].as_array().unwrap();
        let found = variables.iter().find(|variable| variable["name"] == "MODEL_REVISION").unwrap();
        Some(found["value"].as_str().unwrap().to_owned())
    })
}

fn fetched(running: &Running) -> Option<String> {
    revision(running, "jobs", FETCH, "containers")
}

fn served(running: &Running) -> String {
    revision(running, "deployments", ENGINE, "initContainers").unwrap()
}

fn complete(running: &Running) {
    let done = json!([{"type": "Complete", "status": "True"}]);
    running.server.change(|state| state.edit("jobs", FETCH, |object| object["status"]["conditions"] = done));
}

#[tokio::test(start_paused = true)]
async fn a_cache_is_filled_before_a_deployment_that_serves_is_changed() {
    let running = with(&cached("one")).await;
    assert_eq!(
        (fetched(&running), served(&running)),
        (None, "one".to_owned()),
        "the first pod says where the volume lies"
    );
    bind(&running);
    running.settle().await;
    assert_eq!(fetched(&running).as_deref(), Some("one"));
    complete(&running);
    running.settle().await;
    running.writes();

    running.server.change(|state| state.model("llama", &cached("two")));
    running.settle().await;
    assert_eq!((fetched(&running).as_deref(), served(&running).as_str()), (Some("two"), "one"));
    let job = |method: &str| format!("{method} jobs/{FETCH} ");
    assert_eq!(running.writes(), [job("DELETE"), format!("{}turnpike-operator", job("PATCH"))]);
    // Whoever leads next waits on.
    let server = running.server.clone();
    drop(running);
    let running = Running::start(&server).await;
    running.settle().await;
    assert_eq!((fetched(&running).as_deref(), served(&running).as_str()), (Some("two"), "one"));
    complete(&running);
    running.settle().await;
    assert_eq!(served(&running), "two");
    running.writes();
    running.settle().await;
    assert_eq!(running.writes(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_not_wanted_any_more_goes() {
    let running = with(&cached("one")).await;
    bind(&running);
    running.settle().await;
    assert!(fetched(&running).is_some());
    running.server.change(|state| {
        state.model("llama", &json!({"vllm": {"source": {"pvc": {"claimName": "weights"}}, "cache": {"size": "1Gi"}}}));
    });
    running.settle().await;
    assert_eq!(fetched(&running), None);
    let args = running.server.look(|state| {
        state.get("deployments", ENGINE)["spec"]["template"]["spec"]["containers"][0]["args"].to_string()
    });
    assert!(args.contains("/models"), "nothing is waited for: {args}");
}

#[test]
fn pods_are_asked_how_far_they_are_while_they_fetch() {
    let pod = |state: &str, list: &str, more: &Value| {
        let container = json!({"name": "fetch", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": {state: {}}});
        let mut pod = json!({"metadata": {"name": "p"}, "spec": {"containers": []}, "status": {"podIP": "10.0.0.7", list: [container]}});
        pod["spec"]["hostNetwork"] = more.clone();
        BTreeMap::from([("p".to_owned(), Arc::new(serde_json::from_value(pod).unwrap()))])
    };
    let (init, main) = ("initContainerStatuses", "containerStatuses");
    let asked = |observed: Observed| {
        let engines: Engines = [(at("llama"), observed)].into_iter().collect();
        fetching(&engines)
            .into_iter()
            .map(|((model, pod), place)| format!("{} {pod} {place}", model.name))
            .collect::<Vec<_>>()
    };
    let of_engine = |pods| asked(Observed { pods, ..Observed::default() });
    let of_job = |fetchers| asked(Observed { fetchers, ..Observed::default() });
    assert_eq!(of_engine(pod("running", init, &Value::Null)), ["llama p 10.0.0.7:8001"]);
    assert_eq!(of_job(pod("running", main, &Value::Null)), ["llama p 10.0.0.7:8001"]);
    assert_eq!(of_engine(pod("waiting", init, &Value::Null)), Vec::<String>::new());
    assert_eq!(
        of_job(pod("running", main, &json!(true))),
        Vec::<String>::new(),
        "whatever listens on its node is not asked"
    );
}

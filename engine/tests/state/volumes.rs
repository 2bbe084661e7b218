//! Volumes that cannot be mounted: which events tell of them, and what is told.

use k8s_openapi::api::core::v1::{Event, Pod};
use serde_json::{Value, json};
use turnpike_engine::state::{awaits_volumes, unmounted};

use crate::place::{engine, line, observed, pod, ready, running, told, unscheduled};

const NOT_FOUND: &str =
    "MountVolume.SetUp failed for volume \"models\" : hostPath type check failed: /models is not a directory";
const SUMMARY: &str = "Unable to attach or mount volumes: unmounted volumes=[models], unattached volumes=[], failed to process \
                       volumes=[]: context deadline exceeded";
const MULTI: &str = "Multi-Attach error for volume \"pvc-1\" Volume is already used by pod(s) qwen-engine-5f6b7c8d9e-a";

/// As a kubelet writes it; last told at so many minutes.
fn event(reason: &str, message: &str, minutes: u32) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "a.17", "namespace": "team"}, "type": "Warning",
        "involvedObject": {"kind": "Pod", "name": "a", "namespace": "team"}, "reason": reason, "message": message,
        "count": 3, "firstTimestamp": "2026-03-10T11:00:00Z", "lastTimestamp": format!("2026-03-10T11:{minutes:02}:00Z"),
        "eventTime": null, "source": {"component": "kubelet"},
    })
}

fn words(events: &[Value]) -> Option<String> {
    let events: Vec<Event> = events.iter().map(|event| serde_json::from_value(event.clone()).unwrap()).collect();
    unmounted(&events)
}

fn awaits(pod: Value) -> bool {
    awaits_volumes(&serde_json::from_value::<Pod>(pod).unwrap())
}

#[test]
fn the_kubelet_is_quoted_about_volumes() {
    let mut seen = observed(&[pod("a")]);
    seen.unmounted.insert("a".to_owned(), format!("{NOT_FOUND}.\n"));
    let state = told(&seen);
    assert_eq!(
        line(&state),
        format!(
            "False FailedMount: Pod a cannot have its volumes: {NOT_FOUND}; correct what these words name, or what spec.vllm \
             mounts (source.pvc, cache, podOverlay); it is tried again by itself"
        )
    );
    assert!(!state.is_stuck && state.progress.is_none());
}

#[test]
fn what_was_told_before_it_could_start_is_forgotten() {
    let mut prepared = pod("a");
    prepared["status"]["conditions"][0]["status"] = json!("True");
    for (pod, reason) in [(prepared, "Starting"), (engine("a", &running(), &json!({}), 0), "LoadingModel")] {
        let mut seen = observed(&[pod]);
        seen.unmounted.insert("a".to_owned(), NOT_FOUND.to_owned());
        assert_eq!(told(&seen).engine.reason.as_str(), reason);
    }
}

#[test]
fn a_pod_awaits_volumes_from_its_node_on_until_containers_may_start() {
    assert!(awaits(pod("a")));
    assert!(!awaits(unscheduled("a", "no node")) && !awaits(ready("a")));
    let mut prepared = pod("a");
    prepared["status"]["conditions"][0]["status"] = json!("True");
    assert!(!awaits(prepared));
    let mut older = pod("a");
    older["status"]["conditions"].as_array_mut().unwrap().remove(0);
    assert!(awaits(older), "before 1.29 no condition tells");
}

#[test]
fn the_last_trouble_with_one_volume_is_told() {
    let found = |events: &[Value]| words(events).unwrap_or_default();
    assert_eq!(found(&[]), "");
    assert_eq!(found(&[event("Scheduled", "Successfully assigned team/a to gpu-1", 9)]), "");
    assert_eq!(found(&[event("FailedMount", NOT_FOUND, 1)]), NOT_FOUND);
    let attach = event("FailedAttachVolume", MULTI, 3);
    assert_eq!(found(&[attach.clone(), event("FailedMount", NOT_FOUND, 1)]), MULTI, "the later one");
    assert_eq!(found(&[attach, event("FailedMount", SUMMARY, 5)]), MULTI, "a summary says less");
    assert_eq!(found(&[event("FailedMount", SUMMARY, 5)]), SUMMARY, "but more than nothing");
    assert_eq!(found(&[event("FailedMount", "", 5)]), "");
}

#[test]
fn trouble_that_is_over_is_not_told() {
    let attach = event("FailedAttachVolume", MULTI, 1);
    let done = event("SuccessfulAttachVolume", "AttachVolume.Attach succeeded for volume \"pvc-1\"", 2);
    assert_eq!(words(&[attach.clone(), done.clone()]), None);
    assert_eq!(words(&[attach, done, event("FailedMount", NOT_FOUND, 3)]).as_deref(), Some(NOT_FOUND));
    let sandbox = event("FailedCreatePodSandBox", "plugin type=\"calico\" failed", 4);
    assert_eq!(words(&[event("FailedMount", NOT_FOUND, 3), sandbox]), None);
}

#[test]
fn an_event_of_the_newer_kind_has_its_time_elsewhere() {
    let mut newer = event("FailedMount", NOT_FOUND, 0);
    newer["lastTimestamp"] = Value::Null;
    newer["eventTime"] = json!("2026-03-10T11:00:00.000000Z");
    newer["series"] = json!({"count": 4, "lastObservedTime": "2026-03-10T11:07:00.000000Z"});
    let attached = |minutes| event("SuccessfulAttachVolume", "", minutes);
    assert_eq!(words(&[newer.clone(), attached(6)]).as_deref(), Some(NOT_FOUND));
    assert_eq!(words(&[newer, attached(8)]), None);
}

//! `CacheReady`.

use std::sync::Arc;

use serde_json::{Value, json};
use turnpike_engine::{Observed, state};

use crate::place::{back_off, engine, fetch, model, observed, ready, running, terminated, unscheduled};

fn claim(phase: &str) -> Value {
    json!({
        "metadata": {"name": "qwen-engine", "namespace": "team"},
        "spec": {"accessModes": ["ReadWriteMany"], "storageClassName": "fast"}, "status": {"phase": phase},
    })
}

/// `Truth Reason: message`, or `absent`.
fn told(more: &Value, seen: &Observed) -> String {
    let verdict = state(&model(more), seen).unwrap().cache;
    let line = verdict.map(|verdict| format!("{} {}: {}", verdict.truth, verdict.reason, verdict.message));
    line.unwrap_or_else(|| "absent".to_owned())
}

#[test]
fn a_new_volume_is_awaited_until_it_is_bound() {
    let own = json!({"cache": {"size": "100Gi", "accessMode": "ReadWriteMany"}});
    let mut seen = observed(&[]);
    assert_eq!(told(&own, &seen), "False ClaimPending: PersistentVolumeClaim qwen-engine is not made yet");
    let put = |seen: &mut Observed, phase| seen.claim = Some(Arc::new(serde_json::from_value(claim(phase)).unwrap()));
    for phase in ["Pending", "Lost"] {
        put(&mut seen, phase);
        let message = format!(
            "False ClaimPending: PersistentVolumeClaim qwen-engine (storage class fast) is {phase}; see why: kubectl describe pvc \
             qwen-engine"
        );
        assert_eq!(told(&own, &seen), message);
    }
    put(&mut seen, "Bound");
    assert_eq!(told(&own, &seen), "True Ready: PersistentVolumeClaim qwen-engine is bound");
    seen.pods = observed(&[fetch("a", &running(), &json!({}), 0)]).pods;
    assert_eq!(told(&own, &seen), "False Downloading: Pod a fetches the model's files");
    seen.pods = observed(&[fetch("a", &running(), &json!({}), 0), ready("b")]).pods;
    assert_eq!(told(&own, &seen), "True Ready: PersistentVolumeClaim qwen-engine is bound", "one has found them there");
}

#[test]
fn a_claim_of_somebody_else_is_seen_by_the_scheduler() {
    let named = json!({"cache": {"claimName": "models", "accessMode": "ReadWriteMany"}});
    assert_eq!(told(&named, &observed(&[])), "absent");
    let words = "0/1 nodes are available: persistentvolumeclaim \"models\" not found. not found";
    let message = format!(
        "False ClaimPending: PersistentVolumeClaim models cannot be used: Pod a finds no node: {words}; add nodes or free what it asks for, or ask for less in spec.vllm"
    );
    assert_eq!(told(&named, &observed(&[unscheduled("a", words)])), message);
    assert_eq!(told(&named, &observed(&[unscheduled("a", "1 Insufficient nvidia.com/gpu")])), "absent");
}

#[test]
fn without_a_volume_the_files_alone_are_told() {
    assert_eq!(told(&json!({}), &observed(&[])), "absent");
    let mut seen = observed(&[fetch("a", &running(), &json!({}), 0)]);
    seen.fetched.insert("a".to_owned(), 99);
    assert_eq!(told(&json!({}), &seen), "False Downloading: Pod a fetches the model's files: 99 %");
    let end = terminated(1, "Error", "no space left on device", 1);
    let failed = told(&json!({}), &observed(&[fetch("a", &back_off("fetch"), &end, 1)]));
    assert!(failed.starts_with("False CrashLoop: Pod a ended 2 times: container fetch, "), "{failed}");
    assert_eq!(
        told(&json!({}), &observed(&[engine("a", &running(), &json!({}), 0)])),
        "True Ready: The model's files are in place"
    );
    let mut plain = engine("a", &running(), &json!({}), 0);
    plain["status"].as_object_mut().unwrap().remove("initContainerStatuses");
    assert_eq!(told(&json!({}), &observed(&[plain])), "absent", "nothing tells of its files");
}

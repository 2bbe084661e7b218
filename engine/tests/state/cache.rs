//! `CacheReady`.

use std::sync::Arc;

use serde_json::{Value, json};
use turnpike_engine::{Observed, state, state::may_fetch_ahead};

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

/// A Job that fills the cache; `pods` are its own.
fn filling(condition: &Value, pods: &[Value]) -> Observed {
    let job = json!({"metadata": {"name": "qwen-engine-fetch"}, "status": {"conditions": condition}});
    let mut seen = observed(&[ready("old")]);
    seen.claim = Some(Arc::new(serde_json::from_value(claim("Bound")).unwrap()));
    seen.fetch = Some(Arc::new(serde_json::from_value(job).unwrap()));
    seen.fetchers = observed(pods).pods;
    seen
}

/// A pod of that Job, with its container at something.
fn fetcher(state: &Value, last: &Value, restarts: i32) -> Value {
    let mut pod = fetch("f", state, last, restarts);
    let status = pod["status"].as_object_mut().unwrap();
    let container = status.remove("initContainerStatuses").unwrap();
    status.insert("containerStatuses".to_owned(), container);
    pod
}

#[test]
fn a_job_fills_the_cache_while_engines_serve() {
    let own = json!({"cache": {"size": "100Gi", "accessMode": "ReadWriteMany"}, "replicas": 1});
    let not_yet = json!([]);
    let waits = told(&own, &filling(&not_yet, &[]));
    assert!(waits.starts_with("False Starting: Pod is being made by the Job qwen-engine-fetch"), "{waits}");
    let lacking = told(&own, &filling(&not_yet, &[unscheduled("f", "0/1 nodes are available: 1 Insufficient cpu.")]));
    assert!(lacking.starts_with("False Unschedulable: Pod f finds no node: 0/1 nodes are available"), "{lacking}");
    let end = terminated(1, "Error", "cannot fetch a/b at gone: 404", 1);
    let failed = told(&own, &filling(&not_yet, &[fetcher(&back_off("fetch"), &end, 2)]));
    assert!(
        failed.starts_with(
            "False CrashLoop: Pod f ended 3 times: container fetch, exit code 1: cannot fetch a/b at gone"
        ),
        "{failed}"
    );

    let mut seen = filling(&not_yet, &[fetcher(&running(), &json!({}), 0)]);
    seen.fetched.insert("f".to_owned(), 42);
    assert_eq!(told(&own, &seen), "False Downloading: Pod f fetches the model's files: 42 %");
    let all = state(&model(&own), &seen).unwrap();
    assert_eq!(all.progress.as_deref(), Some("Downloading 42 %"));
    assert_eq!(
        (all.engine.reason.to_string(), all.engine.message.as_str(), all.is_updating, all.replicas),
        (
            "Ready".to_owned(),
            "1 engine answers. The cache is being filled: Pod f fetches the model's files: 42 %",
            true,
            1
        )
    );

    let done = json!([{"type": "Complete", "status": "True"}]);
    let seen = filling(&done, &[]);
    assert_eq!(told(&own, &seen), "True Ready: The model's files are in place");
    let all = state(&model(&own), &seen).unwrap();
    assert_eq!((all.progress, all.is_updating), (None, false));
}

#[test]
fn claims_that_the_spec_names_are_told_as_they_are() {
    let named = json!({"cache": {"claimName": "models", "accessMode": "ReadWriteMany"}});
    let spec = |more: &Value| model(more).spec.vllm.unwrap();
    let mut seen = observed(&[ready("a")]);
    seen.claims.insert("models".to_owned(), None);
    let missing =
        "PersistentVolumeClaim models does not exist in this namespace; make it, or name another in spec.vllm";
    assert_eq!(told(&named, &seen), format!("False ClaimPending: {missing}"));
    assert!(!may_fetch_ahead(&spec(&named), &seen));
    let mut put = |phase| {
        let mut claim = claim(phase);
        claim["metadata"]["name"] = "models".into();
        seen.claims.insert("models".to_owned(), Some(Arc::new(serde_json::from_value(claim).unwrap())));
        (told(&named, &seen), may_fetch_ahead(&spec(&named), &seen))
    };
    let (pending, may) = put("Pending");
    assert!(
        pending.starts_with("False ClaimPending: PersistentVolumeClaim models (storage class fast) is Pending"),
        "{pending}"
    );
    assert!(!may);
    assert_eq!(put("Bound"), ("True Ready: PersistentVolumeClaim models is bound".to_owned(), true));

    let volume = json!({"source": {"pvc": {"claimName": "weights"}}});
    let mut seen = observed(&[]);
    seen.claims.insert("weights".to_owned(), None);
    assert!(told(&volume, &seen).contains("PersistentVolumeClaim weights does not exist"));
    assert!(!may_fetch_ahead(&spec(&volume), &seen));
}

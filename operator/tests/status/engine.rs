//! What is observed of an engine shows in its model's status and events.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};
use turnpike_bundle::{Secret, objects::Value as SecretValue};
use turnpike_crds::model_deployment::ModelDeploymentStatus;
use turnpike_engine::Observed;
use turnpike_operator::{
    engine::Engines,
    status::{
        condition::Waiting,
        event::{Event, Side, events},
        survey::Status,
    },
};

use crate::place::{Place, at, condition, lines, now, of};

/// A model with an engine whose key is there, so that gateways have its entry.
pub(crate) fn place(more: &Value) -> Place {
    let mut vllm = json!({
        "source": {"huggingFace": {"repo": "Qwen/Qwen2.5-7B-Instruct"}}, "replicas": 2,
        "apiKeySecretRef": {"name": "engine", "key": "token"},
    });
    for (field, value) in more.as_object().unwrap() {
        vllm[field] = value.clone();
    }
    let mut place =
        Place::new().model("qwen", &json!({"vllm": vllm, "price": {"perRequest": "0"}})).gateways(&[Some(10)]);
    let secret = Secret {
        labels: [("turnpike.dev/use".to_owned(), "engine".to_owned())].into(),
        data: [("token".to_owned(), SecretValue::Plain(b"0123456789abcdef0123456789abcdef".to_vec()))].into(),
        ..Secret::default()
    };
    place.world.secrets.insert(at("engine"), Arc::new(secret));
    place
}

/// A pod on a node; `state` is its engine's.
fn pod(name: &str, state: &Value, is_ready: bool) -> Value {
    let ready = if is_ready { "True" } else { "False" };
    json!({
        "metadata": {
            "name": name, "namespace": "team", "creationTimestamp": "2026-03-10T11:00:00Z",
            "labels": {"turnpike.dev/model": "qwen", "pod-template-hash": "7c9d8b6f5d"},
        },
        "spec": {"nodeName": "gpu-1", "containers": [{"name": "engine"}]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": ready}, {"type": "PodScheduled", "status": "True"}],
            "containerStatuses": [{
                "name": "engine", "image": "vllm/vllm-openai:v0.33.0", "ready": is_ready, "restartCount": 0,
                "imageID": "docker.io/vllm/vllm-openai@sha256:6766ce0c", "started": is_ready, "state": state,
            }],
        },
    })
}

fn ready(name: &str) -> Value {
    pod(name, &json!({"running": {"startedAt": "2026-03-10T11:01:00Z"}}), true)
}

fn loading(name: &str) -> Value {
    pod(name, &json!({"running": {"startedAt": "2026-03-10T11:01:00Z"}}), false)
}

fn waiting(name: &str, reason: &str, message: &str) -> Value {
    pod(name, &json!({"waiting": {"reason": reason, "message": message}}), false)
}

fn unscheduled(name: &str, words: &str) -> Value {
    let mut pod = pod(name, &json!({}), false);
    pod["spec"].as_object_mut().unwrap().remove("nodeName");
    pod["status"] = json!({"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words},
    ]});
    pod
}

fn crashed(name: &str, restarts: i32) -> Value {
    let mut pod = waiting(name, "CrashLoopBackOff", "back-off 40s restarting failed container=engine");
    let status = &mut pod["status"]["containerStatuses"][0];
    status["restartCount"] = json!(restarts);
    status["lastState"] =
        json!({"terminated": {"exitCode": 1, "reason": "Error", "message": "ValueError: no such model\n"}});
    pod
}

fn older(mut pod: Value) -> Value {
    pod["metadata"]["labels"]["pod-template-hash"] = json!("5f6b7c8d9e");
    pod["metadata"]["creationTimestamp"] = json!("2026-03-10T10:00:00Z");
    pod
}

/// A pod whose first container fetches.
fn fetching(name: &str) -> Value {
    let mut pod = waiting(name, "PodInitializing", "");
    pod["status"]["initContainerStatuses"] = json!([{
        "name": "fetch", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"running": {"startedAt": "2026-03-10T11:01:00Z"}},
    }]);
    pod
}

fn observed(pods: &[Value], replicas: i32) -> Observed {
    let pods = pods.iter().map(|pod| {
        let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
        (name, Arc::new(serde_json::from_value(pod.clone()).unwrap()))
    });
    let deployment = json!({"spec": {"replicas": replicas, "selector": {}, "template": {}}});
    Observed {
        pods: pods.collect(),
        deployment: Some(Arc::new(serde_json::from_value(deployment).unwrap())),
        ..Observed::default()
    }
}

/// Engines of which only this one is there.
pub(crate) fn engines(observed: Observed) -> Engines {
    [(at("qwen"), observed)].into_iter().collect()
}

/// One that fetches its files.
pub(crate) fn at_percent(percent: u8) -> Engines {
    let mut observed = observed(&[fetching("a")], 1);
    observed.fetched.insert("a".to_owned(), percent);
    engines(observed)
}

fn status(status: &Status) -> &ModelDeploymentStatus {
    match status {
        Status::Model(status) => status,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_case_is_told_in_words() {
    let scaled = json!({"autoscaling": {"minReplicas": 0, "maxReplicas": 3}, "cache": {"size": "10Gi", "accessMode": "ReadWriteMany"}});
    let short = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.";
    let unscalable =
        Observed { unscalable: Some("gateway-0 tells no demand".to_owned()), ..observed(&[ready("a")], 1) };
    let refused = Observed { refused: Some("exceeded quota: gpus".to_owned()), ..Observed::default() };
    let cases = [
        ("engine-ready", json!({}), observed(&[ready("a"), ready("b")], 2)),
        ("engine-short", json!({}), observed(&[ready("a"), unscheduled("b", short)], 2)),
        ("engine-unschedulable", json!({}), observed(&[unscheduled("a", short)], 2)),
        ("engine-loading", json!({}), observed(&[loading("a")], 2)),
        ("engine-rollout", json!({}), observed(&[older(ready("a")), loading("b")], 2)),
        ("engine-crashes", json!({}), observed(&[crashed("a", 1)], 2)),
        ("engine-crashes-for-long", json!({}), observed(&[crashed("a", 7)], 2)),
        ("engine-bad-image", json!({}), observed(&[waiting("a", "InvalidImageName", "invalid reference format")], 2)),
        ("engine-refused", json!({}), refused),
        ("engine-asleep", scaled.clone(), observed(&[], 0)),
        ("engine-unscalable", scaled, unscalable),
        ("engine-zero", json!({"replicas": 0}), observed(&[], 0)),
        ("engine-not-made", json!({}), Observed::default()),
    ];
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("golden");
    settings.set_prepend_module_to_snapshot(false);
    for (case, more, seen) in cases {
        let mut place = place(&more);
        place.engines = engines(seen);
        let survey = place.survey(now());
        settings.bind(|| insta::assert_snapshot!(case, lines(of(&survey, "qwen")).join("\n")));
        place.write(&survey);
        assert!(place.survey(now()).drafts.is_empty(), "{case} changes by being written");
    }
}

#[test]
fn columns_are_filled() {
    let mut place = place(&json!({}));
    let mut seen = observed(&[ready("a"), loading("b")], 2);
    seen.adapters.insert("a".to_owned(), BTreeSet::from(["sql".to_owned()]));
    place.engines = engines(seen);
    let survey = place.survey(now());
    let found = status(of(&survey, "qwen"));
    assert_eq!((found.replicas, found.ready_replicas, found.replicas_text.as_deref()), (Some(2), Some(1), Some("1/2")));
    let backends = found.backends.clone().unwrap();
    assert_eq!(
        (backends.healthy, backends.cooling, backends.total, found.backends_text.as_deref()),
        (1, 0, 2, Some("1/2"))
    );
    assert_eq!(found.selector.as_deref(), Some("app.kubernetes.io/component=engine,turnpike.dev/model=qwen"));
    assert_eq!(found.image.as_deref(), Some("docker.io/vllm/vllm-openai@sha256:6766ce0c"));
    assert_eq!(
        (found.progress.as_deref(), found.adapters.as_slice()),
        (Some("Loading the model"), &["sql".to_owned()][..])
    );
}

/// A model whose key is missing has no entry and no children; /scale works all the same.
#[test]
fn what_stands_in_the_way_of_the_engine_is_all_that_is_told() {
    let mut place = place(&json!({}));
    place.world.secrets.clear();
    let survey = place.survey(now());
    let found = of(&survey, "qwen");
    assert!(condition(found, "EngineReady").is_none(), "nothing is there of it");
    assert_eq!(condition(found, "Ready").unwrap().reason, "RefNotFound");
    assert_eq!((status(found).replicas, status(found).replicas_text.as_deref()), (Some(0), Some("0/2")));
    assert!(status(found).selector.is_some());
    place.engines = engines(observed(&[ready("a")], 2));
    let survey = place.survey(now());
    let found = of(&survey, "qwen");
    assert_eq!(condition(found, "EngineReady").unwrap().status, "True", "it runs on");
    assert_eq!(condition(found, "Ready").unwrap().reason, "RefNotFound");
}

/// After a start the operator does not say that engines are gone which it has not looked for yet.
#[test]
fn nothing_is_told_before_engines_are_known() {
    let mut place = place(&json!({})).model("other", &json!({"mock": {"response": "hi"}}));
    place.engines = Engines::default();
    let survey = place.survey(now());
    let names: Vec<&str> = survey.drafts.keys().map(|id| id.object.name.as_str()).collect();
    assert_eq!(names, ["other"]);
}

#[test]
fn words_alone_wait_for_more_of_their_kind() {
    let mut place = place(&json!({}));
    let mut waits = Vec::new();
    for next in
        [at_percent(1), at_percent(2), engines(observed(&[loading("a")], 1)), engines(observed(&[ready("a")], 1))]
    {
        place.engines = next;
        let survey = place.survey(now());
        waits.extend(survey.drafts.values().map(|draft| draft.waiting));
        place.write(&survey);
    }
    assert_eq!(waits, [None, Some(Waiting::Progress), None, None]);
}

#[test]
fn events_tell_of_turns_and_not_of_words() {
    let scaled = json!({"autoscaling": {"minReplicas": 0, "maxReplicas": 3}});
    let mut place = place(&scaled);
    let mut told = Vec::new();
    let unscalable =
        || Observed { unscalable: Some("gateway-0 tells no demand".to_owned()), ..observed(&[ready("a")], 1) };
    let unmounted = || Observed {
        unmounted: [("a".to_owned(), "MountVolume.SetUp failed".to_owned())].into(),
        ..observed(&[waiting("a", "ContainerCreating", "")], 1)
    };
    for seen in [
        observed(&[unscheduled("a", "0/1 nodes are available")], 1),
        observed(&[unscheduled("a", "0/2 nodes are available")], 1),
        observed(&[fetching("a")], 1),
        observed(&[loading("a")], 1),
        unmounted(),
        observed(&[crashed("a", 1)], 1),
        observed(&[crashed("a", 2)], 1),
        observed(&[ready("a")], 1),
        observed(&[ready("a")], 2),
        unscalable(),
        unscalable(),
        observed(&[], 0),
    ] {
        place.engines = engines(seen);
        let survey = place.survey(now());
        for draft in survey.drafts.values() {
            let before = draft.before.as_ref().map_or_else(Side::default, |before| before.side());
            let line = |Event { kind, reason, .. }: Event| format!("{} {reason}", kind.as_str());
            told.extend(events(before, draft.after.side(), &draft.compiled).into_iter().map(line));
        }
        place.write(&survey);
    }
    let told: Vec<&str> = told.iter().map(String::as_str).filter(|line| *line != "Normal Programmed").collect();
    assert_eq!(
        told,
        [
            "Warning Unschedulable",
            "Warning FailedMount",
            "Warning CrashLoop",
            "Normal Ready",
            "Warning CannotScale",
            "Normal ScaledToZero"
        ]
    );
}

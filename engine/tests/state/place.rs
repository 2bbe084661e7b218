//! One engine and its pods, as Kubernetes 1.34 writes them.

use std::sync::Arc;

use serde_json::{Value, json};
use turnpike_crds::ModelDeployment;
use turnpike_engine::{Observed, State, state};

pub(crate) const DIGEST: &str =
    "docker.io/vllm/vllm-openai@sha256:6766ce0c459e24b76f3e9ba14ffc0442131ef4248c904efdcbf0d89e38be01fe";

/// A model with an engine of two replicas; `more` is laid over `spec.vllm`.
pub(crate) fn model(more: &Value) -> ModelDeployment {
    let mut vllm = json!({
        "source": {"huggingFace": {"repo": "Qwen/Qwen2.5-7B-Instruct"}}, "replicas": 2, "startupTimeout": "10m",
    });
    for (field, value) in more.as_object().unwrap() {
        vllm[field] = value.clone();
    }
    serde_json::from_value(json!({
        "apiVersion": "turnpike.dev/v1alpha1", "kind": "ModelDeployment",
        "metadata": {"name": "qwen", "namespace": "team", "generation": 1}, "spec": {"vllm": vllm},
    }))
    .unwrap()
}

/// What is observed: a Deployment that wants two, and these pods.
pub(crate) fn observed(pods: &[Value]) -> Observed {
    let pods = pods.iter().map(|pod| {
        let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
        (name, Arc::new(serde_json::from_value(pod.clone()).unwrap()))
    });
    Observed { pods: pods.collect(), deployment: Some(Arc::new(deployment(2, &json!([])))), ..Observed::default() }
}

pub(crate) fn deployment(replicas: i32, conditions: &Value) -> k8s_openapi::api::apps::v1::Deployment {
    serde_json::from_value(json!({
        "metadata": {"name": "qwen-engine", "namespace": "team", "generation": 1},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"turnpike.dev/model": "qwen"}}, "template": {},
        },
        "status": {"observedGeneration": 1, "replicas": replicas, "conditions": conditions},
    }))
    .unwrap()
}

pub(crate) fn told(observed: &Observed) -> State {
    state(&model(&json!({})), observed).unwrap()
}

/// `Truth Reason: message` of `EngineReady`.
pub(crate) fn line(state: &State) -> String {
    let verdict = &state.engine;
    format!("{} {}: {}", verdict.truth, verdict.reason, verdict.message)
}

/// A pod on its node before any of its containers has started.
pub(crate) fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "team", "creationTimestamp": "2026-03-10T11:00:00Z",
            "labels": {
                "app.kubernetes.io/component": "engine", "turnpike.dev/model": "qwen", "pod-template-hash": "7c9d8b6f5d",
            },
        },
        "spec": {
            "nodeName": "gpu-1",
            "initContainers": [{"name": "fetch", "image": "vllm/vllm-openai:v0.33.0"}],
            "containers": [{"name": "engine", "image": "vllm/vllm-openai:v0.33.0"}],
        },
        "status": {
            "phase": "Pending", "qosClass": "Burstable", "hostIP": "10.0.0.7", "startTime": "2026-03-10T11:00:01Z",
            "conditions": [
                {"type": "PodReadyToStartContainers", "status": "False", "lastTransitionTime": "2026-03-10T11:00:01Z"},
                {"type": "Initialized", "status": "False", "reason": "ContainersNotInitialized",
                 "message": "containers with incomplete status: [fetch]", "lastTransitionTime": "2026-03-10T11:00:01Z"},
                {"type": "Ready", "status": "False", "reason": "ContainersNotReady",
                 "message": "containers with unready status: [engine]", "lastTransitionTime": "2026-03-10T11:00:01Z"},
                {"type": "ContainersReady", "status": "False", "reason": "ContainersNotReady",
                 "message": "containers with unready status: [engine]", "lastTransitionTime": "2026-03-10T11:00:01Z"},
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-03-10T11:00:01Z"},
            ],
            "initContainerStatuses": [{
                "name": "fetch", "image": "vllm/vllm-openai:v0.33.0", "imageID": "", "ready": false, "restartCount": 0,
                "started": false, "lastState": {}, "state": {"waiting": {"reason": "PodInitializing"}},
            }],
            "containerStatuses": [{
                "name": "engine", "image": "vllm/vllm-openai:v0.33.0", "imageID": "", "ready": false, "restartCount": 0,
                "started": false, "lastState": {}, "state": {"waiting": {"reason": "PodInitializing"}},
            }],
        },
    })
}

/// A pod that the scheduler has looked at and found no node for.
pub(crate) fn unscheduled(name: &str, words: &str) -> Value {
    let mut pod = pod(name);
    pod["spec"].as_object_mut().unwrap().remove("nodeName");
    pod["status"] = json!({
        "phase": "Pending", "qosClass": "Burstable",
        "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words,
            "lastTransitionTime": "2026-03-10T11:00:01Z",
        }],
    });
    pod
}

/// A pod whose first container is at something.
pub(crate) fn fetch(name: &str, state: &Value, last: &Value, restarts: i32) -> Value {
    let mut pod = pod(name);
    let status = &mut pod["status"]["initContainerStatuses"][0];
    (status["state"], status["lastState"], status["restartCount"]) = (state.clone(), last.clone(), json!(restarts));
    pod
}

/// A pod that has its files and whose engine is at something.
pub(crate) fn engine(name: &str, state: &Value, last: &Value, restarts: i32) -> Value {
    let mut pod = fetch(
        name,
        &json!({"terminated": {
            "exitCode": 0, "reason": "Completed", "startedAt": "2026-03-10T11:00:05Z", "finishedAt": "2026-03-10T11:01:05Z",
            "containerID": "containerd://1f",
        }}),
        &json!({}),
        0,
    );
    pod["status"]["initContainerStatuses"][0]["ready"] = json!(true);
    pod["status"]["phase"] = json!("Running");
    let status = &mut pod["status"]["containerStatuses"][0];
    (status["state"], status["lastState"], status["restartCount"]) = (state.clone(), last.clone(), json!(restarts));
    if state.get("waiting").is_none() {
        status["imageID"] = json!(DIGEST);
    }
    pod
}

pub(crate) fn running() -> Value {
    json!({"running": {"startedAt": "2026-03-10T11:01:06Z"}})
}

/// A pod that answers.
pub(crate) fn ready(name: &str) -> Value {
    let mut pod = engine(name, &running(), &json!({}), 0);
    let status = &mut pod["status"]["containerStatuses"][0];
    (status["ready"], status["started"]) = (json!(true), json!(true));
    for at in [2, 3] {
        let condition = &mut pod["status"]["conditions"][at];
        condition["status"] = json!("True");
        condition["lastTransitionTime"] = json!("2026-03-10T11:03:00Z");
    }
    pod
}

/// The same pod, asked to end.
pub(crate) fn ending(mut pod: Value) -> Value {
    pod["metadata"]["deletionTimestamp"] = json!("2026-03-10T12:00:00Z");
    pod["metadata"]["deletionGracePeriodSeconds"] = json!(60);
    pod
}

/// The same pod, made an hour earlier from another template.
pub(crate) fn older(mut pod: Value) -> Value {
    pod["metadata"]["labels"]["pod-template-hash"] = json!("5f6b7c8d9e");
    pod["metadata"]["creationTimestamp"] = json!("2026-03-10T10:00:00Z");
    pod
}

pub(crate) fn waiting(reason: &str, message: &str) -> Value {
    json!({"waiting": {"reason": reason, "message": message}})
}

/// A container's end after `minutes`.
pub(crate) fn terminated(exit_code: i32, reason: &str, message: &str, minutes: u32) -> Value {
    json!({"terminated": {
        "exitCode": exit_code, "reason": reason, "message": message, "containerID": "containerd://2e",
        "startedAt": "2026-03-10T11:00:10Z", "finishedAt": format!("2026-03-10T11:{minutes:02}:30Z"),
    }})
}

/// What the kubelet says between two tries.
pub(crate) fn back_off(container: &str) -> Value {
    waiting(
        "CrashLoopBackOff",
        &format!("back-off 40s restarting failed container={container} pod=qwen-engine-7c9d8b6f5d-a_team(8d5c2b1e)"),
    )
}

//! Each reason of `EngineReady`.

use std::sync::Arc;

use serde_json::{Value, json};
use turnpike_engine::{Observed, state};

use crate::place::{
    back_off, deployment, ending, engine, fetch, line, model, observed, older, pod, ready, running, terminated, told,
    unscheduled, waiting,
};

const SHORT: &str = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. no new claims to deallocate, preemption: 0/1 nodes \
                     are available: 1 No preemption victims found for incoming pod.";

/// As it is quoted.
fn bare() -> &'static str {
    SHORT.trim_end_matches('.')
}

/// What one pod alone makes of `EngineReady`.
fn alone(pod: &Value) -> String {
    line(&told(&observed(std::slice::from_ref(pod))))
}

#[test]
fn the_scheduler_is_quoted() {
    assert_eq!(
        alone(&unscheduled("a", SHORT)),
        format!(
            "False Unschedulable: Pod a finds no node: {}; add nodes or free what it asks for, or ask for less in spec.vllm",
            bare()
        )
    );
    let mut unseen = unscheduled("a", SHORT);
    unseen["status"] = json!({"phase": "Pending"});
    assert_eq!(alone(&unseen), "False Starting: Pod a waits for the scheduler");
}

#[test]
fn a_pod_is_prepared_then_fetches_then_loads() {
    assert_eq!(
        alone(&pod("a")),
        "False Starting: Pod a is prepared by its node, which pulls images and mounts volumes; see how far: kubectl describe pod"
    );
    let fetching = fetch("a", &running(), &json!({}), 0);
    assert_eq!(alone(&fetching), "False Downloading: Pod a fetches the model's files");
    let mut seen = observed(std::slice::from_ref(&fetching));
    seen.fetched.insert("a".to_owned(), 42);
    assert_eq!(line(&told(&seen)), "False Downloading: Pod a fetches the model's files: 42 %");
    assert_eq!(
        alone(&engine("a", &running(), &json!({}), 0)),
        "False LoadingModel: Pod a loads the model, for which it has 600 s (spec.vllm.startupTimeout)"
    );
}

/// Between the startup probe's success and the first one of the readiness probe there is a moment.
#[test]
fn an_engine_that_never_answered_is_not_said_to_have_stopped() {
    let mut started = engine("a", &running(), &json!({}), 0);
    started["status"]["containerStatuses"][0]["started"] = json!(true);
    assert!(alone(&started).starts_with("False LoadingModel: "));
    started["status"]["conditions"][2]["lastTransitionTime"] = json!("2026-03-10T11:30:00Z");
    assert_eq!(alone(&started), "False BackendUnhealthy: Pod a does not answer any more");
    started["status"]["reason"] = json!("NodeLost");
    started["status"]["message"] = json!("Node gpu-1 which was running pod a is unresponsive");
    assert_eq!(
        alone(&started),
        "False BackendUnhealthy: Pod a does not answer any more: Node gpu-1 which was running pod a is unresponsive"
    );
}

#[test]
fn the_kubelet_is_quoted_about_images() {
    let pull = "failed to pull and unpack image \"docker.io/vllm/vllm-openai:v9\": failed to resolve reference \
                \"docker.io/vllm/vllm-openai:v9\": docker.io/vllm/vllm-openai:v9: not found";
    let back_off = "Back-off pulling image \"vllm/vllm-openai:v9\": ErrImagePull: rpc error: code = NotFound";
    let invalid = "Failed to apply default image tag \"vllm:::\": couldn't parse image name \"vllm:::\": invalid reference format";
    for (reason, words, is_stuck) in
        [("ErrImagePull", pull, false), ("ImagePullBackOff", back_off, false), ("InvalidImageName", invalid, true)]
    {
        let first = fetch("a", &waiting(reason, words), &json!({}), 0);
        assert_eq!(
            alone(&first),
            format!(
                "False ImagePull: Pod a has no image for container fetch: {reason}: {words}; correct spec.vllm.image, or let the node reach its registry"
            )
        );
        let second = engine("a", &waiting(reason, words), &json!({}), 0);
        let state = told(&observed(&[second]));
        assert_eq!(
            line(&state),
            format!(
                "False ImagePull: Pod a has no image for container engine: {reason}: {words}; correct spec.vllm.image, or let the node reach its registry"
            )
        );
        assert_eq!(state.is_stuck, is_stuck, "{reason}");
    }
}

/// It is told in the state of the container that mounts it.
#[test]
fn the_kubelet_is_quoted_about_the_image_of_a_volume() {
    let words = "Back-off pulling image \"registry.example/models:1\": ErrImagePull: failed to pull and unpack image \
                 \"registry.example/models:1\": failed to resolve reference \"registry.example/models:1\": not found";
    let mounting = |volume: &str, reference: &str, own: &str| {
        let mut pod = engine("a", &waiting("ImagePullBackOff", words), &json!({}), 0);
        pod["spec"]["volumes"] =
            json!([{"name": "tmp", "emptyDir": {}}, {"name": volume, "image": {"reference": reference}}]);
        pod["status"]["containerStatuses"][0]["image"] = json!(own);
        alone(&pod)
    };
    let lacking = |what: &str, field: &str| {
        format!(
            "False ImagePull: Pod a has no image for {what}: ImagePullBackOff: {words}; correct {field}, or let the node reach \
             its registry"
        )
    };
    let source = lacking("volume models", "spec.vllm.source.uri");
    assert_eq!(mounting("models", "registry.example/models:1", "vllm/vllm-openai:v9"), source);
    assert_eq!(mounting("models", "registry.example/models:1", "registry.example/models"), source);
    assert_eq!(
        mounting("more", "registry.example/models:1", "vllm/vllm-openai:v9"),
        lacking("volume more", "spec.vllm.podOverlay")
    );
    let own = lacking("container engine", "spec.vllm.image");
    assert_eq!(mounting("models", "registry.example/others:1", "registry.example/models:1"), own);
    assert_eq!(mounting("models", "registry.example/models", "registry.example/models:1"), own);
}

/// Kubernetes 1.34 answers to the Deployment as if nothing were missing.
#[test]
fn an_image_that_the_apiserver_does_not_mount_is_told() {
    let made = |args: &[&str], volumes: Value| {
        let mut seen = observed(&[engine("a", &terminated(1, "Error", "no such file", 1), &json!({}), 1)]);
        let pod = json!({"containers": [{"name": "engine", "args": args}], "volumes": volumes});
        let mut deployment = serde_json::to_value(deployment(1, &json!([]))).unwrap();
        deployment["spec"]["template"]["spec"] = pod;
        seen.deployment = Some(Arc::new(serde_json::from_value(deployment).unwrap()));
        line(&state(&model(&json!({"source": {"uri": "oci://registry.example/models:1"}})), &seen).unwrap())
    };
    let left_out = made(&["--model", "/models"], json!([{"name": "tmp", "emptyDir": {}}]));
    assert!(
        left_out.starts_with("False Refused: The apiserver has left out the volume of spec.vllm.source.uri: "),
        "{left_out}"
    );
    assert!(left_out.ends_with("delete Deployment qwen-engine, which is made anew"), "{left_out}");
    let mounted =
        made(&["--model", "/models"], json!([{"name": "models", "image": {"reference": "registry.example/models:1"}}]));
    assert!(mounted.starts_with("False CrashLoop: "), "{mounted}");
    let of_before = made(&["--model", "Qwen/Qwen2.5-7B-Instruct"], json!([]));
    assert!(of_before.starts_with("False CrashLoop: "), "{of_before}");
}

const TRACEBACK: &str = "Traceback (most recent call last):\n  File \"/usr/bin/vllm\", line 8, in <module>\n\u{1b}[31mValueError: \
                         Unsupported model\u{1b}[0m\n\n  \n";

#[test]
fn a_crash_is_told_with_the_last_line_of_its_log() {
    let end = terminated(1, "Error", TRACEBACK, 1);
    let rest = "container engine, exit code 1: ValueError: Unsupported model; see spec.vllm.extraArgs and env, and all \
                of its log: kubectl logs --previous";
    assert_eq!(alone(&engine("a", &end, &json!({}), 0)), format!("False CrashLoop: Pod a ended once: {rest}"));
    let looping = format!("False CrashLoop: Pod a ended 4 times: {rest}");
    assert_eq!(alone(&engine("a", &back_off("engine"), &end, 3)), looping);
    assert_eq!(alone(&engine("a", &running(), &end, 4)), looping, "it runs again, and nothing says that it helps");
    let stuck = |restarts| told(&observed(&[engine("a", &back_off("engine"), &end, restarts)])).is_stuck;
    assert!(!stuck(4));
    assert!(stuck(5));
}

#[test]
fn a_failed_download_is_told_with_its_reason() {
    let end = terminated(1, "Error", "huggingface_hub.errors.RepositoryNotFoundError: 404 Client Error.\n", 1);
    assert_eq!(
        alone(&fetch("a", &back_off("fetch"), &end, 1)),
        "False CrashLoop: Pod a ended 2 times: container fetch, exit code 1: \
         huggingface_hub.errors.RepositoryNotFoundError: 404 Client Error.; see spec.vllm.source, and whether pods may reach it"
    );
}

#[test]
fn an_engine_that_was_ended_for_being_late_is_told_so() {
    let told = |minutes, code| {
        let end = terminated(code, "Error", "INFO loading weights", minutes);
        alone(&engine("a", &back_off("engine"), &end, 0))
    };
    let late = "it did not answer within spec.vllm.startupTimeout (600 s): raise it if that is too short";
    assert!(told(11, 137).ends_with(late), "{}", told(11, 137));
    assert!(!told(3, 137).contains(late), "too early for that");
    assert!(!told(40, 137).contains(late), "it has run for long");
    assert!(!told(11, 1).contains(late), "it ended of its own");
}

#[test]
fn too_little_memory_is_told_of_both_kinds() {
    let killed = terminated(137, "OOMKilled", "", 2);
    let words = "container engine used more memory than it may; raise spec.vllm.resources.limits.memory";
    for state in [back_off("engine"), running()] {
        assert!(alone(&engine("a", &state, &killed, 2)).starts_with("False OutOfMemory: Pod a ended "));
        assert!(alone(&engine("a", &state, &killed, 2)).ends_with(words));
    }
    let gpu =
        terminated(1, "Error", "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB\n[W] bye", 2);
    assert_eq!(
        alone(&engine("a", &back_off("engine"), &gpu, 0)),
        "False OutOfMemory: Pod a ended once: the GPU's memory is too small: torch.OutOfMemoryError: CUDA out of \
         memory. Tried to allocate 2.00 GiB; lower spec.vllm.maxModelLen or gpuMemoryUtilization, or give it more GPUs"
    );
}

#[test]
fn what_cluster_and_node_refuse_is_quoted() {
    let no_secret =
        engine("a", &waiting("CreateContainerConfigError", "secret \"qwen-engine-key\" not found"), &json!({}), 0);
    assert_eq!(
        alone(&no_secret),
        "False Refused: Pod a cannot start container engine: CreateContainerConfigError: secret \"qwen-engine-key\" not found; see: kubectl describe pod"
    );
    let mut evicted = ready("a");
    evicted["status"] = json!({
        "phase": "Failed", "reason": "UnexpectedAdmissionError",
        "message": "Pod was rejected: Allocate failed due to requested number of devices unavailable for nvidia.com/gpu. \
                    Requested: 1, Available: 0, which is unexpected",
    });
    let words = alone(&evicted);
    assert!(
        words.starts_with("False Refused: Pod a was ended by its node: UnexpectedAdmissionError: Pod was rejected: ")
    );
    assert_eq!(line(&told(&observed(&[evicted, ready("b")]))), "True Ready: 1 of 2 engines answers");
    let quota = "pods \"qwen-engine-7c9d8b6f5d-x\" is forbidden: exceeded quota: gpus, requested: \
                 requests.nvidia.com/gpu=1, used: requests.nvidia.com/gpu=4, limited: requests.nvidia.com/gpu=4";
    let failure = json!([{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": quota}]);
    let mut seen = observed(&[]);
    seen.deployment = Some(Arc::new(deployment(2, &failure)));
    assert_eq!(
        line(&told(&seen)),
        format!("False Refused: The apiserver refuses its pods: {quota}; they are tried again by themselves")
    );
    let short = Observed { pods: observed(&[ready("a")]).pods, ..seen };
    assert_eq!(
        line(&told(&short)),
        format!(
            "True Ready: 1 of 2 engines answers. The apiserver refuses its pods: {quota}; they are tried again by themselves"
        )
    );
    let refused = Observed { refused: Some("Deployment is invalid".to_owned()), ..Observed::default() };
    assert_eq!(
        line(&told(&refused)),
        "False Refused: The apiserver refuses a part of the engine: Deployment is invalid; it is tried again by itself"
    );
}

#[test]
fn nothing_yet_is_told_as_what_is_awaited() {
    assert_eq!(line(&told(&Observed::default())), "False Pending: Its Deployment is not made yet");
    assert_eq!(line(&told(&observed(&[]))), "False Starting: Its pods are being made");
}

#[test]
fn none_wanted_is_told_whoever_wanted_it() {
    let zero = |more: &Value, mut seen: Observed| {
        seen.deployment = Some(Arc::new(deployment(0, &json!([]))));
        line(&state(&model(more), &seen).unwrap())
    };
    let idle = "False ScaledToZero: No engine runs, since nobody asks for the model; a request starts one";
    let scaling = json!({"autoscaling": {"minReplicas": 0, "maxReplicas": 3}});
    assert_eq!(zero(&scaling, observed(&[])), idle);
    assert_eq!(zero(&scaling, observed(&[ending(ready("a"))])), idle);
    assert_eq!(
        zero(&json!({"replicas": 0}), observed(&[])),
        "False ScaledToZero: No engine is wanted; raise spec.vllm.replicas to have one"
    );
    let before = state(&model(&scaling), &Observed::default()).unwrap();
    assert_eq!(before.replicas_text, "0/0");
}

#[test]
fn one_that_answers_is_enough_and_the_rest_is_told() {
    assert_eq!(alone(&ready("a")), "True Ready: 1 of 2 engines answers");
    assert_eq!(line(&told(&observed(&[ready("a"), ready("b")]))), "True Ready: 2 engines answer");
    let state = told(&observed(&[ready("a"), unscheduled("b", SHORT)]));
    assert_eq!(
        line(&state),
        format!(
            "True Ready: 1 of 2 engines answers. Pod b finds no node: {}; add nodes or free what it asks for, or ask for less in spec.vllm",
            bare()
        )
    );
    assert!(!state.is_updating && !state.is_stuck);
}

#[test]
fn a_rollout_is_told_while_old_engines_answer() {
    let state = told(&observed(&[older(ready("old")), engine("new", &running(), &json!({}), 0)]));
    assert_eq!(
        line(&state),
        "True Ready: 1 of 2 engines answers. A rollout has 1 to replace. Pod new loads the model, for which \
         it has 600 s (spec.vllm.startupTimeout)"
    );
    assert!(state.is_updating);
    assert_eq!(state.progress.as_deref(), Some("Loading the model"));
}

#[test]
fn a_pod_that_waits_for_another_ones_gpu_is_not_short_of_gpus() {
    let seen = observed(&[ending(older(ready("old"))), unscheduled("new", SHORT)]);
    assert_eq!(
        line(&told(&seen)),
        format!(
            "False Updating: Pod old still ends. Until then: Pod new finds no node: {}; add nodes or free what it asks for, or ask for less in spec.vllm",
            bare()
        )
    );
    let seen = observed(&[ending(ready("old"))]);
    assert_eq!(line(&told(&seen)), "False Updating: Pod old ends, and another is made");
}

#[test]
fn of_several_the_worst_of_the_newest_template_is_told() {
    let crash = |name| engine(name, &back_off("engine"), &terminated(1, "Error", "boom", 1), 2);
    let loading = engine("b", &running(), &json!({}), 0);
    let both = [loading.clone(), crash("c"), crash("a")];
    assert!(line(&told(&observed(&both))).starts_with("False CrashLoop: Pod a "));
    let replaced = [older(crash("a")), loading];
    assert!(line(&told(&observed(&replaced))).starts_with("False LoadingModel: Pod b "), "the older one goes anyway");
    let mut seen = observed(&["x", "y", "z"].map(|name| fetch(name, &running(), &json!({}), 0)));
    seen.fetched = [("x".to_owned(), 70), ("y".to_owned(), 30), ("z".to_owned(), 50)].into();
    assert_eq!(line(&told(&seen)), "False Downloading: Pod y fetches the model's files: 30 %", "the slowest");
}

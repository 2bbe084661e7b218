//! Whatever an overlay says: where `check` lets it pass, the pod runs the same program as the same user, with no part of the node.

use k8s_openapi::api::core::v1::{Container, PodSpec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use turnpike_crds::ModelDeployment;
use turnpike_engine::{check::check, children::children, overlay::Rule};

use crate::models::{engine, settings};

/// Keys that a pod template has, and those that would do harm; values of every shape.
const KEYS: &[&str] = &[
    "metadata",
    "spec",
    "labels",
    "annotations",
    "nodeSelector",
    "tolerations",
    "affinity",
    "runtimeClassName",
    "priorityClassName",
    "containers",
    "initContainers",
    "volumes",
    "name",
    "image",
    "command",
    "args",
    "env",
    "resources",
    "limits",
    "volumeMounts",
    "mountPath",
    "emptyDir",
    "hostPath",
    "persistentVolumeClaim",
    "claimName",
    "path",
    "securityContext",
    "privileged",
    "runAsUser",
    "runAsNonRoot",
    "serviceAccountName",
    "serviceAccount",
    "hostNetwork",
    "hostPID",
    "hostUsers",
    "automountServiceAccountToken",
    "ephemeralContainers",
    "projected",
    "secret",
    "lifecycle",
    "turnpike.dev/model",
    "shareProcessNamespace",
    "envFrom",
    "livenessProbe",
    "csi",
    "image",
];
const NAMES: &[&str] = &["engine", "fetch", "cache", "home", "x", "models", "/dev/shm", "/cache", "/x"];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({})),
        Just(json!(true)),
        Just(json!(0)),
        proptest::sample::select(NAMES).prop_map(|name| json!(name)),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            3 => proptest::collection::vec((proptest::sample::select(KEYS), inner.clone()), 0..4).prop_map(object),
            1 => proptest::collection::vec(inner, 0..3).prop_map(Value::Array),
        ]
    })
}

fn object(members: Vec<(&'static str, Value)>) -> Value {
    members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>().into()
}

/// Elements of lists of named things.
fn named() -> impl Strategy<Value = Value> {
    (proptest::sample::select(NAMES), proptest::sample::select(KEYS), value())
        .prop_map(|(name, key, value)| object(vec![("name", json!(name)), (key, value)]))
}

/// Overlays of the right outer shape, so that many pass.
fn overlay() -> impl Strategy<Value = Value> {
    let list = || proptest::collection::vec(named(), 0..3).prop_map(Value::Array);
    let member = prop_oneof![
        (Just("containers"), list()),
        (Just("initContainers"), list()),
        (Just("volumes"), list()),
        (proptest::sample::select(KEYS), value()),
    ];
    let spec = proptest::collection::vec(member, 0..4).prop_map(object);
    (spec, value(), any::<bool>()).prop_map(|(spec, other, with_other)| {
        if with_other { json!({"spec": spec, "metadata": other}) } else { json!({"spec": spec}) }
    })
}

fn base() -> ModelDeployment {
    engine("source: {huggingFace: {repo: a/b}}")
}

fn pod(model: &ModelDeployment) -> PodSpec {
    children(model, &settings()).unwrap().deployment.spec.unwrap().template.spec.unwrap()
}

/// A pod without what the allow-list names.
fn rest(mut pod: PodSpec) -> PodSpec {
    let bare = |container: Container| Container { resources: None, volume_mounts: None, ..container };
    pod.containers = pod.containers.into_iter().map(bare).collect();
    pod.init_containers = pod.init_containers.map(|containers| containers.into_iter().map(bare).collect());
    PodSpec {
        node_selector: None,
        tolerations: None,
        affinity: None,
        topology_spread_constraints: None,
        runtime_class_name: None,
        priority_class_name: None,
        volumes: None,
        ..pod
    }
}

fn is_kept(overlay: &Value) -> Result<bool, TestCaseError> {
    let mut model = base();
    model.spec.vllm.as_mut().unwrap().pod_overlay = overlay.as_object().cloned().unwrap_or_default();
    if check(&model, Rule::AllowList).iter().any(|finding| !finding.is_warning) {
        return Ok(false);
    }
    let (before, after) = (pod(&base()), pod(&model));
    prop_assert_eq!(rest(after.clone()), rest(before.clone()));
    let (own, volumes) = (before.volumes.unwrap_or_default(), after.volumes.unwrap_or_default());
    let (kept, added) = volumes.split_at(own.len());
    prop_assert_eq!(kept, own.as_slice());
    for volume in added {
        let bare =
            k8s_openapi::api::core::v1::Volume { empty_dir: None, persistent_volume_claim: None, ..volume.clone() };
        let named = k8s_openapi::api::core::v1::Volume { name: volume.name.clone(), ..Default::default() };
        prop_assert!(bare == named, "{:?}", volume);
    }
    for (before, after) in before.containers.iter().zip(&after.containers) {
        let (before, after) =
            (before.volume_mounts.as_deref().unwrap_or_default(), after.volume_mounts.as_deref().unwrap_or_default());
        prop_assert_eq!(after.get(..before.len()), Some(before));
    }
    Ok(true)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn an_allowed_overlay_changes_no_program_user_or_node(overlay in overlay()) {
        is_kept(&overlay)?;
    }
}

/// The property is about overlays that pass: some do.
#[test]
fn overlays_pass() {
    let overlay = json!({"metadata": {"labels": {"a": "b"}}, "spec": {
        "containers": [{"name": "engine", "resources": {"limits": {"x.y/z": 1}}, "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
        "volumes": [{"name": "v", "emptyDir": {}}],
    }});
    assert!(is_kept(&overlay).unwrap());
}

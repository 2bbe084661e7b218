//! `podOverlay`: parts of a pod template laid over ours. An allow-list: what it does not name could run another program,
//! as another user, or with the node's files.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::{Map, Value};

/// What overlays may touch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rule {
    /// The allow-list alone.
    #[default]
    AllowList,
    /// Everything: whoever may create models may then do all that the operator may do with pods.
    Anything,
}

/// Paths that an overlay may touch; `*` is any key or any element, and what lies below a path goes with it.
const ALLOWED: &[&str] = &[
    "metadata.labels",
    "metadata.annotations",
    "spec.nodeSelector",
    "spec.tolerations",
    "spec.affinity",
    "spec.topologySpreadConstraints",
    "spec.runtimeClassName",
    "spec.priorityClassName",
    "spec.containers.*.name",
    "spec.containers.*.resources",
    "spec.containers.*.volumeMounts",
    "spec.initContainers.*.name",
    "spec.initContainers.*.resources",
    "spec.volumes.*.name",
    "spec.volumes.*.emptyDir",
    "spec.volumes.*.persistentVolumeClaim",
];

/// The template with the overlay; unchanged where the overlay makes no pod template, which `check` reports.
pub(crate) fn apply(template: PodTemplateSpec, overlay: &Map<String, Value>) -> PodTemplateSpec {
    if overlay.is_empty() {
        return template;
    }
    merged(&template, overlay).unwrap_or(template)
}

/// `None` where the result is no pod template.
pub(crate) fn merged(template: &PodTemplateSpec, overlay: &Map<String, Value>) -> Option<PodTemplateSpec> {
    let mut base = serde_json::to_value(template).ok()?;
    merge(&mut base, &Value::Object(overlay.clone()));
    serde_json::from_value(base).ok()
}

/// Every path of the overlay outside the allow-list, in its shortest form.
pub(crate) fn outside(overlay: &Map<String, Value>) -> Vec<String> {
    let mut found = Vec::new();
    for (key, value) in overlay {
        walk(key, key, value, &mut found);
    }
    found
}

fn walk(path: &str, pattern: &str, value: &Value, found: &mut Vec<String>) {
    if ALLOWED.contains(&pattern) {
        return;
    }
    let leads_on =
        ALLOWED.iter().any(|allowed| allowed.strip_prefix(pattern).is_some_and(|rest| rest.starts_with('.')));
    match value {
        Value::Object(members) if leads_on => {
            for (key, member) in members {
                walk(&format!("{path}.{key}"), &format!("{pattern}.{key}"), member, found);
            }
        }
        Value::Array(elements) if leads_on => {
            for (at, element) in elements.iter().enumerate() {
                walk(&format!("{path}[{at}]"), &format!("{pattern}.*"), element, found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}

/// Objects by key; lists of named things by name; other lists follow on ours.
fn merge(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(base), Value::Array(over)) => {
            for value in over {
                let name = value.get("name");
                match base.iter_mut().find(|own| {
                    name.is_some() && own.get("name") == name && own.get("mountPath") == value.get("mountPath")
                }) {
                    Some(own) => merge(own, value),
                    None => base.push(value.clone()),
                }
            }
        }
        (base, over) => *base = over.clone(),
    }
}

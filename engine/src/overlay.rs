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

/// # Errors
/// What makes the result no pod template.
pub(crate) fn merged(
    template: &PodTemplateSpec,
    overlay: &Map<String, Value>,
) -> Result<PodTemplateSpec, serde_json::Error> {
    let mut base = serde_json::to_value(template)?;
    merge(&mut base, &Value::Object(overlay.clone()));
    serde_json::from_value(base)
}

/// Paths of an overlay that would make something else of what the template has, with why: our labels, which select the pods,
/// our volumes and mounts, and containers that are not there.
pub(crate) fn clashes(
    template: &PodTemplateSpec,
    overlay: &Map<String, Value>,
    rule: Rule,
) -> Vec<(String, &'static str)> {
    let base = serde_json::to_value(template).unwrap_or_default();
    let over = Value::Object(overlay.clone());
    let mut found = Vec::new();
    if let Some(labels) = over.pointer("/metadata/labels").and_then(Value::as_object) {
        let own = base.pointer("/metadata/labels").and_then(Value::as_object);
        let is_own = |name: &str| own.is_some_and(|own| own.contains_key(name)) || name.starts_with("turnpike.dev/");
        let taken = labels.keys().filter(|name| is_own(name));
        found.extend(taken.map(|name| (format!("metadata.labels[{name}]"), "this label is Turnpike's own")));
    }
    if rule == Rule::Anything {
        return found;
    }
    let own = named(&base, "/spec/volumes", "name");
    let taken =
        named(&over, "/spec/volumes", "name").into_iter().filter(|(_, name)| own.iter().any(|(_, own)| own == name));
    found
        .extend(taken.map(|(at, _)| (format!("spec.volumes[{at}].name"), "the pod has a volume of this name already")));
    for list in ["containers", "initContainers"] {
        let place = format!("/spec/{list}");
        let own = named(&base, &place, "name");
        for (at, container) in elements(&over, &place) {
            let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
            let Some((own_at, _)) = own.iter().find(|(_, own)| *own == name) else {
                found.push((format!("spec.{list}[{at}].name"), "the pod has no container of this name"));
                continue;
            };
            let own = named(&base, &format!("{place}/{own_at}/volumeMounts"), "mountPath");
            let mounts = named(container, "/volumeMounts", "mountPath");
            let taken = mounts.into_iter().filter(|(_, path)| own.iter().any(|(_, own)| own == path));
            found.extend(taken.map(|(mount, _)| {
                (format!("spec.{list}[{at}].volumeMounts[{mount}].mountPath"), "another volume is mounted there")
            }));
        }
    }
    found
}

/// Paths of what is in `over` and did not come through the types.
pub(crate) fn lost(over: &Value, merged: &Value) -> Vec<String> {
    let mut found = Vec::new();
    missing("", over, merged, &mut found);
    found
}

fn missing(path: &str, over: &Value, merged: &Value, found: &mut Vec<String>) {
    match (over, merged) {
        (Value::Object(over), Value::Object(merged)) => {
            for (key, value) in over {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match merged.get(key) {
                    Some(kept) => missing(&path, value, kept, found),
                    None => found.push(path),
                }
            }
        }
        (Value::Array(over), Value::Array(merged)) => {
            // Elements that are no part of one of ours follow on ours, in their order.
            let mut rest = merged.iter().skip(merged.len().saturating_sub(over.len()));
            for (at, value) in over.iter().enumerate() {
                let following = rest.next();
                let kept = merged.iter().find(|own| is_same(own, value)).or(following);
                if let Some(kept) = kept {
                    missing(&format!("{path}[{at}]"), value, kept, found);
                }
            }
        }
        _ => {}
    }
}

/// Whether both are the same element of a list.
fn is_same(own: &Value, value: &Value) -> bool {
    let name = value.get("name");
    name.is_some() && own.get("name") == name && own.get("mountPath") == value.get("mountPath")
}

fn elements<'a>(value: &'a Value, place: &str) -> impl Iterator<Item = (usize, &'a Value)> {
    value.pointer(place).and_then(Value::as_array).into_iter().flatten().enumerate()
}

fn named<'a>(value: &'a Value, place: &str, member: &str) -> Vec<(usize, &'a str)> {
    elements(value, place).filter_map(|(at, element)| Some((at, element.get(member)?.as_str()?))).collect()
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
                match base.iter_mut().find(|own| is_same(own, value)) {
                    Some(own) => merge(own, value),
                    None => base.push(value.clone()),
                }
            }
        }
        (base, over) => *base = over.clone(),
    }
}

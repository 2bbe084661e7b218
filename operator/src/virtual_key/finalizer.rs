//! The finalizer on a `VirtualKey`, as JSON patches that fail rather than undo what another has written meanwhile.

use kube::{
    ResourceExt,
    api::{ObjectMeta, Patch},
};
use serde_json::{Value, json};
use turnpike_crds::VirtualKey;

/// Adds the finalizer to the object as it was read, or fails.
pub fn add(object: &VirtualKey, finalizer: &str) -> Vec<Value> {
    let version = json!({"op": "test", "path": "/metadata/resourceVersion", "value": object.resource_version()});
    let add = if object.finalizers().is_empty() {
        json!({"op": "add", "path": "/metadata/finalizers", "value": [finalizer]})
    } else {
        json!({"op": "add", "path": "/metadata/finalizers/-", "value": finalizer})
    };
    vec![version, add]
}

/// Removes the finalizer from this very object if it is still where it was; `None` = it is not there.
pub fn remove(metadata: &ObjectMeta, finalizer: &str) -> Option<Vec<Value>> {
    let at = metadata.finalizers.iter().flatten().position(|other| other == finalizer)?;
    let path = format!("/metadata/finalizers/{at}");
    Some(vec![
        json!({"op": "test", "path": "/metadata/uid", "value": metadata.uid}),
        json!({"op": "test", "path": path, "value": finalizer}),
        json!({"op": "remove", "path": path}),
    ])
}

/// The operations as a patch.
///
/// # Errors
/// The operations are no JSON patch: a bug, found by any test.
pub fn patch(operations: Vec<Value>) -> serde_json::Result<Patch<()>> {
    Ok(Patch::Json(serde_json::from_value(Value::Array(operations))?))
}

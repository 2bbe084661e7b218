//! Which gateways there are, and what they say that they have loaded.

#![expect(clippy::unwrap_used, reason = "a test that fails here fails with the line")]

mod fleet;
mod pods;
mod polling;

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

/// A pod with a status.
fn pod(name: &str, uid: &str, status: &Value) -> Pod {
    serde_json::from_value(json!({"metadata": {"name": name, "uid": uid}, "status": status})).unwrap()
}

/// A status in which all is well.
fn serving() -> Value {
    json!({
        "podIP": "10.245.0.7",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [status("gateway", "running")],
    })
}

fn status(container: &str, state: &str) -> Value {
    let detail = if state == "terminated" { json!({"exitCode": 0}) } else { json!({}) };
    json!({"name": container, "image": "i", "imageID": "", "ready": true, "restartCount": 0, "state": {state: detail}})
}

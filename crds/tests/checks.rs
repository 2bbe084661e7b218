//! What a manifest read from a folder is checked for: unknown fields and values outside the schema.

use serde_json::{Value, json};
use turnpike_crds::{unknown_fields, violations};

use crate::golden;

fn model(spec: &Value) -> Value {
    json!({"apiVersion": "turnpike.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": "a"}, "spec": spec})
}

#[test]
fn typing_errors_are_named_by_their_path() {
    let manifest = model(&json!({
        "modelname": "gpt-4o",
        "provider": {
            "type": "OpenAI", "baseUrl": "https://example.com",
            "params": {"defaults": {"anything": {"goes": 1}}, "rename": {"anything": "goes"}, "renames": {}},
        },
        "route": {"targets": [{"modelRef": {"name": "b"}}, {"modelRef": {"nme": "c"}, "wieght": 1}]},
        "vllm": {"podOverlay": {"nodeSelector": {"any": "label"}}},
    }));
    let mut manifest = manifest;
    manifest["stauts"] = json!({});
    manifest["metadata"]["lables"] = json!({});
    let mut found = unknown_fields(&manifest, "ModelDeployment");
    found.sort();
    assert_eq!(
        found,
        [
            "spec.modelname",
            "spec.provider.baseUrl",
            "spec.provider.params.renames",
            "spec.route.targets[1].modelRef.nme",
            "spec.route.targets[1].wieght",
            "stauts",
        ]
    );
    assert_eq!(unknown_fields(&manifest, "Secret"), [""; 0]);
}

#[test]
fn values_outside_the_schema_are_named_with_what_would_be_right() {
    let manifest = model(&json!({
        "modelName": "two words",
        "aliases": ["a", "a"],
        "visibility": "Public",
        "tags": "eu",
        "weight": 1001,
        "priority": "1",
        "provider": {"type": "OpenAI", "headers": [{"name": "x-a", "value": "1"}, {"name": "x-a", "value": "2"}], "apiVersion": 2025},
        "mock": {"response": null},
        "route": {"targets": [{"weight": -1}]},
        "timeouts": {"connect": "5 s", "total": "1h30m"},
        "cache": {"enabled": "yes"},
        "vllm": {"source": [], "sharedMemory": 1.5, "resources": {"limits": {"cpu": 4, "memory": "much"}}},
    }));
    let found: Vec<String> = violations(&manifest, "ModelDeployment").iter().map(ToString::to_string).collect();
    golden("violations-of-a-model", &found);
    let key = json!({"spec": {"expiresAt": "tomorrow", "metadata": {"n": 1}}});
    let found: Vec<String> = violations(&key, "VirtualKey").iter().map(ToString::to_string).collect();
    golden("violations-of-a-key", &found);
    assert_eq!(
        violations(&json!({"metadata": {}}), "Budget").iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["spec: is required"]
    );
    assert_eq!(violations(&manifest, "Secret"), []);
}

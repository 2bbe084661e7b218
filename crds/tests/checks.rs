//! What a manifest read from a folder is checked for: unknown fields, values outside the schema, fields without effect.

use std::collections::BTreeSet;

use kube::core::cel::{ErrorKind, Validator};
use serde_json::{Value, json};
use turnpike_crds::{not_yet, not_yet::policy, unknown_fields, violations};

use crate::{files, golden, schema_of};

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

#[test]
fn fields_without_effect_are_named_with_what_is_missing() {
    let mut found = Vec::new();
    for (path, text) in files("good") {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for document in serde_saphyr::from_multiple::<Value>(&text).unwrap() {
            let kind = document["kind"].as_str().unwrap().to_owned();
            let object = document["metadata"]["name"].as_str().unwrap().to_owned();
            found.extend(not_yet(&document, &kind).into_iter().map(|field| format!("{name} {object}: {field}")));
        }
    }
    golden("not-yet", &found);
}

#[test]
fn what_works_is_not_warned_about() {
    let manifest = model(&json!({
        "modelName": "openai/*", "aliases": ["smart"], "visibility": "Cluster", "weight": 3, "priority": 1, "tags": ["eu"],
        "poolStrategy": "Latency", "retry": {"attempts": 1}, "fallbacks": [{"modelRef": {"name": "a"}}], "health": {"active": true},
        "provider": {
            "type": "OpenAI", "model": "*", "baseURL": "https://example.com/v1", "credentials": {"secretRef": {"name": "a", "key": "b"}},
            "headers": [{"name": "x-a", "value": "1"}], "params": {"drop": ["user"]},
        },
        "route": {"strategy": "LeastBusy", "stickyBy": "Key", "targets": [{"modelRef": {"name": "b"}, "weight": 2, "priority": 1, "tags": ["a"]}]},
        "mock": {"response": "hi"},
        "price": {"inputPerMillion": "1"}, "capabilities": {"vision": true}, "timeouts": {"connect": "5s"},
        "cache": {"enabled": true}, "limits": {"rpm": 1}, "vllm": null,
    }));
    assert_eq!(not_yet(&manifest, "ModelDeployment"), []);
    let key = json!({"spec": {
        "generate": {}, "subject": {"team": "ml", "tags": {"a": "b"}}, "allowedModels": ["*"], "expiresAt": "2027-01-01T00:00:00Z",
        "suspended": true, "metadata": {"owner": "ann"}, "rotation": {"interval": "720h"},
    }});
    assert_eq!(not_yet(&key, "VirtualKey"), []);
    assert_eq!(not_yet(&json!({"spec": {"limits": [1]}}), "Secret"), []);
}

#[test]
fn every_field_without_effect_is_in_the_schema() {
    for row in turnpike_crds::not_yet::paths() {
        let (kind, path) = row;
        let pointer = path.split('.').fold(String::new(), |pointer, step| pointer + "/properties/" + step);
        assert!(schema_of(kind).pointer(&pointer).is_some(), "{kind} has no {path}");
    }
}

/// What the policy for kubectl says of a manifest: a server's `object` is the rule's `self` here.
fn kubectl_says(document: &Value, kind: &str) -> Vec<String> {
    let resource = format!("{}s", kind.to_lowercase());
    let rules: Vec<Value> = policy::validations()
        .into_iter()
        .filter(|validation| validation.resource == resource)
        .map(|validation| json!({"rule": validation.expression.replace("object.", "self."), "message": validation.message}))
        .collect();
    let mut schema = schema_of(kind).clone();
    schema["x-kubernetes-validations"] = Value::from(rules);
    let errors = Validator::new().validate(&schema, document, None).err();
    let said = errors.into_iter().flatten().map(|error| {
        assert_eq!(error.kind, ErrorKind::ValidationFailure, "{}: {}", error.rule, error.message);
        error.message
    });
    said.collect()
}

#[test]
fn kubectl_warns_of_the_same_fields() {
    let mut seen = BTreeSet::new();
    for (path, text) in files("good") {
        for document in serde_saphyr::from_multiple::<Value>(&text).unwrap() {
            let kind = document["kind"].as_str().unwrap().to_owned();
            let expected: Vec<String> = not_yet(&document, &kind).iter().map(ToString::to_string).collect();
            assert_eq!(kubectl_says(&document, &kind), expected, "{}", path.display());
            seen.extend(expected);
        }
    }
    let rows = policy::validations().len();
    assert_eq!(seen.len(), rows, "the manifests use all of them");
}

#[test]
fn kubectl_warns_of_nothing_that_works() {
    let works = model(&json!({
        "route": {"strategy": "LeastBusy", "stickyBy": "Key", "targets": [{"modelRef": {"name": "a"}, "tags": ["a"]}]},
        "poolStrategy": "Latency", "tags": ["a"], "cache": {"enabled": true}, "price": {"inputPerMillion": "1"},
    }));
    assert_eq!(kubectl_says(&works, "ModelDeployment"), [""; 0]);
}

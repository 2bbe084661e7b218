//! Manifests as tests write them. JSON is YAML, so a builder needs no YAML writer.

use std::fmt::Write;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// One object to be written into the manifests folder.
#[derive(Clone, Debug)]
pub struct Manifest(Value);

impl Manifest {
    fn of(kind: &str, name: &str, spec: &Value) -> Self {
        Self(json!({
            "apiVersion": "turnpike.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec,
        }))
    }

    /// Sets a member of the spec by its dotted path, making what is missing on the way.
    #[must_use]
    pub fn with(mut self, path: &str, value: impl Into<Value>) -> Self {
        let mut place = self.0.get_mut("spec").expect("every object here has a spec");
        for part in path.split('.') {
            if !place.is_object() {
                *place = Value::Object(Map::new());
            }
            let members = place.as_object_mut().expect("made one above");
            place = members.entry(part).or_insert(Value::Null);
        }
        *place = value.into();
        self
    }

    /// Removes a top-level member of the spec.
    #[must_use]
    pub fn without(mut self, member: &str) -> Self {
        if let Some(spec) = self.0.get_mut("spec").and_then(Value::as_object_mut) {
            spec.remove(member);
        }
        self
    }

    /// Gives the object another name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        if let Some(metadata) = self.0.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("name".to_owned(), name.into());
        }
        self
    }

    /// Puts the object into a namespace.
    #[must_use]
    pub fn in_namespace(mut self, namespace: &str) -> Self {
        if let Some(metadata) = self.0.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("namespace".to_owned(), namespace.into());
        }
        self
    }

    /// The YAML document.
    pub fn yaml(&self) -> String {
        self.0.to_string()
    }
}

/// Several documents in one file.
pub fn documents(manifests: &[Manifest]) -> String {
    manifests.iter().map(Manifest::yaml).collect::<Vec<_>>().join("\n---\n")
}

/// A model served by an OpenAI-compatible upstream under its own name.
pub fn model(name: &str, base_url: &str) -> Manifest {
    provider("OpenAICompatible", name, base_url)
}

/// A model served by a provider of this type, which is not probed: what it is asked is the test's alone.
pub fn provider(kind: &str, name: &str, base_url: &str) -> Manifest {
    let spec = json!({"provider": {"type": kind, "baseURL": base_url}, "health": {"active": false}});
    Manifest::of("ModelDeployment", name, &spec)
}

/// A model that gives a canned answer.
pub fn mock(name: &str, response: &str) -> Manifest {
    Manifest::of("ModelDeployment", name, &json!({"mock": {"response": response}}))
}

/// A virtual key by the hash of `key`, allowed every model.
pub fn key(name: &str, key: &str) -> Manifest {
    Manifest::of("VirtualKey", name, &json!({"keyHash": format!("sha256:{}", sha256(key)), "allowedModels": ["*"]}))
}

/// A budget with one limit, which covers every key of its namespace.
pub fn budget(name: &str, limit: &Value) -> Manifest {
    Manifest::of("Budget", name, &json!({"scope": {"namespace": true}, "limits": [limit]}))
}

/// A Secret with one entry.
pub fn secret(name: &str, entry: &str, value: &str) -> Manifest {
    Manifest(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {entry: value}}))
}

/// Lower-case hex of the key's sha256.
pub fn sha256(key: &str) -> String {
    Sha256::digest(key.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a String takes every write");
        hex
    })
}

//! Secrets that a config refers to or holds: they become keys of one Secret, whose values are never written.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use turnpike_crds::{reference::SecretKeyRef, reference::SecretValue};

use super::{
    providers,
    section::{Context, FROM_VARIABLE},
};

/// The Secret that all imported models refer to.
pub(super) const SECRET: &str = "litellm-credentials";

/// What people write where a server wants no key but a client insists on one.
const PLACEHOLDERS: [&str; 12] = [
    "none",
    "null",
    "empty",
    "dummy",
    "fake",
    "fake-key",
    "fake-api-key",
    "not-needed",
    "no-key",
    "anything",
    "x",
    "key",
];

/// How a value gets into the Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As text.
    Text,
    /// A file's content, where the config may name the file.
    File,
}

/// The keys of the Secret.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    keys: BTreeMap<String, Form>,
    /// Values that stand in the config itself, by the key that each got. They go nowhere but into comparisons.
    literals: Vec<(String, String)>,
    /// Names of variables that the config refers to, or may: no secret of the config itself is called the same.
    reserved: BTreeSet<String>,
}

impl Context<'_> {
    /// A reference to a secret; `name`: what its key is called if the config holds the secret itself.
    pub(super) fn secret(&mut self, path: &str, value: &Value, name: &str, form: Form) -> Option<SecretKeyRef> {
        let text = match value {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            Value::Object(_) => value.to_string(),
            Value::Null | Value::Bool(_) | Value::Array(_) => {
                self.hand(path, "this is no secret, and was left out; correct it and import again");
                return None;
            }
        };
        if let Some(variable) = text.strip_prefix(FROM_VARIABLE) {
            return Some(self.secrets.variable(variable, form));
        }
        let key = self.secrets.literal(&text, name, form);
        let advice = match form {
            Form::Text => "the secret itself stands here, and is not copied",
            Form::File => "a key file stands here or is named, and is not copied",
        };
        self.hand(path, format!("{advice}; put it into {key} of Secret {SECRET}, or into the variable {key}"));
        Some(reference(&key))
    }

    /// The same, where a field wants it wrapped.
    pub(super) fn secret_value(&mut self, path: &str, value: &Value, name: &str) -> Option<SecretValue> {
        self.secret(path, value, name, Form::Text).map(|secret_ref| SecretValue { secret_ref })
    }
}

impl Secrets {
    /// For a config: every variable that it names anywhere is reserved.
    pub(super) fn of(config: &Value) -> Self {
        let mut secrets = Self::default();
        secrets.reserved.extend(providers::key_variables().map(str::to_owned));
        secrets.reserve(config);
        secrets
    }

    fn reserve(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.reserved.extend(text.trim().strip_prefix(FROM_VARIABLE).map(key_of)),
            Value::Array(items) => items.iter().for_each(|item| self.reserve(item)),
            Value::Object(members) => members.values().for_each(|member| self.reserve(member)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// A reference to what a variable of the environment holds.
    pub(super) fn variable(&mut self, variable: &str, form: Form) -> SecretKeyRef {
        let key = key_of(variable);
        self.keys.insert(key.clone(), form);
        reference(&key)
    }

    fn literal(&mut self, text: &str, name: &str, form: Form) -> String {
        if let Some((_, key)) = self.literals.iter().find(|(known, _)| known == text) {
            return key.clone();
        }
        let name = key_of(name).replace(['-', '.'], "_").to_ascii_uppercase();
        let numbered = (2..).map(|number: u32| format!("{name}_{number}"));
        let mut candidates = std::iter::once(name.clone()).chain(numbered);
        let is_free = |key: &String| !self.keys.contains_key(key) && !self.reserved.contains(key);
        let key = candidates.find(is_free).unwrap_or(name);
        self.keys.insert(key.clone(), form);
        self.literals.push((text.to_owned(), key.clone()));
        key
    }

    /// The keys' names.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    /// For a folder: each value is read from the variable of its key's name. `None` = no secret is needed.
    pub(super) fn manifest(&self, namespace: Option<&str>) -> Option<Value> {
        let data: BTreeMap<&str, String> = self.keys().map(|key| (key, format!("env:{key}"))).collect();
        let mut metadata = json!({"name": SECRET, "labels": {"turnpike.dev/use": "provider"}});
        if let (Some(namespace), Some(metadata)) = (namespace, metadata.as_object_mut()) {
            metadata.insert("namespace".to_owned(), namespace.into());
        }
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data});
        (!self.keys.is_empty()).then_some(secret)
    }

    /// For a cluster: the commands that make the Secret from variables of the shell. `None` = no secret is needed.
    pub(super) fn commands(&self, namespace: Option<&str>) -> Option<String> {
        let namespace = namespace.map(|name| format!(" --namespace {name}")).unwrap_or_default();
        let values = self.keys.iter().map(|(key, form)| match form {
            Form::Text => format!(" \\\n    --from-literal={key}=\"${key}\""),
            Form::File => format!(" \\\n    --from-file={key}=FILE"),
        });
        let values: String = values.collect();
        let commands = format!(
            "  kubectl create secret generic {SECRET}{namespace}{values}\n  \
             kubectl label secret {SECRET}{namespace} turnpike.dev/use=provider\n"
        );
        (!self.keys.is_empty()).then_some(commands)
    }
}

/// Whether a key is one that no server looks at.
pub(super) fn is_placeholder(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default().trim().to_ascii_lowercase();
    value.is_string() && (text.is_empty() || PLACEHOLDERS.contains(&text.as_str()))
}

fn reference(key: &str) -> SecretKeyRef {
    SecretKeyRef { name: SECRET.to_owned(), key: key.to_owned() }
}

/// In the letters that a Secret's keys have.
fn key_of(name: &str) -> String {
    let legal = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
    name.chars().map(|letter| if legal(letter) { letter } else { '_' }).collect()
}

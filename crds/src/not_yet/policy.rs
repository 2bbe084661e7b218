//! The same warnings for `kubectl`: an expression for each field, for a `ValidatingAdmissionPolicy` with action Warn.

use serde_json::Value;

use super::{ROWS, Row};

const HEADER: &str = "# Generated from crds/src/not_yet.rs by `make generate`.\n";

/// An expression in CEL that is false where a field is in use, and what is said then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validation {
    /// Plural name of the resource.
    pub resource: String,
    /// The expression, over `object`.
    pub expression: String,
    /// What a user reads.
    pub message: String,
}

/// All of them, by resource.
pub fn validations() -> Vec<Validation> {
    let validation = |row: &Row| Validation {
        resource: format!("{}s", row.kind.to_lowercase()),
        expression: format!("!({})", in_use(row.field.path)),
        message: row.field.to_string(),
    };
    ROWS.iter().map(validation).collect()
}

/// The file from which the chart makes a policy for each resource.
pub fn file() -> String {
    let mut text = HEADER.to_owned();
    let mut before = String::new();
    for Validation { resource, expression, message } in validations() {
        if resource != before {
            text.extend([resource.as_str(), ":\n"]);
        }
        // JSON is YAML, and needs no rules for quotes.
        let quoted = [expression, message].map(|text| Value::from(text).to_string());
        let [expression, message] = quoted.each_ref().map(String::as_str);
        text.extend(["- expression: ", expression, "\n  message: ", message, "\n"]);
        before = resource;
    }
    text
}

/// The expression that is true where the field is in use: it and all that it lies in are there.
fn in_use(path: &str) -> String {
    let mut field = "object".to_owned();
    let there = path.split('.').map(|name| {
        field = format!("{field}.{name}");
        format!("has({field})")
    });
    there.collect::<Vec<_>>().join(" && ")
}

//! Checking a manifest against the schema's types, ranges, lengths, patterns and enums, as an API server would.
//!
//! Manifests read from a folder have no API server in front of them. CEL rules are not run here.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::LazyLock,
};

use regex::Regex;
use serde_json::Value;

use crate::schema;

/// Every pattern of the schemas, compiled once: a folder may hold thousands of manifests.
static PATTERNS: LazyLock<BTreeMap<&'static str, Regex>> = LazyLock::new(|| {
    let mut patterns = BTreeMap::new();
    schema::all().for_each(|schema| collect_patterns(schema, &mut patterns));
    patterns
});

/// A place where a manifest breaks the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Path such as `spec.route.targets[0].weight`.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Everything in `spec` and `status` that breaks the schema of `kind`, in the schema's order; none for a kind that is not ours.
///
/// Null counts as absent. Unknown fields are left to [`unknown_fields`](crate::unknown_fields).
pub fn violations(manifest: &Value, kind: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    if let Some(schema) = schema::of_kind(kind) {
        object(schema, manifest, "", &mut found);
    }
    found
}

fn visit(schema: &Value, value: &Value, path: &str, found: &mut Vec<Violation>) {
    let mut report = |message: String| {
        found.push(Violation { path: path.to_owned(), message });
    };
    if schema.get("x-kubernetes-int-or-string").is_some() {
        return match value {
            Value::String(text) => string(schema, text, &mut report),
            Value::Number(number) if number.is_i64() => {}
            _ => report("must be a whole number or a string".to_owned()),
        };
    }
    match (schema.get("type").and_then(Value::as_str), value) {
        (Some("string"), Value::String(text)) => string(schema, text, &mut report),
        (Some("integer"), Value::Number(number)) if number.is_i64() || number.is_u64() => {
            number_range(schema, value, &mut report);
        }
        (Some("boolean"), Value::Bool(_)) | (None, _) => {}
        (Some("array"), Value::Array(items)) => array(schema, items, path, found),
        (Some("object"), Value::Object(_)) => object(schema, value, path, found),
        (Some("integer"), _) => report("must be a whole number".to_owned()),
        (Some("boolean"), _) => report("must be true or false".to_owned()),
        (Some("array"), _) => report("must be a list".to_owned()),
        (Some("object"), _) => report("must be a set of fields".to_owned()),
        (Some(kind), _) => {
            report(format!("must be a {kind}; quote a value that reads as a number or as true or false"));
        }
    }
}

fn string(schema: &Value, text: &str, report: &mut impl FnMut(String)) {
    if let Some(Value::Array(names)) = schema.get("enum")
        && !names.iter().any(|name| name == text)
    {
        let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
        report(format!("\"{text}\" is not one of {}", names.join(", ")));
    }
    let length = text.chars().count() as u64;
    if let Some(most) = limit(schema, "maxLength").filter(|&most| length > most) {
        report(format!("has {length} characters; at most {most}"));
    }
    if let Some(least) = limit(schema, "minLength").filter(|&least| length < least) {
        report(format!("has {length} characters; at least {least}"));
    }
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
        && PATTERNS.get(pattern).is_some_and(|pattern| !pattern.is_match(text))
    {
        report(format!("\"{text}\" does not match {pattern}"));
    }
    if schema.get("format").and_then(Value::as_str) == Some("date-time") && text.parse::<jiff::Timestamp>().is_err() {
        report(format!("\"{text}\" is not a time such as 2027-01-01T00:00:00Z"));
    }
}

fn number_range(schema: &Value, value: &Value, report: &mut impl FnMut(String)) {
    let Some(number) = value.as_f64() else { return };
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    if let Some(least) = bound("minimum").filter(|&least| number < least) {
        report(format!("is {value}; at least {least}"));
    }
    if let Some(most) = bound("maximum").filter(|&most| number > most) {
        report(format!("is {value}; at most {most}"));
    }
}

fn array(schema: &Value, items: &[Value], path: &str, found: &mut Vec<Violation>) {
    let mut report = |path: &str, message: String| {
        found.push(Violation { path: path.to_owned(), message });
    };
    if let Some(most) = limit(schema, "maxItems").filter(|&most| items.len() as u64 > most) {
        report(path, format!("has {} entries; at most {most}", items.len()));
    }
    let mut seen = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        if identity(schema, item).is_some_and(|identity| !seen.insert(identity)) {
            report(&format!("{path}[{index}]"), "is there twice; remove one".to_owned());
        }
    }
    if let Some(schema) = schema.get("items") {
        for (index, item) in items.iter().enumerate() {
            visit(schema, item, &format!("{path}[{index}]"), found);
        }
    }
}

/// What must be unique about an entry: the entry itself in a set, its keys in a map, nothing in an atomic list.
fn identity(schema: &Value, item: &Value) -> Option<String> {
    match schema.get("x-kubernetes-list-type")?.as_str()? {
        "set" => Some(item.to_string()),
        "map" => {
            let keys = schema.get("x-kubernetes-list-map-keys")?.as_array()?;
            let values: Vec<_> = keys.iter().filter_map(|key| item.get(key.as_str()?)).collect();
            serde_json::to_string(&values).ok()
        }
        _ => None,
    }
}

fn object(schema: &Value, value: &Value, path: &str, found: &mut Vec<Violation>) {
    let Some(fields) = value.as_object() else {
        return;
    };
    let at = |name: &str| {
        if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
    };
    if let Some(most) = limit(schema, "maxProperties").filter(|&most| fields.len() as u64 > most) {
        found.push(Violation {
            path: path.to_owned(),
            message: format!("has {} entries; at most {most}", fields.len()),
        });
    }
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        if fields.get(name).is_none_or(Value::is_null) {
            found.push(Violation { path: at(name), message: "is required".to_owned() });
        }
    }
    for (name, schema) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        if let Some(value) = fields.get(name).filter(|value| !value.is_null()) {
            visit(schema, value, &at(name), found);
        }
    }
    if let Some(schema) = schema.get("additionalProperties").filter(|schema| schema.is_object()) {
        for (name, value) in fields {
            visit(schema, value, &at(name), found);
        }
    }
}

fn limit(schema: &Value, name: &str) -> Option<u64> {
    schema.get(name).and_then(Value::as_u64)
}

fn collect_patterns(schema: &'static Value, patterns: &mut BTreeMap<&'static str, Regex>) {
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
        && let Ok(compiled) = Regex::new(pattern)
    {
        patterns.insert(pattern, compiled);
    }
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flat_map(serde_json::Map::values);
    let nested = ["items", "additionalProperties"].into_iter().filter_map(|name| schema.get(name));
    properties.chain(nested).for_each(|schema| collect_patterns(schema, patterns));
}

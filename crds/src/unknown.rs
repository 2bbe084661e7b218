//! Finding fields that a manifest has and the schema lacks.
//!
//! An API server drops such fields in silence or with a warning; a manifest read from a folder has no API server, so a typing
//! error would be lost without this.

use serde_json::{Map, Value};

use crate::schema::of_kind;

/// Paths such as `spec.route.targets[0].wieght` that the schema of `kind` lacks, in the order of the manifest.
///
/// `apiVersion`, `kind` and `metadata` are not looked at. A kind that is not ours has no unknown fields.
pub fn unknown_fields(manifest: &Value, kind: &str) -> Vec<String> {
    let mut found = Vec::new();
    let Some(schema) = of_kind(kind) else {
        return found;
    };
    let Some(object) = manifest.as_object() else {
        return found;
    };
    for (name, value) in object {
        if ["apiVersion", "kind", "metadata"].contains(&name.as_str()) {
            continue;
        }
        visit_field(schema, name, value, name.clone(), &mut found);
    }
    found
}

fn visit_field(parent: &Value, name: &str, value: &Value, path: String, found: &mut Vec<String>) {
    match parent.pointer("/properties").and_then(|properties| properties.get(name)) {
        Some(schema) => visit(schema, value, &path, found),
        None => found.push(path),
    }
}

fn visit(schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    let open = schema.get("x-kubernetes-preserve-unknown-fields").and_then(Value::as_bool).unwrap_or_default();
    match value {
        Value::Object(fields) if schema.get("properties").is_some() => {
            for (name, value) in fields {
                visit_field(schema, name, value, format!("{path}.{name}"), found);
            }
        }
        Value::Object(fields) if !open => visit_map(schema, fields, path, found),
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for (index, item) in items.iter().enumerate() {
                    visit(schema, item, &format!("{path}[{index}]"), found);
                }
            }
        }
        _ => {}
    }
}

fn visit_map(schema: &Value, fields: &Map<String, Value>, path: &str, found: &mut Vec<String>) {
    if let Some(schema) = schema.get("additionalProperties") {
        for (name, value) in fields {
            visit(schema, value, &format!("{path}.{name}"), found);
        }
    }
}

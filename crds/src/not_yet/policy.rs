//! The same warnings for `kubectl`: an expression for each field, for a `ValidatingAdmissionPolicy` with action Warn.

use serde_json::Value;

use super::{ROWS, Row};
use crate::schema;

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
    ROWS.iter()
        .filter_map(|row| {
            let in_use = in_use("object", row.path, schema::of_kind(row.kind)?, row)?;
            Some(Validation {
                resource: format!("{}s", row.kind.to_lowercase()),
                expression: format!("!({in_use})"),
                message: format!("{} has no effect in this version: {} is not there yet", row.path, row.capability),
            })
        })
        .collect()
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

/// The expression that is true where the field is in use; `None` = the schema lacks the field, which a test refuses.
fn in_use(object: &str, path: &str, schema: &Value, row: &Row) -> Option<String> {
    if path.is_empty() {
        return value_in_use(object, schema, row);
    }
    let (step, rest) = path.split_once('.').unwrap_or((path, ""));
    let (name, every) = step.strip_suffix("[]").map_or((step, false), |name| (name, true));
    let field = format!("{object}.{name}");
    let schema = schema.get("properties")?.get(name)?;
    let inner = if every {
        let item = "item";
        format!("{field}.exists({item}, {})", in_use(item, rest, schema.get("items")?, row)?)
    } else {
        in_use(&field, rest, schema, row)?
    };
    Some(if inner.is_empty() { format!("has({field})") } else { format!("has({field}) && {inner}") })
}

/// What more than its presence makes a value in use; empty = nothing.
fn value_in_use(value: &str, schema: &Value, row: &Row) -> Option<String> {
    let works = row.works;
    Some(match schema.get("type")?.as_str()? {
        "array" => format!("{value}.size() > 0"),
        "string" if !works.is_empty() => format!("{value} != '{works}'"),
        "boolean" if !works.is_empty() => format!("{value} != {works}"),
        _ => String::new(),
    })
}

//! What Google takes of a function's parameters.

use serde_json::Value;

use crate::{provider::only, upstream::Refusal};

const MEMBERS: &[&str] = &[
    "type",
    "title",
    "description",
    "format",
    "nullable",
    "enum",
    "properties",
    "required",
    "propertyOrdering",
    "items",
    "anyOf",
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
    "pattern",
    "minimum",
    "maximum",
    "minProperties",
    "maxProperties",
    "default",
    "example",
];

/// Refuses what Google refuses.
pub(super) fn check(schema: &Value) -> Result<(), Refusal> {
    only(schema, MEMBERS)?;
    let members = schema.as_object().map_or(0, serde_json::Map::len);
    if let Some(any_of) = schema["anyOf"].as_array() {
        if members > 1 {
            return Err(Refusal::bad("When using any_of, it must be the only field set."));
        }
        return any_of.iter().try_for_each(check);
    }
    match schema["type"].as_str() {
        Some("OBJECT") => {
            let properties = schema["properties"].as_object();
            if properties.is_some_and(serde_json::Map::is_empty) {
                return Err(Refusal::bad("properties: should be non-empty for OBJECT type"));
            }
            let mut required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            if required.any(|name| !properties.is_some_and(|known| known.contains_key(name))) {
                return Err(Refusal::bad("required: property is not defined"));
            }
            properties.into_iter().flat_map(serde_json::Map::values).try_for_each(check)
        }
        Some("ARRAY") => check(schema.get("items").ok_or_else(|| Refusal::bad("items: missing field."))?),
        Some("STRING") => match schema["format"].as_str() {
            None | Some("date-time" | "enum") => Ok(()),
            Some(_) => Err(Refusal::bad("only 'enum' and 'date-time' are supported for STRING type")),
        },
        Some("NUMBER" | "INTEGER" | "BOOLEAN") if schema.get("enum").is_none() => Ok(()),
        Some("NUMBER" | "INTEGER" | "BOOLEAN") => Err(Refusal::bad("enum: only allowed for STRING type")),
        _ => Err(Refusal::bad("schema must specify the schema type field")),
    }
}

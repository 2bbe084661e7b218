//! Pieces of the generated schema that derives cannot express: maps with bounds, free-form JSON, quantities, conditions.

use std::{collections::BTreeMap, sync::LazyLock};

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::{
    condition::{ConditionType, Reason},
    render,
};

static BY_KIND: LazyLock<BTreeMap<String, Value>> = LazyLock::new(render::schemas);

/// The openAPIV3Schema of one of our kinds, generated once for the process.
pub(crate) fn of_kind(kind: &str) -> Option<&'static Value> {
    BY_KIND.get(kind)
}

/// The openAPIV3Schemas of all our kinds.
pub(crate) fn all() -> impl Iterator<Item = &'static Value> {
    BY_KIND.values()
}

/// A map of short strings: at most 32 entries, values of at most 256 characters.
pub(crate) fn string_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": {"type": "string", "maxLength": 256}
    })
}

/// An object whose fields are anybody's: at most 32 of them, kept as they are.
pub(crate) fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "maxProperties": 32, "x-kubernetes-preserve-unknown-fields": true})
}

/// A Kubernetes quantity, as a number or a string.
pub(crate) fn quantity(_: &mut SchemaGenerator) -> Schema {
    quantity_schema()
}

/// A map of resource names to quantities.
pub(crate) fn quantities(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": quantity_schema().to_value()
    })
}

fn quantity_schema() -> Schema {
    json_schema!({
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": true,
        "maxLength": 32,
        "pattern": "^[+]?([0-9]+([.][0-9]*)?|[.][0-9]+)(([KMGTPE]i)|[numkMGTPE]|([eE][+-]?[0-9]+))?$"
    })
}

/// The list of meta/v1 conditions, merged by type; the bounds are those that meta/v1 documents.
pub(crate) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "description": "One aspect of the object's state.",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": {
                    "type": "string", "maxLength": 316,
                    "description": "Which aspect, such as Ready, Accepted or Programmed."
                },
                "status": {
                    "type": "string", "enum": ["True", "False", "Unknown"],
                    "description": "Whether it holds."
                },
                "observedGeneration": {
                    "type": "integer", "format": "int64", "minimum": 0,
                    "description": "The metadata.generation that this was decided for."
                },
                "lastTransitionTime": {
                    "type": "string", "format": "date-time",
                    "description": "When status last changed."
                },
                "reason": {
                    "type": "string", "minLength": 1, "maxLength": 1024,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                    "description": "Why, in one word for programs."
                },
                "message": {
                    "type": "string", "maxLength": 32768,
                    "description": "Why, and what to do about it, for people."
                }
            }
        }
    })
}

/// What `status.conditions` holds before anything has looked at the object, so that a fresh object never reads as ready.
pub(crate) fn pending_conditions() -> Value {
    let pending = |kind: ConditionType| {
        json!({
            "type": kind.as_str(), "status": "Unknown", "reason": Reason::Pending.as_str(),
            "message": "Waiting for the operator", "lastTransitionTime": "1970-01-01T00:00:00Z"
        })
    };
    Value::from([ConditionType::Ready, ConditionType::Accepted, ConditionType::Programmed].map(pending).to_vec())
}

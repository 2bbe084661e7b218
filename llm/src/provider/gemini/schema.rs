//! JSON Schema cut down to the part of `OpenAPI`'s that Google takes for a function's parameters: whatever else is in it is
//! refused there. `$ref`s are written out, `null` among types becomes `nullable`, and members without a counterpart go.

use std::borrow::Cow;

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;

use super::object::{self, elements, string};

mod settle;

/// Schemas with more parts than this are refused: `$ref`s to `$ref`s can multiply without end.
const MAX_PARTS: usize = 5_000;
/// Deeper ones too, recursive ones being cut long before.
const MAX_DEPTH: usize = 64;

/// Google's `Schema`.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Schema {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    nullable: bool,
    #[serde(rename = "enum", skip_serializing_if = "Vec::is_empty")]
    values: Vec<String>,
    #[serde(skip_serializing_if = "Properties::is_empty")]
    properties: Properties,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    required: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    property_ordering: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Box<Schema>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    any_of: Vec<Schema>,
    /// Members that mean the same on both sides.
    #[serde(flatten)]
    same: Same,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Kind {
    String,
    Number,
    Integer,
    Boolean,
    Array,
    Object,
    Null,
}

/// In the client's order, which models follow when they write.
#[derive(Clone, Debug, Default)]
struct Properties(Vec<(String, Schema)>);

/// Limits, by name.
#[derive(Clone, Debug, Default)]
struct Same(Vec<(&'static str, Box<RawValue>)>);

const SAME: &[&str] = &[
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

impl Properties {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Properties {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, schema)| (name, schema)))
    }
}

impl Serialize for Same {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Schema {
    /// No object with members: a function that takes nothing is declared without parameters.
    pub(super) fn takes_nothing(&self) -> bool {
        self.properties.is_empty() && self.any_of.iter().all(Self::takes_nothing)
    }

    /// Says in which order properties are written, for answers.
    pub(super) fn ordered(mut self) -> Self {
        self.property_ordering = self.properties.0.iter().map(|(name, _)| name.clone()).collect();
        self.properties.0 = self.properties.0.into_iter().map(|(name, schema)| (name, schema.ordered())).collect();
        self.items = self.items.map(|items| Box::new(items.ordered()));
        self.any_of = self.any_of.into_iter().map(Self::ordered).collect();
        self
    }

    fn of(kind: Kind) -> Self {
        Self { kind: Some(kind), ..Self::default() }
    }

    /// Anything: Google wants a type, and these are those that need nothing more.
    fn any() -> Self {
        Self { any_of: [Kind::String, Kind::Number, Kind::Boolean].map(Self::of).to_vec(), ..Self::default() }
    }
}

/// Why a schema cannot be sent.
pub(super) type TooLarge = &'static str;

/// Cuts a schema down.
pub(super) fn cleaned(schema: &RawValue) -> Result<Schema, TooLarge> {
    Cleaning { root: schema, parts: 0, within: Vec::new() }.schema(schema, 0)
}

struct Cleaning<'a> {
    root: &'a RawValue,
    /// Written so far.
    parts: usize,
    /// The `$ref`s that are being written out.
    within: Vec<String>,
}

impl<'a> Cleaning<'a> {
    fn schema(&mut self, raw: &'a RawValue, depth: usize) -> Result<Schema, TooLarge> {
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err("it holds too much once its $refs are written out");
        }
        if depth > MAX_DEPTH {
            return Err("it is nested too deeply");
        }
        let members = object::members(raw);
        match get(&members, "$ref").and_then(string) {
            Some(reference) => self.referred(&reference, &members, depth),
            None => Ok(self.unsettled(&members, depth)?.settled()),
        }
    }

    /// As it stands, which a part of `allOf` may only do together with the others.
    fn unsettled(&mut self, members: &[(Cow<'a, str>, &'a RawValue)], depth: usize) -> Result<Schema, TooLarge> {
        let mut schema =
            Schema { description: text(members, "description"), title: text(members, "title"), ..Schema::default() };
        schema.take_kind(members);
        schema.take_values(members);
        self.shape(&mut schema, members, depth)?;
        for part in get(members, "allOf").map(elements).into_iter().flatten() {
            let inner = object::members(part);
            let part = if get(&inner, "$ref").is_some() || depth >= MAX_DEPTH {
                self.schema(part, depth + 1)?
            } else {
                self.unsettled(&inner, depth + 1)?
            };
            schema.take_in(part);
        }
        for name in ["anyOf", "oneOf"] {
            let Some(variants) = get(members, name) else { continue };
            for variant in elements(variants) {
                let variant = self.schema(variant, depth + 1)?;
                if variant.kind == Some(Kind::Null) {
                    schema.nullable = true;
                } else {
                    schema.any_of.push(variant);
                }
            }
        }
        Ok(schema)
    }

    /// What stands under a `$ref`, with what was said beside it.
    fn referred(
        &mut self,
        reference: &str,
        beside: &[(Cow<'_, str>, &RawValue)],
        depth: usize,
    ) -> Result<Schema, TooLarge> {
        let description = text(beside, "description");
        if self.within.iter().any(|known| known == reference) {
            // Recursive: one level is written out, below that it may hold what it will.
            return Ok(Schema { description, ..Schema::of(Kind::Object) });
        }
        let Some(target) = pointed(self.root, reference) else {
            return Ok(Schema { description, ..Schema::any() }.choice());
        };
        self.within.push(reference.to_owned());
        let schema = self.schema(target, depth + 1);
        self.within.pop();
        let schema = schema?;
        let schema = Schema { description: description.or(schema.description), ..schema };
        Ok(if schema.any_of.is_empty() { schema } else { schema.choice() })
    }

    fn shape(
        &mut self,
        schema: &mut Schema,
        members: &[(Cow<'a, str>, &'a RawValue)],
        depth: usize,
    ) -> Result<(), TooLarge> {
        for (name, property) in get(members, "properties").map(object::members).into_iter().flatten() {
            let property = self.schema(property, depth + 1)?;
            schema.properties.0.push((name.into_owned(), property));
        }
        if let Some(required) = get(members, "required") {
            schema.required =
                elements(required).into_iter().filter_map(|name| Some(string(name)?.into_owned())).collect();
        }
        let tuple = get(members, "prefixItems").or_else(|| get(members, "items").filter(|items| is_array(items)));
        let item = match tuple {
            // Of a tuple any element may stand at any place.
            Some(tuple) => {
                let elements = elements(tuple).into_iter().map(|element| self.schema(element, depth + 1));
                let mut any_of = elements.collect::<Result<Vec<_>, _>>()?;
                if any_of.len() == 1 { any_of.pop() } else { Some(Schema { any_of, ..Schema::default() }) }
            }
            None => get(members, "items").map(|items| self.schema(items, depth + 1)).transpose()?,
        };
        schema.items = item.map(Box::new);
        schema.format = text(members, "format");
        for name in SAME {
            schema.same.0.extend(get(members, name).map(|value| (*name, value.to_owned())));
        }
        Ok(())
    }
}

fn get<'a>(members: &[(Cow<'_, str>, &'a RawValue)], name: &str) -> Option<&'a RawValue> {
    members.iter().rev().find(|(known, _)| known == name).map(|(_, value)| *value)
}

fn text(members: &[(Cow<'_, str>, &RawValue)], name: &str) -> Option<String> {
    Some(get(members, name).and_then(string)?.into_owned())
}

fn is_array(raw: &RawValue) -> bool {
    raw.get().starts_with('[')
}

/// What a `$ref` within the document points to.
fn pointed<'a>(root: &'a RawValue, reference: &str) -> Option<&'a RawValue> {
    let path = reference.strip_prefix('#')?;
    let mut at = root;
    for segment in path.split('/').skip(1) {
        let segment = segment.replace("~1", "/").replace("~0", "~");
        at = get(&object::members(at), &segment)?;
    }
    Some(at)
}

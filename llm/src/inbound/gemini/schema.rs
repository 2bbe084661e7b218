//! Google's schemas as JSON Schema: types in capitals, counts in quotes, and `nullable`.

use serde::Serialize;

use crate::json;

/// Members that say nothing to others.
const DROPPED: &[&str] = &["propertyOrdering", "property_ordering", "example", "nullable"];
/// Formats of numbers and enums that JSON Schema does not know.
const OWN_FORMATS: &[&str] = &["enum", "int32", "int64", "float", "double"];

/// The same as JSON Schema; what is no object stays as it is.
pub(super) fn plain(schema: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(schema.len());
    write(schema, &mut out);
    out
}

fn write(schema: &[u8], out: &mut Vec<u8>) {
    let Ok(members) = json::scan(schema) else {
        out.extend_from_slice(schema);
        return;
    };
    let nullable = json::member(schema, &members, "nullable") == Some(b"true");
    let mut object = Object { out, first: true };
    object.out.push(b'{');
    for member in &members {
        let (name, value) = (member.name(schema), member.value.of(schema));
        match name.as_ref() {
            name if DROPPED.contains(&name) => {}
            "type" => kind(value, nullable, &mut object),
            "format" if json::as_str(value).is_some_and(|format| OWN_FORMATS.contains(&format.as_ref())) => {}
            "enum" if nullable && value.ends_with(b"]") => {
                object.key("enum");
                let is_empty = json::elements(value).is_ok_and(|elements| elements.is_empty());
                object.out.extend_from_slice(value.strip_suffix(b"]").unwrap_or(value));
                object.out.extend_from_slice(if is_empty { b"null]" } else { b",null]" });
            }
            "properties" | "$defs" | "defs" => {
                object.key(if name == "defs" { "$defs" } else { name.as_ref() });
                each_member(value, object.out);
            }
            "items" => {
                object.key("items");
                write(value, object.out);
            }
            "anyOf" | "any_of" => {
                object.key("anyOf");
                each_element(value, object.out);
            }
            other => {
                object.key(count(other).unwrap_or(other));
                let quoted = json::as_str(value).filter(|_| count(other).is_some());
                object.out.extend_from_slice(quoted.as_deref().map_or(value, str::as_bytes));
            }
        }
    }
    out.push(b'}');
}

/// JSON Schema's name of a member that counts something: Google writes such numbers in quotes.
fn count(name: &str) -> Option<&'static str> {
    Some(match name {
        "minItems" | "min_items" => "minItems",
        "maxItems" | "max_items" => "maxItems",
        "minLength" | "min_length" => "minLength",
        "maxLength" | "max_length" => "maxLength",
        "minProperties" | "min_properties" => "minProperties",
        "maxProperties" | "max_properties" => "maxProperties",
        _ => return None,
    })
}

fn kind(value: &[u8], nullable: bool, object: &mut Object<'_>) {
    let word = json::as_str(value).map(|word| word.to_ascii_lowercase());
    match word.as_deref() {
        Some("type_unspecified") => {}
        Some(word) => {
            object.key("type");
            if nullable && word != "null" { object.put(&[word, "null"]) } else { object.put(&word) }
        }
        None => {
            object.key("type");
            object.out.extend_from_slice(value);
        }
    }
}

fn each_member(value: &[u8], out: &mut Vec<u8>) {
    let Ok(members) = json::scan(value) else {
        out.extend_from_slice(value);
        return;
    };
    out.push(b'{');
    for (at, member) in members.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(member.key.of(value));
        out.push(b':');
        write(member.value.of(value), out);
    }
    out.push(b'}');
}

fn each_element(value: &[u8], out: &mut Vec<u8>) {
    let Ok(elements) = json::elements(value) else {
        out.extend_from_slice(value);
        return;
    };
    out.push(b'[');
    for (at, element) in elements.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(element.of(value), out);
    }
    out.push(b']');
}

struct Object<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl Object<'_> {
    fn key(&mut self, name: &str) {
        if !std::mem::replace(&mut self.first, false) {
            self.out.push(b',');
        }
        self.put(&name);
        self.out.push(b':');
    }

    fn put(&mut self, value: &(impl Serialize + ?Sized)) {
        // Writing to memory does not fail, and neither do texts.
        let _ = serde_json::to_writer(&mut *self.out, value);
    }
}

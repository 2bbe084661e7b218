//! Schemas of answers in the subset that Anthropic takes: what it cannot enforce is moved into the descriptions, where the model
//! reads it.

use bytes::Bytes;

use crate::{
    json::{self, Visitor},
    splice::Editor,
};

/// Members that are taken as they are.
const KEPT: &[&str] = &["type", "enum", "const", "title", "required", "$ref"];
/// Members without a meaning for the answer.
const IDLE: &[&str] = &["$schema", "$id", "$comment", "description", "strict"];
/// Values of `format` that are enforced.
const FORMATS: &[&str] = &["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];

/// The schema as it can be enforced, `None` where it cannot: it is none, refers to itself, or has objects whose members are not
/// all named. Order is kept: the model writes members in it.
pub(crate) fn enforced(schema: &[u8]) -> Option<Bytes> {
    if is_recursive(schema) { None } else { subset(schema) }
}

/// What `$ref`s say.
#[derive(Default)]
struct Refs(Vec<String>);

impl Visitor for Refs {
    fn string(&mut self, key: &[u8], value: &[u8], _at: usize, _depth: u32) {
        if key == b"$ref" {
            self.0.push(json::unescape(value).into_owned());
        }
    }
}

/// With more definitions, a schema is too large to be enforced anyway.
const MOST_DEFINITIONS: usize = 100;

/// Whether a definition leads back to itself, or anything to the root.
fn is_recursive(schema: &[u8]) -> bool {
    let mut all = Refs::default();
    let (Ok(()), Ok(members)) = (json::visit(schema, &mut all), json::scan(schema)) else { return false };
    let mut edges = Vec::new();
    for place in ["$defs", "definitions"] {
        let Some(text) = json::member(schema, &members, place) else { continue };
        for definition in json::scan(text).unwrap_or_default() {
            let mut refs = Refs::default();
            if json::visit(definition.value.of(text), &mut refs).is_ok() {
                edges.push((format!("#/{place}/{}", definition.name(text)), refs.0));
            }
        }
    }
    if edges.len() > MOST_DEFINITIONS {
        return true;
    }
    // What leads nowhere is taken away until nothing changes: what is left goes in circles.
    loop {
        let before = edges.len();
        let names: Vec<String> = edges.iter().map(|(name, _)| name.clone()).collect();
        edges.retain(|(_, refs)| refs.iter().any(|target| names.contains(target)));
        if edges.len() == before {
            return before > 0 || all.0.iter().any(|target| target == "#");
        }
    }
}

fn subset(schema: &[u8]) -> Option<Bytes> {
    let text = Bytes::copy_from_slice(schema.trim_ascii());
    let members = json::scan(&text).ok()?;
    let mut edit = Editor::new(&text, &members);
    let mut notes = Vec::new();
    for member in &members {
        let name = member.name(&text);
        let value = member.value.of(&text);
        match name.as_ref() {
            name if KEPT.contains(&name) => {}
            "$defs" | "definitions" | "properties" => edit.set(&name, each_member(value)?),
            "items" => edit.set("items", subset(value)?),
            "anyOf" | "allOf" => edit.set(&name, each_element(value)?),
            "oneOf" => {
                edit.set("oneOf", each_element(value)?);
                edit.rename("oneOf", "anyOf");
            }
            "additionalProperties" if value == b"false" => {}
            "additionalProperties" => return None,
            "format" if json::as_str(value).is_some_and(|format| FORMATS.contains(&format.as_ref())) => {}
            "minItems" if matches!(value, b"0" | b"1") => {}
            name if IDLE.contains(&name) => {}
            name => {
                notes.push(format!("{name}: {}", String::from_utf8_lossy(value)));
                edit.delete(name);
            }
        }
    }
    if edit.has("$ref") {
        // Nothing but definitions may stand beside it.
        members
            .iter()
            .map(|member| member.name(&text))
            .filter(|name| !matches!(name.as_ref(), "$ref" | "$defs"))
            .for_each(|name| {
                edit.delete(&name);
            });
        return Some(edit.finish().to_bytes());
    }
    for idle in ["$schema", "$id", "$comment", "strict"] {
        edit.delete(idle);
    }
    if is_object(edit.value("type")) && !edit.has("additionalProperties") {
        if !edit.has("properties") {
            return None;
        }
        edit.set("additionalProperties", Bytes::from_static(b"false"));
    }
    if !notes.is_empty() {
        let described = edit.value("description").and_then(json::as_str).unwrap_or_default().into_owned();
        let separator = if described.is_empty() { "" } else { "\n\n" };
        edit.set_string("description", &format!("{described}{separator}{{{}}}", notes.join(", ")));
    }
    Some(edit.finish().to_bytes())
}

/// `"object"`, or a list of types with it.
fn is_object(kind: Option<&[u8]>) -> bool {
    kind.is_some_and(|kind| memchr::memmem::find(kind, b"\"object\"").is_some())
}

fn each_member(schemas: &[u8]) -> Option<Bytes> {
    let text = Bytes::copy_from_slice(schemas);
    let members = json::scan(&text).ok()?;
    let mut edit = Editor::new(&text, &members);
    for member in &members {
        edit.set(&member.name(&text), subset(member.value.of(&text))?);
    }
    Some(edit.finish().to_bytes())
}

fn each_element(schemas: &[u8]) -> Option<Bytes> {
    let mut out = Vec::from(*b"[");
    for (at, span) in json::elements(schemas).ok()?.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&subset(span.of(schemas))?);
    }
    out.push(b']');
    Some(out.into())
}

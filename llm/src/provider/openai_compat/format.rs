//! Structured output where a model knows no schemas but can be held to JSON: the schema is told in a message.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{json, splice::Editor};

#[derive(Deserialize)]
struct ResponseFormat<'a> {
    #[serde(borrow)]
    json_schema: Option<Wrapped<'a>>,
}

#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow)]
    schema: Option<&'a RawValue>,
}

/// Rewrites `response_format` of type `json_schema`; everything else is left as it is.
pub(super) fn instruct(edit: &mut Editor<'_>) {
    let schema = edit.value("response_format").and_then(|format| {
        let format: ResponseFormat<'_> = serde_json::from_slice(format).ok()?;
        Some(format.json_schema?.schema?.get().to_owned())
    });
    let (Some(schema), Some([b'[', rest @ ..])) = (schema, edit.value("messages")) else {
        return;
    };
    let told = format!("Answer with one JSON object and nothing else. It must conform to this JSON Schema:\n{schema}");
    let mut messages = Vec::from(*b"[{\"role\":\"system\",\"content\":");
    messages.extend_from_slice(&json::quoted(&told));
    messages.push(b'}');
    if !rest.trim_ascii().starts_with(b"]") {
        messages.push(b',');
    }
    messages.extend_from_slice(rest);
    edit.replace("messages", Bytes::from(messages));
    edit.replace("response_format", Bytes::from_static(b"{\"type\":\"json_object\"}"));
}

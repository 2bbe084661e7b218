//! A function that a model may call, as `OpenAI` writes it and Cohere and Ollama do too.

use serde::Serialize;
use serde_json::value::RawValue;

#[derive(Serialize)]
pub(super) struct Function<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    function: Declared<'a>,
}

/// What is said of it.
#[derive(Serialize)]
pub(super) struct Declared<'a> {
    pub(super) name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<&'a str>,
    /// JSON Schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parameters: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) strict: Option<bool>,
}

impl<'a> Function<'a> {
    pub(super) fn new(function: Declared<'a>) -> Self {
        Self { kind: "function", function }
    }
}

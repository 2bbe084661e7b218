//! Ollama's own API.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Asked, Dialect, only};
use crate::upstream::{Parts, Refusal, Say, Usage, vector};

/// A local Ollama.
#[derive(Clone, Copy, Debug)]
pub struct Ollama;

/// The real one ignores others, so that a wrong name shows only here.
const CHAT: &[&str] = &[
    "model",
    "messages",
    "stream",
    "format",
    "keep_alive",
    "tools",
    "options",
    "think",
    "truncate",
    "shift",
    "logprobs",
    "top_logprobs",
];
const MESSAGE: &[&str] = &["role", "content", "thinking", "images", "tool_calls", "tool_name", "tool_call_id"];
const EMBED: &[&str] = &["model", "input", "truncate", "dimensions", "keep_alive", "options"];

impl Dialect for Ollama {
    fn authenticate(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        if asked.has_key(asked.bearer()) { Ok(()) } else { Err(Refusal::key("unauthorized", "unauthorized")) }
    }

    fn check(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        if asked.text("model").is_none() {
            return Err(Refusal::bad("model is required"));
        }
        match asked.path {
            "/api/chat" => chat(asked.body),
            "/api/embed" => only(asked.body, EMBED),
            _ => Err(Refusal::not_found("404 page not found")),
        }
    }

    fn answer(&self, asked: &Asked<'_>, say: &Say) -> Parts {
        if asked.path == "/api/embed" {
            return vectors(asked, say);
        }
        let line = |text: &str, done: bool| {
            let mut line = json!({
                "model": asked.text("model"), "created_at": "2026-11-01T10:00:00Z",
                "message": {"role": "assistant", "content": text}, "done": done,
            });
            if let (true, Some(members)) = (done, line.as_object_mut()) {
                let Usage { prompt, completion, .. } = say.usage.unwrap_or_default();
                members.insert("done_reason".to_owned(), "stop".into());
                members.insert("prompt_eval_count".to_owned(), prompt.into());
                members.insert("eval_count".to_owned(), completion.into());
            }
            line
        };
        // A stream is what comes unasked.
        if asked.body.get("stream").and_then(Value::as_bool) == Some(false) {
            return Parts::json(&line(&say.pieces.concat(), true));
        }
        let mut parts: Vec<Bytes> =
            say.pieces.iter().map(|piece| Bytes::from(format!("{}\n", line(piece, false)))).collect();
        parts.push(Bytes::from(format!("{}\n", line("", true))));
        Parts { content_type: "application/x-ndjson", parts }
    }

    fn error(&self, refusal: &Refusal) -> Value {
        json!({"error": refusal.message})
    }
}

fn chat(body: &Value) -> Result<(), Refusal> {
    only(body, CHAT)?;
    for message in body["messages"].as_array().into_iter().flatten() {
        only(message, MESSAGE)?;
        if !message["content"].is_string() {
            return Err(Refusal::bad(
                "json: cannot unmarshal into Go struct field ChatRequest.messages of type string",
            ));
        }
        let images = message["images"].as_array().into_iter().flatten();
        if images.filter_map(Value::as_str).any(|image| image.starts_with("data:") || image.starts_with("http")) {
            return Err(Refusal::bad("illegal base64 data at input byte 4"));
        }
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let arguments = call.pointer("/function/arguments");
            if !arguments.is_some_and(Value::is_object) {
                return Err(Refusal::bad("json: cannot unmarshal string into field arguments of type map"));
            }
        }
    }
    match &body["think"] {
        Value::Null | Value::Bool(_) => Ok(()),
        Value::String(_) if body["model"].as_str().is_some_and(|model| model.contains("gpt-oss")) => Ok(()),
        other => Err(Refusal::bad(format!("think value {other} is not supported for this model"))),
    }
}

fn vectors(asked: &Asked<'_>, say: &Say) -> Parts {
    let count = asked.body["input"].as_array().map_or(1, Vec::len);
    let vectors: Vec<Vec<f32>> = (0..count).map(vector).collect();
    let prompt = say.usage.unwrap_or_default().prompt;
    Parts::json(&json!({"model": asked.text("model"), "embeddings": vectors, "prompt_eval_count": prompt}))
}

//! The routes of OpenAI's API that are no chats, as strict as it is: moderations, images, speech, transcriptions; and a
//! reranker beside them, as vLLM has it.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Asked, Dialect, OpenAi, only};
use crate::upstream::{Parts, Refusal, Say};

/// A server with those routes.
#[derive(Clone, Copy, Debug)]
pub struct Media;

/// What [`Media`] says in one answer of sound: bytes that are no UTF-8.
pub const SOUND: &[u8] = &[0xFF, 0xFB, 0x90, 0x00, 0xC3, 0x28, 0x0A];

impl Dialect for Media {
    fn authenticate(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        OpenAi.authenticate(asked)
    }

    fn check(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        let needs = |names: &[&str], optional: &[&str]| {
            only(asked.body, &[names, optional, &["model"]].concat())?;
            match names.iter().chain(&["model"]).find(|name| asked.body.get(name).is_none()) {
                None => Ok(()),
                Some(missing) => Err(Refusal::bad(format!("Missing required parameter: '{missing}'."))),
            }
        };
        match asked.path.strip_prefix("/v1").unwrap_or(asked.path) {
            "/moderations" => needs(&["input"], &[]),
            "/images/generations" => needs(&["prompt"], &["n", "size", "quality", "stream", "user"]),
            "/audio/speech" => needs(&["input", "voice"], &["response_format", "speed", "stream_format"]),
            "/rerank" => needs(&["query", "documents"], &["top_n"]),
            "/images/edits" => edit(asked),
            "/audio/transcriptions" | "/audio/translations" => form(asked),
            _ => Err(Refusal::not_found("no such route")),
        }
    }

    fn answer(&self, asked: &Asked<'_>, _say: &Say) -> Parts {
        let body = asked.body;
        match asked.path.strip_prefix("/v1").unwrap_or(asked.path) {
            "/moderations" => {
                Parts::json(&json!({"id": "modr-1", "model": body["model"], "results": [{"flagged": false}]}))
            }
            "/images/edits" => {
                let count = asked.text("n").and_then(|n| n.parse().ok()).unwrap_or(1);
                let data: Vec<Value> = (0..count).map(|at: u64| json!({"b64_json": format!("AAA{at}")})).collect();
                Parts::json(&json!({"created": 1_700_000_000, "data": data}))
            }
            "/images/generations" if asked.is_set("stream") => Parts::events(images()),
            "/images/generations" => {
                let count = body["n"].as_u64().unwrap_or(1);
                let data: Vec<Value> = (0..count).map(|at| json!({"b64_json": format!("AAA{at}")})).collect();
                Parts::json(&json!({"created": 1_700_000_000, "data": data}))
            }
            "/audio/speech" if body["stream_format"] == "sse" => Parts::events(speech()),
            "/audio/speech" => Parts { content_type: "audio/mpeg", parts: vec![Bytes::from_static(SOUND); 3] },
            "/rerank" => {
                let documents = body["documents"].as_array().map_or(0, Vec::len);
                let results: Vec<Value> = (0..documents)
                    .map(|at| json!({"index": at, "relevance_score": 0.5, "document": {"text": "as sent"}}))
                    .collect();
                Parts::json(&json!({"id": "rerank-1", "results": results, "usage": {"total_tokens": 30}}))
            }
            _ => Parts::json(&json!({"text": "Hello", "usage": {"type": "duration", "seconds": 7}})),
        }
    }

    fn error(&self, refusal: &Refusal) -> Value {
        refusal.body()
    }
}

fn event(data: &Value) -> Bytes {
    Bytes::from(format!("data: {data}\n\n"))
}

fn speech() -> Vec<Bytes> {
    let usage = json!({"input_tokens": 14, "output_tokens": 101, "total_tokens": 115});
    vec![
        event(&json!({"type": "speech.audio.delta", "audio": "//uQ"})),
        event(&json!({"type": "speech.audio.done", "usage": usage})),
    ]
}

fn images() -> Vec<Bytes> {
    let usage = json!({"input_tokens": 12, "output_tokens": 1056, "total_tokens": 1068});
    vec![
        event(&json!({"type": "image_generation.partial_image", "b64_json": "AAAA", "partial_image_index": 0})),
        event(&json!({"type": "image_generation.completed", "b64_json": "AAAB", "usage": usage})),
    ]
}

/// The form's parts were made members by the upstream: text as text, files as their size.
fn edit(asked: &Asked<'_>) -> Result<(), Refusal> {
    only(asked.body, &["model", "image", "mask", "prompt", "n", "size", "quality", "user"])?;
    let has_image = asked.body.get("image").is_some_and(Value::is_u64);
    let is_told = ["model", "prompt"].iter().all(|name| asked.text(name).is_some());
    if has_image && is_told { Ok(()) } else { Err(Refusal::bad("an edit needs a model, a prompt and an image")) }
}

fn form(asked: &Asked<'_>) -> Result<(), Refusal> {
    only(asked.body, &["model", "file", "language", "prompt", "response_format", "temperature", "stream"])?;
    if asked.text("model").is_none() {
        return Err(Refusal::bad("you must provide a model parameter"));
    }
    if asked.body.get("file").is_none_or(|file| !file.is_u64()) {
        return Err(Refusal::bad("Invalid file format."));
    }
    Ok(())
}

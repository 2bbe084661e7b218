//! Natural answers: what a well-behaved provider says to a request, byte for byte reproducible.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::{Value, json};

/// Tokens that an answer reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// All prompt tokens.
    pub prompt: u64,
    /// All completion tokens.
    pub completion: u64,
    /// Prompt tokens that came from a cache.
    pub cached: u64,
    /// Completion tokens spent on reasoning.
    pub reasoning: u64,
}

impl Default for Usage {
    fn default() -> Self {
        Self { prompt: 10, completion: 5, cached: 0, reasoning: 0 }
    }
}

impl Usage {
    fn json(self) -> Value {
        json!({
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": self.cached, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": self.reasoning, "audio_tokens": 0},
        })
    }
}

/// The content of a natural answer.
#[derive(Clone, Debug)]
pub struct Say {
    /// The text, piece by piece: one chunk each in a stream.
    pub pieces: Vec<String>,
    /// `None` = never reported.
    pub usage: Option<Usage>,
    /// Embeddings always in this format, whatever was asked.
    pub(super) fixed_format: Option<&'static str>,
    /// Reports no more completion tokens than the request allows.
    pub(super) stops_in_time: bool,
}

impl Say {
    /// The usage, as far as the request allows it.
    pub(super) fn usage(&self, request: &Value) -> Option<Usage> {
        let most = request.get("max_completion_tokens").or_else(|| request.get("max_tokens")).and_then(Value::as_u64);
        let most = most.filter(|_| self.stops_in_time).unwrap_or(u64::MAX);
        self.usage.map(|usage| Usage { completion: usage.completion.min(most), ..usage })
    }
}

/// A body in the pieces in which it is sent.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Of the whole.
    pub content_type: &'static str,
    /// One after the other.
    pub parts: Vec<Bytes>,
}

impl Parts {
    /// A whole JSON answer.
    pub fn json(value: &Value) -> Self {
        Self { content_type: "application/json", parts: vec![Bytes::from(value.to_string())] }
    }

    /// A stream of server-sent events.
    pub fn events(parts: Vec<Bytes>) -> Self {
        Self { content_type: "text/event-stream; charset=utf-8", parts }
    }
}

/// The vector that embeds input number `index`: values that do not survive a careless conversion.
pub(crate) fn vector(index: usize) -> Vec<f32> {
    let nth = f32::from(u16::try_from(index).unwrap_or(u16::MAX));
    vec![0.1 + nth, -1.0 / 3.0, 1.0e-7, f32::MIN_POSITIVE, 12345.678, 0.0]
}

/// Answers `request` on `path`.
pub(crate) fn natural(say: &Say, path: &str, request: &Value) -> Parts {
    if path.ends_with("/embeddings") {
        return embeddings(say, request);
    }
    let chat = path.ends_with("/chat/completions");
    if request.get("stream").and_then(Value::as_bool) == Some(true) {
        return stream(say, chat, request);
    }
    let text = say.pieces.concat();
    let choice = if chat {
        json!({"index": 0, "message": {"role": "assistant", "content": text, "refusal": null}, "logprobs": null, "finish_reason": "stop"})
    } else {
        json!({"index": 0, "text": text, "logprobs": null, "finish_reason": "stop"})
    };
    let object = if chat { "chat.completion" } else { "text_completion" };
    let mut answer = json!({
        "id": "chatcmpl-upstream", "object": object, "created": 1_700_000_000, "model": model(request),
        "choices": [choice], "system_fingerprint": "fp_upstream",
    });
    if let (Some(usage), Some(members)) = (say.usage(request), answer.as_object_mut()) {
        members.insert("usage".to_owned(), usage.json());
    }
    Parts::json(&answer)
}

fn model(request: &Value) -> &str {
    // Azure's requests name the deployment in the path only.
    request.get("model").and_then(Value::as_str).unwrap_or("upstream-model")
}

fn stream(say: &Say, chat: bool, request: &Value) -> Parts {
    let wanted = request.pointer("/stream_options/include_usage").and_then(Value::as_bool) == Some(true);
    let object = if chat { "chat.completion.chunk" } else { "text_completion" };
    let chunk = |choices: Value, usage: Value| {
        let mut chunk = json!({
            "id": "chatcmpl-upstream", "object": object, "created": 1_700_000_000, "model": model(request),
            "system_fingerprint": "fp_upstream", "choices": choices,
        });
        // The real API sends `"usage": null` in every other chunk once usage was asked for.
        if let (true, Some(members)) = (wanted, chunk.as_object_mut()) {
            members.insert("usage".to_owned(), usage);
        }
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    let delta = |delta: Value, finish: Value| {
        let choice = if chat {
            json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}])
        } else {
            json!([{"index": 0, "text": delta, "logprobs": null, "finish_reason": finish}])
        };
        chunk(choice, Value::Null)
    };
    let mut parts = Vec::new();
    if chat {
        parts.push(delta(json!({"role": "assistant", "content": "", "refusal": null}), Value::Null));
        parts.extend(say.pieces.iter().map(|piece| delta(json!({"content": piece}), Value::Null)));
        parts.push(delta(json!({}), json!("stop")));
    } else {
        parts.extend(say.pieces.iter().map(|piece| delta(json!(piece), Value::Null)));
        parts.push(delta(json!(""), json!("stop")));
    }
    if let (true, Some(usage)) = (wanted, say.usage(request)) {
        parts.push(chunk(json!([]), usage.json()));
    }
    parts.push(Bytes::from_static(b"data: [DONE]\n\n"));
    Parts::events(parts)
}

fn embeddings(say: &Say, request: &Value) -> Parts {
    let inputs = match request.get("input") {
        // A list of tokens is one input, a list of texts or token lists is many.
        Some(Value::Array(items)) if !items.iter().all(Value::is_number) => items.len(),
        _ => 1,
    };
    let format = say.fixed_format.or_else(|| request.get("encoding_format").and_then(Value::as_str)).unwrap_or("float");
    let data: Vec<Value> = (0..inputs)
        .map(|index| {
            let embedding = if format == "base64" {
                let bytes: Vec<u8> = vector(index).iter().flat_map(|value| value.to_le_bytes()).collect();
                json!(STANDARD.encode(bytes))
            } else {
                json!(vector(index))
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let prompt = say.usage.unwrap_or_default().prompt;
    let usage = json!({"prompt_tokens": prompt, "total_tokens": prompt});
    Parts::json(&json!({"object": "list", "data": data, "model": model(request), "usage": usage}))
}

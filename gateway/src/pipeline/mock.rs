//! Answers of `mock` models: a canned text in OpenAI's shape, with token counts that are marked by their price of zero.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};
use turnpike_llm::{provider::Operation, request::Request, splice::Splices, usage::Usage};

use super::{call::Reply, meter::Meter};
use crate::error::Error;

/// Tokens are estimated by size: the tokenizer's tables are not worth loading for a canned answer.
const BYTES_PER_TOKEN: usize = 4;
/// Words of the answer to a chunk.
const WORDS: usize = 1;

/// What a request is answered with.
pub struct Mock<'a> {
    /// The client's route.
    pub operation: Operation,
    /// The name that the client asked for.
    pub name: &'a str,
    /// The canned text.
    pub text: &'a str,
    /// Our id of the request.
    pub request_id: &'a str,
    /// Seconds since the epoch.
    pub created: i64,
}

impl Mock<'_> {
    /// Answers.
    ///
    /// # Errors
    /// Embeddings: there is no canned vector that would mean anything.
    pub fn answer(&self, request: &Request, meter: &mut Meter) -> Result<Reply, Error> {
        let (object, chunk, id) = match self.operation {
            Operation::Chat => ("chat.completion", "chat.completion.chunk", "chatcmpl-"),
            Operation::Completions => ("text_completion", "text_completion", "cmpl-"),
            _ => {
                return Err(Error::Invalid {
                    message:
                        "This model is a mock and answers chats and completions only. Use a model of kind provider."
                            .into(),
                    param: Some("model"),
                });
            }
        };
        let usage = usage(request, self.text);
        meter.used(usage);
        let head = json!({
            "id": format!("{id}{}", self.request_id), "created": self.created, "model": self.name,
            "system_fingerprint": "turnpike-mock",
        });
        if request.stream() {
            let events = self.events(&head, chunk, request.include_usage().then_some(usage));
            return Ok(Reply::Canned(Splices::from(events)));
        }
        let body = {
            let choice = match self.operation {
                Operation::Chat => {
                    json!({"index": 0, "message": {"role": "assistant", "content": self.text, "refusal": null}, "logprobs": null, "finish_reason": "stop"})
                }
                _ => json!({"index": 0, "text": self.text, "logprobs": null, "finish_reason": "stop"}),
            };
            with(&head, &[("object", object.into()), ("choices", json!([choice])), ("usage", shown(usage))])
        };
        Ok(Reply::Whole { body: Splices::from(Bytes::from(body.to_string())), headers: HeaderMap::new() })
    }

    fn events(&self, head: &Value, object: &str, usage: Option<Usage>) -> Bytes {
        let chat = self.operation == Operation::Chat;
        let choice = |delta: Value, finish: Value| {
            let mut choice = json!({"index": 0, "logprobs": null, "finish_reason": finish});
            if let Some(members) = choice.as_object_mut() {
                members.insert((if chat { "delta" } else { "text" }).to_owned(), delta);
            }
            json!([choice])
        };
        let mut chunks = Vec::new();
        if chat {
            chunks.push(choice(json!({"role": "assistant", "content": ""}), Value::Null));
        }
        let words: Vec<&str> = self.text.split_inclusive(' ').collect();
        for part in words.chunks(WORDS) {
            let text = part.concat();
            chunks.push(choice(if chat { json!({"content": text}) } else { text.into() }, Value::Null));
        }
        chunks.push(choice(if chat { json!({}) } else { "".into() }, "stop".into()));
        let mut out = Vec::new();
        let mut event = |body: Value| out.extend_from_slice(format!("data: {body}\n\n").as_bytes());
        for choices in chunks {
            event(with(head, &[("object", object.into()), ("choices", choices)]));
        }
        if let Some(usage) = usage {
            event(with(head, &[("object", object.into()), ("choices", json!([])), ("usage", shown(usage))]));
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
        Bytes::from(out)
    }
}

fn with(head: &Value, members: &[(&str, Value)]) -> Value {
    let mut object = head.as_object().cloned().unwrap_or_default();
    object.extend(members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    Value::Object(object)
}

fn shown(usage: Usage) -> Value {
    json!({"prompt_tokens": usage.prompt, "completion_tokens": usage.completion, "total_tokens": usage.total()})
}

fn usage(request: &Request, text: &str) -> Usage {
    let prompt = request.member("messages").or_else(|| request.member("prompt")).map_or(0, <[u8]>::len);
    let tokens = |bytes: usize| u64::try_from(bytes.div_ceil(BYTES_PER_TOKEN)).unwrap_or(u64::MAX);
    Usage { prompt: tokens(prompt), completion: tokens(text.len()), estimated: true, ..Usage::default() }
}

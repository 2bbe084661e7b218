//! Answers of `mock` models: a canned text in the client's dialect, with token counts that are marked by their price of zero.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};
use turnpike_llm::{
    canned,
    provider::{Operation, Shown},
    request::Request,
    splice::Splices,
    usage::Usage,
};

use super::{call::Reply, meter::Meter};
use crate::error::Error;

/// Tokens are estimated by size: the tokenizer's tables are not worth loading for a canned answer.
const BYTES_PER_TOKEN: usize = 4;

/// What a request is answered with.
pub struct Mock<'a> {
    /// The client's route.
    pub operation: Operation,
    /// The name that the client asked for.
    pub name: &'a Arc<str>,
    /// The canned text.
    pub text: &'a str,
    /// Our id of the request.
    pub request_id: &'a Arc<str>,
    /// Seconds since the epoch.
    pub created: i64,
}

impl Mock<'_> {
    /// Answers.
    ///
    /// # Errors
    /// Routes whose answer is no text: there is no canned vector that would mean anything.
    pub fn answer(&self, request: &Request, meter: &mut Meter) -> Result<Reply, Error> {
        let usage = usage(request, self.text);
        let stream = request.stream();
        let reply = match self.operation {
            Operation::Chat | Operation::Messages | Operation::Responses | Operation::GenerateContent if stream => {
                Reply::Canned(Splices::from(canned::streamed(self.operation, self.text, usage, self.shown(request))))
            }
            Operation::Chat | Operation::Messages | Operation::Responses | Operation::GenerateContent => {
                whole(canned::whole(self.operation, self.text, usage, &self.shown(request)))
            }
            Operation::Completions if stream => {
                let usage = request.include_usage().then_some(usage);
                Reply::Canned(Splices::from(self.events(usage)))
            }
            Operation::Completions => whole(Splices::from(self.completion(usage))),
            _ => {
                return Err(Error::Invalid {
                    message: "This model is a mock and answers with text only. Use a model of kind provider.".into(),
                    param: Some("model"),
                });
            }
        };
        meter.used(usage);
        Ok(reply)
    }

    fn shown(&self, request: &Request) -> Shown {
        Shown {
            model: Arc::clone(self.name),
            include_usage: request.include_usage(),
            call_id: Arc::clone(self.request_id),
            created: self.created,
            repeated: Shown::repeated(self.operation, request),
            stored: request.stored().cloned(),
            ..Shown::default()
        }
    }

    /// What every part of a legacy completion says.
    fn head(&self, choices: &Value, usage: Option<Usage>) -> Value {
        let mut head = json!({
            "id": format!("cmpl-{}", self.request_id), "object": "text_completion", "created": self.created,
            "model": self.name, "choices": choices,
        });
        if let (Some(head), Some(usage)) = (head.as_object_mut(), usage) {
            let shown = json!({
                "prompt_tokens": usage.prompt, "completion_tokens": usage.completion, "total_tokens": usage.total(),
            });
            head.insert("usage".to_owned(), shown);
        }
        head
    }

    fn completion(&self, usage: Usage) -> Bytes {
        let choice = json!([{"index": 0, "text": self.text, "logprobs": null, "finish_reason": "stop"}]);
        Bytes::from(self.head(&choice, Some(usage)).to_string())
    }

    fn events(&self, usage: Option<Usage>) -> Bytes {
        let mut out = Vec::new();
        let mut event = |body: Value| out.extend_from_slice(format!("data: {body}\n\n").as_bytes());
        let choice =
            |text: &str, finish: Value| json!([{"index": 0, "text": text, "logprobs": null, "finish_reason": finish}]);
        for word in self.text.split_inclusive(' ') {
            event(self.head(&choice(word, Value::Null), None));
        }
        event(self.head(&choice("", "stop".into()), None));
        if usage.is_some() {
            event(self.head(&json!([]), usage));
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
        Bytes::from(out)
    }
}

fn whole(body: Splices) -> Reply {
    Reply::Whole { body, headers: HeaderMap::new() }
}

fn usage(request: &Request, text: &str) -> Usage {
    let prompt = ["messages", "prompt", "input"].iter().find_map(|name| request.member(name)).map_or(0, <[u8]>::len);
    let tokens = |bytes: usize| u64::try_from(bytes.div_ceil(BYTES_PER_TOKEN)).unwrap_or(u64::MAX);
    Usage { prompt: tokens(prompt), completion: tokens(text.len()), estimated: true, ..Usage::default() }
}

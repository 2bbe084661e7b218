//! A whole chat answer of Ollama's, and what its pieces share with it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    chat::{Answer, Choice, Content, Finish, FinishReason, ToolCall},
    error::UpstreamError,
    json,
    response::{bad_answer, reported},
    usage::Usage,
};

/// An answer, or one line of a streamed one.
#[derive(Deserialize)]
pub(super) struct Wire {
    pub(super) message: Option<Message>,
    pub(super) done: Option<bool>,
    pub(super) done_reason: Option<String>,
    prompt_eval_count: Option<u64>,
    eval_count: Option<u64>,
    logprobs: Option<Vec<Said>>,
    /// Any failure, under whatever status.
    error: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
pub(super) struct Message {
    pub(super) content: Option<String>,
    pub(super) thinking: Option<String>,
    pub(super) tool_calls: Option<Vec<Call>>,
}

#[derive(Deserialize)]
pub(super) struct Call {
    id: Option<String>,
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    /// An object.
    arguments: Option<Box<RawValue>>,
}

/// OpenAI's shape but for the bytes, which older ones lack.
#[derive(Deserialize, Serialize)]
struct Said {
    token: String,
    logprob: f64,
    bytes: Option<Vec<u8>>,
    #[serde(default)]
    top_logprobs: Vec<Likely>,
}

#[derive(Deserialize, Serialize)]
struct Likely {
    token: String,
    logprob: f64,
    bytes: Option<Vec<u8>>,
}

impl Wire {
    /// Reads an answer or a line.
    ///
    /// # Errors
    /// It is neither, or tells a failure.
    pub(super) fn read(text: &[u8]) -> Result<Self, UpstreamError> {
        let wire: Self = match serde_json::from_slice(text) {
            Ok(wire) => wire,
            // A proxy's failure may have a shape of its own.
            Err(_) if json::scan(text).is_ok() => return Err(reported(text)),
            Err(error) => return Err(bad_answer(&error)),
        };
        if wire.error.is_some() { Err(reported(text)) } else { Ok(wire) }
    }

    /// What was counted; nothing where the prompt was not, as of a prompt that was kept from before.
    pub(super) fn usage(&self) -> Option<Usage> {
        let (prompt, completion) = (self.prompt_eval_count?, self.eval_count?);
        Some(Usage { prompt, completion, ..Usage::default() })
    }

    /// OpenAI's `logprobs`.
    pub(super) fn logprobs(&self) -> Option<Box<RawValue>> {
        #[derive(Serialize)]
        struct Shown<'a> {
            content: &'a [Said],
            refusal: Option<&'a str>,
        }
        let content = self.logprobs.as_deref().filter(|tokens| !tokens.is_empty())?;
        serde_json::value::to_raw_value(&Shown { content, refusal: None }).ok()
    }

    /// Why it stopped.
    pub(super) fn finish(&self, called: bool) -> Finish {
        match self.done_reason.as_deref() {
            Some("length") => Finish::of(FinishReason::Length),
            _ if called => Finish::of(FinishReason::ToolCalls),
            None | Some("stop") => Finish::of(FinishReason::Stop),
            // "load" and "unload": nothing was asked.
            Some(other) => Finish { reason: FinishReason::Stop, native: Some(other.to_owned()) },
        }
    }
}

impl Call {
    /// The call; older ones have no id.
    pub(super) fn neutral(self, answer: &str, index: usize) -> ToolCall {
        let id = self.id.filter(|id| !id.is_empty());
        ToolCall {
            id: id.unwrap_or_else(|| format!("call_{answer}_{index}")),
            name: self.function.name,
            arguments: self.function.arguments.map_or_else(|| "{}".to_owned(), |raw| raw.get().to_owned()),
            signature: None,
        }
    }
}

/// Reads the answer; `id` is this call's.
///
/// # Errors
/// It is none.
pub(super) fn decode(body: &[u8], id: &str) -> Result<Answer, UpstreamError> {
    let mut wire = Wire::read(body)?;
    let message = wire.message.take().ok_or_else(|| bad_answer(&"it holds no 'message'"))?;
    let filled = |text: &String| !text.is_empty();
    let mut content = Vec::new();
    let thinking = message.thinking.filter(filled);
    content.extend(thinking.map(|text| Content::Thinking { text, signature: None }));
    content.extend(message.content.filter(filled).map(Content::Text));
    let calls = message.tool_calls.unwrap_or_default();
    let called = !calls.is_empty();
    content.extend(calls.into_iter().enumerate().map(|(at, call)| Content::ToolCall(call.neutral(id, at))));
    let choice = Choice { content, annotations: Vec::new(), logprobs: wire.logprobs(), finish: wire.finish(called) };
    Ok(Answer { id: None, choices: vec![choice], usage: wire.usage() })
}

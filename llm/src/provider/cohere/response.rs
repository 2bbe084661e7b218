//! A whole chat answer of Cohere's.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    chat::{Answer, Choice, Content, Finish, FinishReason, ToolCall},
    error::{ErrorClass, UpstreamError},
    json,
    response::{bad_answer, reported},
    usage,
};

#[derive(Deserialize)]
struct Wire {
    id: Option<String>,
    finish_reason: Option<String>,
    message: Option<Message>,
    usage: Option<Usage>,
    logprobs: Option<Vec<Spoken>>,
    /// A failure's words are under `message` too, so that they are not read as one.
    error: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<Vec<Part>>,
    tool_plan: Option<String>,
    tool_calls: Option<Vec<Call>>,
    citations: Option<Vec<Box<RawValue>>>,
}

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
    thinking: Option<String>,
}

/// A call, or how a streamed one begins or goes on.
#[derive(Default, Deserialize)]
pub(super) struct Call {
    id: Option<String>,
    function: Option<Function>,
}

#[derive(Default, Deserialize)]
struct Function {
    name: Option<String>,
    arguments: Option<String>,
}

impl From<Call> for ToolCall {
    fn from(call: Call) -> Self {
        let function = call.function.unwrap_or_default();
        Self {
            id: call.id.unwrap_or_default(),
            name: function.name.unwrap_or_default(),
            arguments: function.arguments.unwrap_or_default(),
            signature: None,
        }
    }
}

/// Counts are numbers with a point in some answers.
#[derive(Deserialize)]
pub(super) struct Usage {
    billed_units: Option<Counts>,
    tokens: Option<Counts>,
    cached_tokens: Option<f64>,
}

#[derive(Clone, Copy, Deserialize)]
struct Counts {
    input_tokens: Option<f64>,
    output_tokens: Option<f64>,
    search_units: Option<f64>,
}

impl Usage {
    /// What is billed, which leaves out the words that Cohere itself puts around a prompt; else what was counted.
    pub(super) fn neutral(&self) -> Option<usage::Usage> {
        let billed = self.billed_units.filter(|units| units.input_tokens.or(units.output_tokens).is_some());
        let units = billed.or(self.tokens)?;
        let prompt = count(units.input_tokens);
        Some(usage::Usage {
            prompt,
            completion: count(units.output_tokens),
            cached: count(self.cached_tokens).min(prompt),
            queries: count(units.search_units),
            ..usage::Usage::default()
        })
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count beyond 2^53 or below 0 is none")]
fn count(number: Option<f64>) -> u64 {
    number.map_or(0, |number| number.max(0.0) as u64)
}

/// One piece of the text.
#[derive(Deserialize)]
pub(super) struct Spoken {
    text: Option<String>,
    logprobs: Option<Vec<f64>>,
}

/// As OpenAI's `logprobs`. A piece of several tokens has the probability of all of them together.
pub(super) fn logprobs(pieces: &[Spoken]) -> Option<Box<RawValue>> {
    let mut text = String::from("{\"content\":[");
    for (at, piece) in pieces.iter().enumerate() {
        let word = piece.text.as_deref().unwrap_or_default();
        let sum: f64 = piece.logprobs.iter().flatten().sum();
        let quoted = String::from_utf8(json::quoted(word)).ok()?;
        let bytes = serde_json::to_string(word.as_bytes()).ok()?;
        let logprob = serde_json::to_string(&sum).ok()?;
        let separator = if at == 0 { "" } else { "," };
        let token =
            format!("{separator}{{\"token\":{quoted},\"logprob\":{logprob},\"bytes\":{bytes},\"top_logprobs\":[]}}");
        text.push_str(&token);
    }
    text.push_str("],\"refusal\":null}");
    RawValue::from_string(text).ok()
}

/// Reads the answer.
///
/// # Errors
/// It is none, or says that the model failed.
pub(super) fn decode(body: &[u8]) -> Result<Answer, UpstreamError> {
    let wire: Wire = serde_json::from_slice(body).map_err(|_| {
        let is_object = json::scan(body).is_ok();
        if is_object { reported(body) } else { bad_answer(&"it is no JSON object") }
    })?;
    let message = wire.message.ok_or_else(|| match wire.error {
        Some(_) => reported(body),
        None => bad_answer(&"it holds no 'message'"),
    })?;
    let mut content = Vec::new();
    content.extend(message.content.into_iter().flatten().flat_map(Part::contents));
    content.extend(message.tool_plan.filter(|plan| !plan.is_empty()).map(Content::Text));
    let calls = message.tool_calls.unwrap_or_default();
    let called = !calls.is_empty();
    content.extend(calls.into_iter().map(|call| Content::ToolCall(call.into())));
    let choice = Choice {
        content,
        annotations: message.citations.unwrap_or_default(),
        logprobs: wire.logprobs.as_deref().filter(|pieces| !pieces.is_empty()).and_then(logprobs),
        finish: finish(wire.finish_reason.as_deref(), called, None)?,
    };
    let usage = wire.usage.as_ref().and_then(Usage::neutral);
    Ok(Answer { id: wire.id, choices: vec![choice], usage })
}

impl Part {
    fn contents(self) -> impl Iterator<Item = Content> {
        let thinking = self.thinking.map(|text| Content::Thinking { text, signature: None });
        thinking.into_iter().chain(self.text.map(Content::Text))
    }
}

/// Why it stopped.
///
/// # Errors
/// It failed: what there is of an answer is not one.
pub(super) fn finish(word: Option<&str>, called: bool, why: Option<String>) -> Result<Finish, UpstreamError> {
    let word = word.unwrap_or("COMPLETE");
    let native = || Some(word.to_owned());
    let finish = match word {
        "COMPLETE" | "STOP_SEQUENCE" if called => Finish::of(FinishReason::ToolCalls),
        "COMPLETE" => Finish::of(FinishReason::Stop),
        "STOP_SEQUENCE" => Finish::of(FinishReason::StopSequence(None)),
        "MAX_TOKENS" => Finish::of(FinishReason::Length),
        "TOOL_CALL" => Finish::of(FinishReason::ToolCalls),
        "ERROR_LIMIT" => Finish { reason: FinishReason::Length, native: native() },
        "ERROR_TOXIC" => Finish { reason: FinishReason::ContentFilter, native: native() },
        "ERROR" => return Err(failed(ErrorClass::ServerError, word, why)),
        "TIMEOUT" => return Err(failed(ErrorClass::Timeout, word, why)),
        _ if called => Finish { reason: FinishReason::ToolCalls, native: native() },
        _ => Finish { reason: FinishReason::Stop, native: native() },
    };
    Ok(finish)
}

fn failed(class: ErrorClass, word: &str, why: Option<String>) -> UpstreamError {
    UpstreamError {
        class,
        status: 0,
        message: why.unwrap_or_else(|| "The model failed while it answered.".to_owned()),
        kind: None,
        param: None,
        code: Some(word.to_owned()),
        retry_after: None,
    }
}

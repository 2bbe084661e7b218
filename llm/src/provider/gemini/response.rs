//! A whole answer of a Gemini model.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{
    error, grounding,
    wire::{self, Candidate, Logprobs, Response},
};
use crate::{
    chat::{Answer, Choice, Content, Finish, FinishReason, Source, ToolCall, signature},
    error::UpstreamError,
    inbound,
    provider::{Decoded, Operation, Shown},
};

/// Reads it and writes it for the client.
pub(super) fn decode(operation: Operation, body: &Bytes, shown: &Shown) -> Result<Decoded, UpstreamError> {
    let mut response: Response = serde_json::from_slice(body).map_err(|_| error::within(body, "candidates"))?;
    let queries = response.candidates.iter().map(grounding::queries).sum();
    let usage = response.usage_metadata.as_ref().and_then(|counts| counts.usage(queries));
    let blocked = response.prompt_feedback.and_then(|feedback| feedback.block_reason);
    response.candidates.sort_by_key(|candidate| candidate.index);
    let choices = match blocked {
        Some(reason) if response.candidates.is_empty() => vec![withheld(reason)],
        _ if response.candidates.is_empty() => return Err(error::within(body, "candidates")),
        _ => {
            let mut calls = Calls::new(shown);
            response.candidates.into_iter().map(|candidate| choice(candidate, &mut calls)).collect()
        }
    };
    let answer = Answer { id: response.id, choices, usage };
    Ok(Decoded { body: inbound::write(operation, &answer, shown), usage })
}

/// The answer to a prompt that was blocked.
fn withheld(reason: String) -> Choice {
    let finish = Finish { reason: FinishReason::ContentFilter, native: Some(reason) };
    Choice { content: Vec::new(), annotations: Vec::new(), logprobs: None, finish }
}

fn choice(candidate: Candidate, calls: &mut Calls) -> Choice {
    let annotations_of = (candidate.grounding_metadata, candidate.citation_metadata);
    let mut content = Vec::new();
    for part in candidate.content.into_iter().flat_map(|said| said.parts) {
        read(part, calls, &mut content);
    }
    let text: String = content
        .iter()
        .filter_map(|content| if let Content::Text(text) = content { Some(text.as_str()) } else { None })
        .collect();
    let called = content.iter().any(|content| matches!(content, Content::ToolCall(_)));
    Choice {
        annotations: grounding::annotations(&text, annotations_of.0.as_ref(), annotations_of.1.as_ref()),
        logprobs: candidate.logprobs_result.as_ref().and_then(logprobs),
        finish: finish(candidate.finish_reason.as_deref().unwrap_or("STOP"), called),
        content,
    }
}

/// Makes ids for calls that have none.
#[derive(Debug)]
pub(super) struct Calls {
    of: std::sync::Arc<str>,
    count: u32,
}

impl Calls {
    pub(super) fn new(shown: &Shown) -> Self {
        Self { of: shown.call_id.clone(), count: 0 }
    }

    /// A call as the client is to see it.
    pub(super) fn call(&mut self, call: wire::Call, signature: Option<String>) -> ToolCall {
        let id = call.id.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("call_{}_{}", self.of, self.count));
        self.count += 1;
        let id = signature.as_deref().map(|signature| signature::into_id(&id, signature)).unwrap_or(id);
        let arguments = call.args.map_or_else(|| "{}".to_owned(), |args| compact(args.get()));
        ToolCall { id, name: call.name, arguments, signature }
    }
}

/// One part, as one or more contents.
pub(super) fn read(part: wire::Part, calls: &mut Calls, out: &mut Vec<Content>) {
    let mut signature = part.thought_signature;
    if let Some(text) = part.text {
        if part.thought {
            out.push(Content::Thinking { text, signature: signature.take().as_deref().map(signature::marked) });
        } else if !text.is_empty() {
            out.push(Content::Text(text));
        }
    }
    if let Some(call) = part.function_call {
        out.push(Content::ToolCall(calls.call(call, signature.take())));
    }
    if let Some(blob) = part.inline_data {
        let source = Source::Inline { media_type: blob.mime_type.clone(), data: blob.data };
        out.push(if blob.mime_type.starts_with("audio/") {
            Content::Audio(source)
        } else {
            Content::Image { source, detail: None }
        });
    }
    if let Some(file) = part.file_data {
        out.push(Content::Image { source: Source::Url(file.file_uri), detail: None });
    }
    // What the model ran while it answered: part of what it says.
    if let Some(code) = part.executable_code {
        out.push(Content::Text(format!("\n```{}\n{}\n```\n", code.language.to_lowercase(), code.code.trim_end())));
    }
    if let Some(result) = part.code_execution_result {
        out.push(Content::Text(format!("\n```\n{}\n```\n", result.output.trim_end())));
    }
    // Of a text: it goes with the thinking that led to it.
    let Some(signature) = signature.as_deref().map(signature::marked) else { return };
    match out.iter_mut().rev().find(|content| matches!(content, Content::Thinking { .. })) {
        Some(Content::Thinking { signature: slot @ None, .. }) => *slot = Some(signature),
        _ => out.push(Content::Thinking { text: String::new(), signature: Some(signature) }),
    }
}

/// What a finish reason means in all dialects; `called` = the answer calls tools.
pub(super) fn finish(word: &str, called: bool) -> Finish {
    let reason = match word {
        "STOP" if called => FinishReason::ToolCalls,
        "MAX_TOKENS" | "CONTINUATION" => FinishReason::Length,
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "OTHER"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "IMAGE_OTHER"
        | "MODEL_ARMOR"
        | "ESCALATION" => FinishReason::ContentFilter,
        // STOP, and what nobody knows yet.
        _ => FinishReason::Stop,
    };
    let native = (!matches!(word, "STOP" | "MAX_TOKENS")).then(|| word.to_owned());
    Finish { reason, native }
}

/// OpenAI's `logprobs` object.
pub(super) fn logprobs(result: &Logprobs) -> Option<Box<RawValue>> {
    #[derive(Serialize)]
    struct Shape<'a> {
        content: Vec<Chosen<'a>>,
        refusal: (),
    }
    #[derive(Serialize)]
    struct Chosen<'a> {
        #[serde(flatten)]
        token: Token<'a>,
        top_logprobs: Vec<Token<'a>>,
    }
    #[derive(Serialize)]
    struct Token<'a> {
        #[serde(rename = "token")]
        text: &'a str,
        logprob: f64,
        bytes: &'a [u8],
    }
    fn token(token: &wire::Token) -> Token<'_> {
        Token { text: &token.token, logprob: token.log_probability, bytes: token.token.as_bytes() }
    }
    if result.chosen_candidates.is_empty() {
        return None;
    }
    let tops = result.top_candidates.iter().map(|top| top.candidates.as_slice()).chain(std::iter::repeat(&[][..]));
    let chosen = result.chosen_candidates.iter().zip(tops);
    let content = chosen
        .map(|(chosen, top)| Chosen { token: token(chosen), top_logprobs: top.iter().map(token).collect() })
        .collect();
    to_raw_value(&Shape { content, refusal: () }).ok()
}

/// JSON without the white space between its tokens: Google indents.
fn compact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    let mut escaped = false;
    for c in text.chars() {
        if inside {
            inside = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if c.is_ascii_whitespace() {
            continue;
        } else {
            inside = c == '"';
        }
        out.push(c);
    }
    out
}

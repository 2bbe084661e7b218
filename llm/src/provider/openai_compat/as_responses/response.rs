//! A whole answer of Responses in the neutral form.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{super::response::used, OF_OPENAI};
use crate::{
    chat::{Answer, Choice, Content, Finish, FinishReason, Source, ToolCall},
    error::UpstreamError,
    json,
    response::{bad_answer, reported},
    usage::Usage,
};

#[derive(Deserialize)]
pub(super) struct Response<'a> {
    pub(super) id: Option<String>,
    status: Option<String>,
    incomplete_details: Option<Incomplete>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    service_tier: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Incomplete {
    reason: Option<String>,
}

/// Any item: which members it has goes by its type.
#[derive(Deserialize)]
pub(super) struct Item {
    #[serde(rename = "type")]
    pub(super) kind: String,
    id: Option<String>,
    content: Option<Vec<Part>>,
    summary: Option<Vec<Part>>,
    encrypted_content: Option<String>,
    call_id: Option<String>,
    name: Option<String>,
    arguments: Option<String>,
    /// base64 of an image.
    result: Option<String>,
}

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
    refusal: Option<String>,
    annotations: Option<Vec<Box<RawValue>>>,
    logprobs: Option<Vec<Box<RawValue>>>,
}

/// Reads it.
///
/// # Errors
/// The upstream's fault: no answer, or a failure under its 200.
pub(in crate::provider::openai_compat) fn read(body: &[u8]) -> Result<Answer, UpstreamError> {
    let members = json::scan(body).map_err(|error| bad_answer(&error))?;
    let output = json::member(body, &members, "output").filter(|output| output.first() == Some(&b'['));
    let response: Response<'_> = serde_json::from_slice(body).map_err(|error| bad_answer(&error))?;
    let is_failed = matches!(response.status.as_deref(), Some("failed" | "cancelled"));
    let is_told = |name| json::member(body, &members, name).is_some_and(|value| value != b"null");
    if is_failed || (output.is_none() && ["error", "message", "detail"].into_iter().any(is_told)) {
        return Err(reported(body));
    }
    let output = output.ok_or_else(|| bad_answer(&"it holds no 'output'"))?;
    let items: Vec<Item> = serde_json::from_slice(output).map_err(|error| bad_answer(&error))?;
    let mut choice = Choice {
        content: Vec::with_capacity(items.len()),
        annotations: Vec::new(),
        logprobs: None,
        finish: Finish::of(FinishReason::Stop),
    };
    let mut tokens = Vec::new();
    for item in items {
        item.add(&mut choice, &mut tokens);
    }
    choice.logprobs = logprobs(&tokens);
    let has_calls = choice.content.iter().any(|content| matches!(content, Content::ToolCall(_)));
    choice.finish = response.finish(has_calls);
    let usage = response.usage();
    Ok(Answer { id: response.id, choices: vec![choice], usage })
}

impl Response<'_> {
    pub(super) fn usage(&self) -> Option<Usage> {
        used(self.usage, self.service_tier)
    }

    /// Why it stopped.
    pub(super) fn finish(&self, has_calls: bool) -> Finish {
        let reason = self.incomplete_details.as_ref().and_then(|details| details.reason.as_deref());
        match (self.status.as_deref(), reason) {
            (_, Some("max_output_tokens")) | (Some("incomplete"), None) => Finish::of(FinishReason::Length),
            (_, Some("content_filter")) => Finish::of(FinishReason::ContentFilter),
            (_, Some(other)) => Finish { reason: FinishReason::Stop, native: Some(other.to_owned()) },
            _ if has_calls => Finish::of(FinishReason::ToolCalls),
            _ => Finish::of(FinishReason::Stop),
        }
    }
}

impl Item {
    fn add(mut self, choice: &mut Choice, tokens: &mut Vec<Box<RawValue>>) {
        for part in self.content.take().into_iter().flatten() {
            match self.kind.as_str() {
                "message" => {
                    let said = part.text.filter(|text| !text.is_empty()).map(Content::Text);
                    choice.content.extend(said.or(part.refusal.map(Content::Refusal)));
                    choice.annotations.extend(part.annotations.into_iter().flatten().map(annotation));
                    tokens.extend(part.logprobs.into_iter().flatten());
                }
                // What open models thought, as it was.
                "reasoning" => self.summary.get_or_insert_default().push(part),
                _ => {}
            }
        }
        choice.content.extend(match self.kind.as_str() {
            "reasoning" => self.thought(),
            "function_call" => Some(Content::ToolCall(self.call())),
            "image_generation_call" => self.image().map(|source| Content::Image { source, detail: None }),
            // What OpenAI's own tools did is told by the text.
            _ => None,
        });
    }

    fn thought(mut self) -> Option<Content> {
        let texts = self.summary.take().into_iter().flatten().filter_map(|part| part.text);
        let text = texts.collect::<Vec<_>>().join("\n\n");
        let signature = self.sealed();
        match signature {
            Some(sealed) if text.is_empty() => Some(Content::RedactedThinking(sealed)),
            signature => (!text.is_empty()).then_some(Content::Thinking { text, signature }),
        }
    }

    /// What OpenAI alone can read, in a form that clients return.
    pub(super) fn sealed(&self) -> Option<String> {
        let (id, sealed) = (self.id.as_deref()?, self.encrypted_content.as_deref()?);
        Some(format!("{OF_OPENAI}{id}:{sealed}"))
    }

    pub(super) fn call(self) -> ToolCall {
        ToolCall {
            id: self.call_id.or(self.id).unwrap_or_default(),
            name: self.name.unwrap_or_default(),
            arguments: self.arguments.unwrap_or_default(),
            signature: None,
        }
    }

    pub(super) fn image(self) -> Option<Source> {
        Some(Source::Inline { media_type: "image/png".to_owned(), data: self.result? })
    }
}

/// A citation: chat completions put what it says into a member of its own.
pub(super) fn annotation(raw: Box<RawValue>) -> Box<RawValue> {
    let nested = || {
        let mut object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(raw.get()).ok()?;
        (object.remove("type")? == "url_citation").then_some(())?;
        let citation = serde_json::json!({"type": "url_citation", "url_citation": object});
        RawValue::from_string(citation.to_string()).ok()
    };
    nested().unwrap_or(raw)
}

/// Tokens as chat completions' `logprobs`.
pub(super) fn logprobs(tokens: &[Box<RawValue>]) -> Option<Box<RawValue>> {
    let content = serde_json::to_string(tokens).ok().filter(|_| !tokens.is_empty())?;
    RawValue::from_string(format!("{{\"content\":{content},\"refusal\":null}}")).ok()
}

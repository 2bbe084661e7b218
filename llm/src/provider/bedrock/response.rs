//! Whole answers of Converse, and what they share with streamed ones.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    chat::{Answer, Choice, Content, Finish, FinishReason, Source, ToolCall},
    error::UpstreamError,
    response::bad_answer,
    usage::{Service, Usage},
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Converse {
    output: Output,
    stop_reason: String,
    usage: Option<TokenUsage>,
    service_tier: Option<ServiceTier>,
    additional_model_response_fields: Option<Fields>,
}

#[derive(Deserialize)]
struct Output {
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Vec<Block>,
}

/// Any block: it has one of these, or one that is not known yet.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Block {
    text: Option<String>,
    tool_use: Option<ToolUse>,
    reasoning_content: Option<Reasoning>,
    citations_content: Option<Citations>,
    image: Option<Image>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolUse {
    #[serde(rename = "toolUseId")]
    id: String,
    name: String,
    input: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reasoning {
    reasoning_text: Option<ReasoningText>,
    redacted_content: Option<String>,
}

#[derive(Deserialize)]
struct ReasoningText {
    text: String,
    signature: Option<String>,
}

#[derive(Deserialize)]
struct Citations {
    #[serde(default)]
    content: Vec<Cited>,
    #[serde(default)]
    citations: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Cited {
    text: Option<String>,
}

#[derive(Deserialize)]
struct Image {
    format: String,
    source: Option<Bytes>,
}

#[derive(Deserialize)]
pub(super) struct Bytes {
    pub(super) bytes: Option<String>,
}

/// `additionalModelResponseFields`, as far as they were asked for.
#[derive(Deserialize)]
pub(super) struct Fields {
    stop_sequence: Option<String>,
}

/// `serviceTier`: the class of service that was given.
#[derive(Deserialize)]
pub(super) struct ServiceTier {
    r#type: String,
}

/// `usage`: what the cache served and took is counted beside the input.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenUsage {
    #[serde(default)]
    input_tokens: u64,
    #[serde(default)]
    output_tokens: u64,
    cache_read_input_tokens: Option<u64>,
    cache_write_input_tokens: Option<u64>,
    #[serde(default)]
    cache_details: Vec<CacheDetail>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CacheDetail {
    ttl: String,
    input_tokens: u64,
}

/// Reads it.
pub(super) fn decode(body: &[u8]) -> Result<Answer, UpstreamError> {
    let answer: Converse = parsed(body)?;
    let mut content = Vec::new();
    let mut annotations = Vec::new();
    for block in answer.output.message.content {
        block.read(&mut content, &mut annotations);
    }
    let called = content.iter().any(|content| matches!(content, Content::ToolCall(_)));
    let finish = finish(&answer.stop_reason, answer.additional_model_response_fields, called);
    let choice = Choice { content, annotations, logprobs: None, finish };
    Ok(Answer { id: None, choices: vec![choice], usage: used(answer.usage, answer.service_tier) })
}

/// Reads JSON of an upstream.
pub(super) fn parsed<'a, T: Deserialize<'a>>(data: &'a [u8]) -> Result<T, UpstreamError> {
    serde_json::from_slice(data).map_err(|error| bad_answer(&error))
}

impl Block {
    fn read(self, content: &mut Vec<Content>, annotations: &mut Vec<Box<RawValue>>) {
        content.extend(self.text.map(Content::Text));
        if let Some(ToolUse { id, name, input }) = self.tool_use {
            let arguments = input.map_or_else(|| "{}".to_owned(), |input| input.get().to_owned());
            content.push(Content::ToolCall(ToolCall { id, name, arguments, signature: None }));
        }
        if let Some(Reasoning { reasoning_text, redacted_content }) = self.reasoning_content {
            content
                .extend(reasoning_text.map(|ReasoningText { text, signature }| Content::Thinking { text, signature }));
            content.extend(redacted_content.map(Content::RedactedThinking));
        }
        if let Some(cited) = self.citations_content {
            content.extend(cited.content.into_iter().filter_map(|part| part.text).map(Content::Text));
            annotations.extend(cited.citations);
        }
        if let Some(Image { format, source }) = self.image {
            let data = source.and_then(|source| source.bytes);
            content.extend(data.map(|data| Content::Image { source: image(&format, data), detail: None }));
        }
    }
}

/// A generated image.
pub(super) fn image(format: &str, data: String) -> Source {
    Source::Inline { media_type: format!("image/{format}"), data }
}

/// `stopReason`. `called` = the answer holds calls of tools.
pub(super) fn finish(word: &str, fields: Option<Fields>, called: bool) -> Finish {
    let native = || Some(word.to_owned());
    let (reason, native) = match word {
        "end_turn" if called => (FinishReason::ToolCalls, None),
        "end_turn" => (FinishReason::Stop, None),
        "stop_sequence" => (FinishReason::StopSequence(fields.and_then(|fields| fields.stop_sequence)), None),
        "tool_use" => (FinishReason::ToolCalls, None),
        "max_tokens" => (FinishReason::Length, None),
        "model_context_window_exceeded" => (FinishReason::Length, native()),
        "guardrail_intervened" | "content_filtered" => (FinishReason::ContentFilter, native()),
        // malformed_model_output, malformed_tool_use, and what is not known yet.
        _ if called => (FinishReason::ToolCalls, native()),
        _ => (FinishReason::Stop, native()),
    };
    Finish { reason, native }
}

/// Tokens, and as what they are charged.
pub(super) fn used(usage: Option<TokenUsage>, service: Option<ServiceTier>) -> Option<Usage> {
    let service = service.map_or(Service::Standard, |service| Service::named(&service.r#type));
    Some(usage?.usage().served(service))
}

impl TokenUsage {
    /// In the one shape.
    fn usage(self) -> Usage {
        let cached = self.cache_read_input_tokens.unwrap_or(0);
        let written = self.cache_write_input_tokens.unwrap_or(0);
        let hours = self.cache_details.iter().filter(|detail| detail.ttl == "1h").map(|detail| detail.input_tokens);
        let cache_write_1h = hours.fold(0, u64::saturating_add).min(written);
        Usage {
            prompt: self.input_tokens.saturating_add(cached).saturating_add(written),
            completion: self.output_tokens,
            cached,
            cache_write: written - cache_write_1h,
            cache_write_1h,
            ..Usage::default()
        }
    }
}

//! A whole answer of chat completions in the neutral form, for clients of other dialects.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    chat::{Answer, Choice, Content, Finish, FinishReason, Source, ToolCall, signature::ExtraContent},
    error::UpstreamError,
    json,
    provider::Shown,
    response::{bad_answer, reported},
    usage::{Service, Usage},
};

#[derive(Deserialize)]
struct Completion<'a> {
    id: Option<String>,
    choices: Option<Vec<Shape>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    service_tier: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Shape {
    message: Message,
    finish_reason: Option<String>,
    logprobs: Option<Box<RawValue>>,
}

/// What is said, whole (`message`) or in a piece (`delta`).
#[derive(Default, Deserialize)]
pub(super) struct Message {
    pub(super) content: Option<Text>,
    pub(super) refusal: Option<String>,
    pub(super) reasoning_content: Option<String>,
    /// The same under the name that vLLM, Groq and `OpenRouter` give it.
    pub(super) reasoning: Option<String>,
    pub(super) thinking_blocks: Option<Vec<Reasoning>>,
    pub(super) tool_calls: Option<Vec<Call>>,
    pub(super) function_call: Option<Function>,
    pub(super) annotations: Option<Vec<Box<RawValue>>>,
    pub(super) images: Option<Vec<Image>>,
}

/// Mistral's reasoning models give parts.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Text {
    Plain(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
pub(super) struct Part {
    text: Option<String>,
    thinking: Option<Reasoned>,
}

/// A text, or parts of its own.
#[derive(Deserialize)]
#[serde(untagged)]
enum Reasoned {
    Text(String),
    Parts(Vec<Inner>),
}

#[derive(Deserialize)]
struct Inner {
    #[serde(default)]
    text: String,
}

/// As LiteLLM gives Anthropic's.
#[derive(Deserialize)]
pub(super) struct Reasoning {
    #[serde(default)]
    thinking: String,
    signature: Option<String>,
    data: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Call {
    pub(super) index: Option<u64>,
    pub(super) id: Option<String>,
    pub(super) function: Option<Function>,
    extra_content: Option<ExtraContent<'static>>,
}

#[derive(Default, Deserialize)]
pub(super) struct Function {
    pub(super) name: Option<String>,
    pub(super) arguments: Option<Arguments>,
}

/// Some servers give the object itself.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Arguments {
    Text(String),
    Object(serde_json::Map<String, serde_json::Value>),
}

#[derive(Deserialize)]
pub(super) struct Image {
    image_url: Option<ImageUrl>,
}

#[derive(Deserialize)]
struct ImageUrl {
    url: String,
}

/// Tokens, and as what they are charged.
pub(super) fn used(usage: Option<&RawValue>, service: Option<&RawValue>) -> Option<Usage> {
    let usage = Usage::from_openai(usage?.get().as_bytes())?;
    Some(usage.served(Service::of(service.map(|service| service.get().as_bytes()))))
}

/// Reads it.
///
/// # Errors
/// The upstream's fault: no answer, or an error under its 200.
pub(super) fn read(body: &[u8], shown: &Shown) -> Result<Answer, UpstreamError> {
    let members = json::scan(body).map_err(|error| bad_answer(&error))?;
    if json::member(body, &members, "choices").is_none_or(|value| value.first() != Some(&b'[')) {
        let failed = ["error", "message", "detail"].iter().any(|name| json::member(body, &members, name).is_some());
        return Err(if failed { reported(body) } else { bad_answer(&"it holds no 'choices'") });
    }
    let completion: Completion<'_> = serde_json::from_slice(body).map_err(|error| bad_answer(&error))?;
    let choices = completion.choices.unwrap_or_default();
    Ok(Answer {
        id: completion.id,
        choices: choices.into_iter().map(|shape| shape.choice(shown)).collect(),
        usage: used(completion.usage, completion.service_tier),
    })
}

impl Shape {
    fn choice(self, shown: &Shown) -> Choice {
        let mut message = self.message;
        let annotations = message.annotations.take().unwrap_or_default();
        let content = message.content(shown);
        let has_calls = content.iter().any(|content| matches!(content, Content::ToolCall(_)));
        Choice {
            finish: finish(self.finish_reason.as_deref(), has_calls),
            content,
            annotations,
            logprobs: self.logprobs,
        }
    }
}

/// Why it stopped, in words of any server; one that calls tools has stopped for that.
pub(super) fn finish(reason: Option<&str>, has_calls: bool) -> Finish {
    let known = match reason.unwrap_or("stop") {
        "length" | "max_tokens" | "model_length" => FinishReason::Length,
        "content_filter" | "safety" => FinishReason::ContentFilter,
        "tool_calls" | "function_call" => FinishReason::ToolCalls,
        "stop" | "eos" | "eos_token" | "end_turn" => FinishReason::Stop,
        "stop_sequence" => FinishReason::StopSequence(None),
        other => return Finish { reason: FinishReason::Stop, native: Some(other.to_owned()) },
    };
    Finish::of(if has_calls && known == FinishReason::Stop { FinishReason::ToolCalls } else { known })
}

impl Message {
    /// In the order in which it was said: thinking, text, calls.
    fn content(self, shown: &Shown) -> Vec<Content> {
        let mut out = Vec::new();
        let thinking = self.thinking_blocks.unwrap_or_default();
        match self.reasoning_content.or(self.reasoning) {
            Some(text) if thinking.is_empty() && !text.is_empty() => {
                out.push(Content::Thinking { text, signature: None });
            }
            _ => out.extend(thinking.into_iter().map(Reasoning::content)),
        }
        match self.content {
            Some(Text::Plain(text)) if !text.is_empty() => out.push(Content::Text(text)),
            Some(Text::Parts(parts)) => out.extend(parts.into_iter().filter_map(Part::content)),
            _ => {}
        }
        out.extend(self.refusal.filter(|text| !text.is_empty()).map(Content::Refusal));
        out.extend(self.images.into_iter().flatten().filter_map(Image::content));
        let called = self.function_call.map(Call::of);
        let calls = self.tool_calls.into_iter().flatten().chain(called);
        out.extend(calls.enumerate().map(|(at, call)| Content::ToolCall(call.begin(at, shown))));
        out
    }
}

impl Part {
    pub(super) fn content(self) -> Option<Content> {
        let text = match self.thinking {
            None => return self.text.filter(|text| !text.is_empty()).map(Content::Text),
            Some(Reasoned::Text(text)) => text,
            Some(Reasoned::Parts(parts)) => parts.into_iter().map(|part| part.text).collect(),
        };
        Some(Content::Thinking { text, signature: None })
    }
}

impl Reasoning {
    pub(super) fn content(self) -> Content {
        match self.data {
            Some(data) => Content::RedactedThinking(data),
            None => Content::Thinking { text: self.thinking, signature: self.signature },
        }
    }
}

impl Image {
    pub(super) fn content(self) -> Option<Content> {
        Some(Content::Image { source: self.source()?, detail: None })
    }

    pub(super) fn source(self) -> Option<Source> {
        let url = self.image_url?.url;
        let inline = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
        Some(match inline {
            Some((media_type, data)) => Source::Inline { media_type: media_type.to_owned(), data: data.to_owned() },
            None => Source::Url(url),
        })
    }
}

impl Call {
    /// The older form, of which there is one at most.
    pub(super) fn of(function: Function) -> Self {
        Self { index: None, id: None, function: Some(function), extra_content: None }
    }

    /// A whole call, or how one begins; those without an id get one that no other has.
    pub(super) fn begin(self, at: usize, shown: &Shown) -> ToolCall {
        let Function { name, arguments } = self.function.unwrap_or_default();
        let id = self.id.filter(|id| !id.is_empty());
        ToolCall {
            id: id.unwrap_or_else(|| format!("call_{}_{at}", shown.call_id)),
            name: name.unwrap_or_default(),
            arguments: arguments.map(Arguments::text).unwrap_or_default(),
            signature: self.extra_content.and_then(ExtraContent::signature),
        }
    }
}

impl Arguments {
    pub(super) fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Object(object) => serde_json::Value::Object(object).to_string(),
        }
    }
}

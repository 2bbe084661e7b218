//! A whole chat answer in OpenAI's dialect.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    chat::{Answer, Choice, Content, Finish, FinishReason, Source, ToolCall, signature::ExtraContent},
    provider::Shown,
    usage::{OpenAiUsage, Usage},
};

/// Writes it.
pub(in crate::inbound) fn write(answer: &Answer, shown: &Shown) -> Vec<u8> {
    let completion = Completion {
        id: id(answer.id.as_deref(), shown),
        object: "chat.completion",
        created: shown.created,
        model: &shown.model,
        choices: answer.choices.iter().enumerate().map(|(index, choice)| Shape::of(index, choice)).collect(),
        usage: answer.usage.map(Usage::to_openai),
    };
    // Serialising these types cannot fail: no maps with other keys than strings, no numbers that are none.
    serde_json::to_vec(&completion).unwrap_or_default()
}

/// The upstream's id, or one of this call's.
pub(super) fn id(own: Option<&str>, shown: &Shown) -> String {
    own.map_or_else(|| format!("chatcmpl-{}", shown.call_id), ToOwned::to_owned)
}

/// `finish_reason`.
pub(super) fn word(finish: &Finish) -> &'static str {
    match finish.reason {
        FinishReason::Stop | FinishReason::StopSequence(_) => "stop",
        FinishReason::Length => "length",
        FinishReason::ToolCalls => "tool_calls",
        FinishReason::ContentFilter => "content_filter",
    }
}

#[derive(Serialize)]
struct Completion<'a> {
    id: String,
    object: &'static str,
    created: i64,
    model: &'a str,
    choices: Vec<Shape<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<OpenAiUsage>,
}

#[derive(Serialize)]
struct Shape<'a> {
    index: usize,
    message: Message<'a>,
    logprobs: Option<&'a RawValue>,
    finish_reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    native_finish_reason: Option<&'a str>,
}

#[derive(Default, Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<String>,
    refusal: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    reasoning_content: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    thinking_blocks: Vec<Thinking<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<Image>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    annotations: &'a [Box<RawValue>],
}

/// LiteLLM's `thinking_blocks`, which clients hand back so that the provider knows its own reasoning again.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Thinking<'a> {
    Thinking {
        thinking: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        signature: Option<&'a str>,
    },
    RedactedThinking {
        data: &'a str,
    },
}

#[derive(Serialize)]
pub(super) struct Call<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    function: Function<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<ExtraContent<'a>>,
}

#[derive(Serialize)]
struct Function<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

#[derive(Serialize)]
pub(super) struct Image {
    #[serde(rename = "type")]
    kind: &'static str,
    image_url: ImageUrl,
}

#[derive(Serialize)]
struct ImageUrl {
    url: String,
}

impl<'a> Shape<'a> {
    fn of(index: usize, choice: &'a Choice) -> Self {
        let mut message = Message { role: "assistant", annotations: &choice.annotations, ..Message::default() };
        for content in &choice.content {
            message.add(content);
        }
        Self {
            index,
            message,
            logprobs: choice.logprobs.as_deref(),
            finish_reason: word(&choice.finish),
            native_finish_reason: choice.finish.native.as_deref(),
        }
    }
}

impl<'a> Message<'a> {
    fn add(&mut self, content: &'a Content) {
        match content {
            Content::Text(text) => self.content.get_or_insert_default().push_str(text),
            Content::Refusal(text) => self.refusal.get_or_insert_default().push_str(text),
            Content::Thinking { text, signature } => {
                self.reasoning_content.push_str(text);
                // Without a signature nobody could use it again.
                if signature.is_some() {
                    self.thinking_blocks.push(Thinking::Thinking { thinking: text, signature: signature.as_deref() });
                }
            }
            Content::RedactedThinking(data) => self.thinking_blocks.push(Thinking::RedactedThinking { data }),
            Content::ToolCall(call) => self.tool_calls.push(Call::whole(call)),
            Content::Image { source, .. } => self.images.push(Image::of(source)),
            // Not what a model says.
            Content::Document { .. } | Content::Audio(_) | Content::ToolResult { .. } => {}
        }
    }
}

impl<'a> Call<'a> {
    /// How a streamed call begins.
    pub(super) fn begun(index: u32, call: &'a ToolCall) -> Self {
        Self { index: Some(index), ..Self::whole(call) }
    }

    fn whole(call: &'a ToolCall) -> Self {
        Self {
            index: None,
            id: Some(&call.id),
            kind: Some("function"),
            function: Function { name: Some(&call.name), arguments: &call.arguments },
            extra_content: ExtraContent::of(call),
        }
    }

    /// How a streamed call goes on.
    pub(super) fn more(index: u32, arguments: &'a str) -> Self {
        let function = Function { name: None, arguments };
        Self { index: Some(index), id: None, kind: None, function, extra_content: None }
    }
}

impl Image {
    pub(super) fn of(source: &Source) -> Self {
        Self { kind: "image_url", image_url: ImageUrl { url: source.url().into_owned() } }
    }
}

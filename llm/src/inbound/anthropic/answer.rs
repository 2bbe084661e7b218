//! A whole answer as Anthropic's clients read it.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    chat::{Answer, Content, Finish, FinishReason, Source, ToolCall, signature},
    json,
    provider::Shown,
    usage,
};

/// Writes it. Clients of this dialect ask for one choice, so that others are not there.
pub(in crate::inbound) fn write(answer: &Answer, shown: &Shown) -> Vec<u8> {
    let choice = answer.choices.first();
    let mut content = Vec::new();
    for part in choice.map(|choice| choice.content.as_slice()).unwrap_or_default() {
        content.extend(Block::of(part, shown, content.len()));
    }
    let citations = choice.map(|choice| choice.annotations.as_slice()).unwrap_or_default();
    if let Some(Block::Text { citations: own, .. }) =
        content.iter_mut().rev().find(|block| matches!(block, Block::Text { .. }))
    {
        own.extend(citations.iter().filter_map(|annotation| citation(annotation)));
    }
    let finish = choice.map_or(&Finish { reason: FinishReason::Stop, native: None }, |choice| &choice.finish).clone();
    let (stop_reason, stop_sequence) = stop(&finish);
    let message = Message {
        stop_reason: Some(stop_reason),
        stop_sequence,
        content,
        usage: Usage::of(answer.usage.as_ref()),
        ..Message::begun(answer.id.as_deref(), shown)
    };
    // Serialising these types cannot fail: no maps with other keys than strings, no numbers that are none.
    serde_json::to_vec(&message).unwrap_or_default()
}

#[derive(Serialize)]
pub(super) struct Message<'a> {
    id: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: &'static str,
    role: &'static str,
    model: &'a str,
    content: Vec<Block<'a>>,
    stop_reason: Option<&'static str>,
    stop_sequence: Option<&'a str>,
    usage: Usage,
}

/// `usage`; the prompt counts without what the cache served and took.
#[derive(Default, Serialize)]
pub(super) struct Usage {
    input_tokens: u64,
    cache_creation_input_tokens: u64,
    cache_read_input_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_creation: Option<CacheCreation>,
    output_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Serialize)]
struct CacheCreation {
    ephemeral_5m_input_tokens: u64,
    ephemeral_1h_input_tokens: u64,
}

#[derive(Serialize)]
struct OutputDetails {
    thinking_tokens: u64,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block<'a> {
    Text {
        text: Cow<'a, str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        citations: Vec<Box<RawValue>>,
    },
    Thinking {
        thinking: &'a str,
        signature: &'a str,
    },
    RedactedThinking {
        data: &'a str,
    },
    ToolUse {
        id: String,
        name: &'a str,
        input: Box<RawValue>,
    },
}

impl<'a> Message<'a> {
    /// At its beginning.
    pub(super) fn begun(id: Option<&'a str>, shown: &'a Shown) -> Self {
        Self {
            id: id.map_or_else(|| Cow::Owned(format!("msg_{}", shown.call_id)), Cow::Borrowed),
            kind: "message",
            role: "assistant",
            model: &shown.model,
            content: Vec::new(),
            stop_reason: None,
            stop_sequence: None,
            usage: Usage::default(),
        }
    }
}

impl<'a> Block<'a> {
    /// A part of an answer; `at` = how many blocks came before.
    fn of(content: &'a Content, shown: &Shown, at: usize) -> Option<Self> {
        let text = |text: Cow<'a, str>| Self::Text { text, citations: Vec::new() };
        Some(match content {
            Content::Text(said) | Content::Refusal(said) if said.is_empty() => return None,
            Content::Text(said) | Content::Refusal(said) => text(Cow::Borrowed(said)),
            Content::Thinking { text, signature } => {
                Self::Thinking { thinking: text, signature: signature.as_deref().unwrap_or_default() }
            }
            Content::RedactedThinking(data) => Self::RedactedThinking { data },
            Content::ToolCall(call) => {
                Self::ToolUse { id: call_id(call, shown, at), name: &call.name, input: call.input() }
            }
            Content::Image { source, .. } => text(Cow::Owned(image(source))),
            // Not what a model says.
            Content::Document { .. } | Content::Audio(_) | Content::ToolResult { .. } => return None,
        })
    }
}

/// A generated image: answers of this dialect hold text, so it is one in Markdown.
pub(super) fn image(source: &Source) -> String {
    format!("![]({})", source.url())
}

/// A call's id, or one made of this call's and the place.
pub(super) fn call_id(call: &ToolCall, shown: &Shown, at: usize) -> String {
    if call.id.is_empty() { format!("toolu_{}_{at}", shown.call_id) } else { signature::id_of(call).into_owned() }
}

/// `stop_reason` and `stop_sequence`.
pub(super) fn stop(finish: &Finish) -> (&'static str, Option<&str>) {
    match &finish.reason {
        FinishReason::Stop => ("end_turn", None),
        FinishReason::StopSequence(which) => ("stop_sequence", which.as_deref()),
        FinishReason::Length => ("max_tokens", None),
        FinishReason::ToolCalls => ("tool_use", None),
        FinishReason::ContentFilter => ("refusal", None),
    }
}

/// An annotation of OpenAI's as a citation, if it is of a page.
pub(super) fn citation(annotation: &RawValue) -> Option<Box<RawValue>> {
    let text = annotation.get().as_bytes();
    let members = json::scan(text).ok()?;
    let page = json::member(text, &members, "url_citation")?;
    let members = json::scan(page).ok()?;
    let string = |name: &str| json::member(page, &members, name).and_then(json::as_str);
    let shown = serde_json::json!({
        "type": "web_search_result_location",
        "url": string("url")?,
        "title": string("title"),
        "cited_text": "",
        "encrypted_index": "",
    });
    RawValue::from_string(shown.to_string()).ok()
}

impl Usage {
    /// What is shown.
    pub(super) fn of(usage: Option<&usage::Usage>) -> Self {
        let Some(usage) = usage else { return Self::default() };
        let written = usage.cache_write.saturating_add(usage.cache_write_1h);
        let creation = CacheCreation {
            ephemeral_5m_input_tokens: usage.cache_write,
            ephemeral_1h_input_tokens: usage.cache_write_1h,
        };
        Self {
            input_tokens: usage.prompt.saturating_sub(usage.cached).saturating_sub(written),
            cache_creation_input_tokens: written,
            cache_read_input_tokens: usage.cached,
            cache_creation: (written > 0).then_some(creation),
            output_tokens: usage.completion,
            output_tokens_details: (usage.reasoning > 0).then_some(OutputDetails { thinking_tokens: usage.reasoning }),
        }
    }
}

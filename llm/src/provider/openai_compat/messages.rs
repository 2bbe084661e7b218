//! A conversation as messages of OpenAI's chat completions.

use std::borrow::Cow;

use serde::Serialize;

use crate::{
    chat::{Block, Chat, Content, Role, Source, Support, ToolCall, Turn, signature::ExtraContent, text_of},
    error::EncodeError,
    provider::quirks::Quirks,
};

#[derive(Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
pub(super) enum Message<'a> {
    System {
        content: String,
    },
    User {
        content: Said<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<&'a str>,
    },
    Assistant {
        content: Option<String>,
        #[serde(skip_serializing_if = "String::is_empty")]
        reasoning_content: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        refusal: Option<&'a str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<Call<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<&'a str>,
    },
    Tool {
        tool_call_id: &'a str,
        content: String,
    },
}

/// Texts alone are sent as one, which every server takes.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Said<'a> {
    Text(String),
    Parts(Vec<Part<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Part<'a> {
    Text { text: &'a str },
    ImageUrl { image_url: ImageUrl<'a> },
    InputAudio { input_audio: InputAudio<'a> },
    File { file: Attached<'a> },
}

#[derive(Serialize)]
pub(super) struct ImageUrl<'a> {
    url: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

#[derive(Serialize)]
pub(super) struct InputAudio<'a> {
    data: &'a str,
    format: &'a str,
}

#[derive(Serialize)]
pub(super) struct Attached<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filename: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_data: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Call<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<ExtraContent<'a>>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    arguments: &'a str,
}

/// The messages, in order.
///
/// # Errors
/// Something that chat completions have no place for.
pub(super) fn write<'a>(
    chat: &'a Chat,
    quirks: &Quirks,
    support: Support<'_>,
) -> Result<Vec<Message<'a>>, EncodeError> {
    let mut messages = Vec::with_capacity(chat.turns.len() + 1);
    if !chat.system.is_empty() {
        messages.push(Message::System { content: paragraphs(&chat.system) });
    }
    for turn in &chat.turns {
        match turn.role {
            Role::User => user(turn, support, &mut messages)?,
            Role::Assistant => messages.push(assistant(turn, quirks, support)?),
        }
    }
    Ok(messages)
}

/// Results of tools are messages of their own and come first, as they must follow their calls. They hold text only: what
/// else a tool gave is shown by the user, right behind them.
fn user<'a>(turn: &'a Turn, support: Support<'_>, messages: &mut Vec<Message<'a>>) -> Result<(), EncodeError> {
    let (mut shown, mut asked) = (Vec::new(), Vec::new());
    for block in &turn.blocks {
        if let Content::ToolResult { id, content, .. } = &block.content {
            messages.push(Message::Tool { tool_call_id: id, content: paragraphs(content) });
            let media = content.iter().filter(|block| !matches!(block.content, Content::Text(_)));
            shown.extend(media);
        } else {
            asked.push(block);
        }
    }
    let is_result = asked.is_empty() && shown.is_empty() && !turn.blocks.is_empty();
    if !is_result {
        let blocks: Vec<&Block> = shown.into_iter().chain(asked).collect();
        messages.push(Message::User { content: said(&blocks, support)?, name: turn.name.as_deref() });
    }
    Ok(())
}

fn said<'a>(blocks: &[&'a Block], support: Support<'_>) -> Result<Said<'a>, EncodeError> {
    if blocks.iter().all(|block| matches!(block.content, Content::Text(_))) {
        return Ok(Said::Text(paragraphs(blocks.iter().copied())));
    }
    Ok(Said::Parts(blocks.iter().map(|block| part(block, support)).collect::<Result<_, _>>()?))
}

fn assistant<'a>(turn: &'a Turn, quirks: &Quirks, support: Support<'_>) -> Result<Message<'a>, EncodeError> {
    let mut tool_calls = Vec::new();
    let mut refusal = None;
    let mut reasoning_content = String::new();
    for block in &turn.blocks {
        match &block.content {
            Content::Refusal(text) => refusal = Some(text.as_str()),
            Content::ToolCall(call) => tool_calls.push(Call::of(call)),
            // Only those who gave it as text can read it again.
            Content::Thinking { text, .. } if quirks.reads_reasoning => reasoning_content.push_str(text),
            // Texts are joined below.
            Content::Thinking { .. } | Content::RedactedThinking(_) | Content::Text(_) => {}
            Content::Image { .. } | Content::Document { .. } | Content::Audio(_) => {
                return Err(support.no_content("media of the assistant's"));
            }
            Content::ToolResult { .. } => return Err(support.no_content("results of tools from the assistant")),
        }
    }
    // One answer in several blocks, which may be cut within a sentence.
    let text = text_of(&turn.blocks);
    let is_silent = text.is_empty() && (refusal.is_some() || !tool_calls.is_empty());
    let content = (!is_silent).then_some(text);
    Ok(Message::Assistant { content, reasoning_content, refusal, tool_calls, name: turn.name.as_deref() })
}

impl<'a> Call<'a> {
    fn of(call: &'a ToolCall) -> Self {
        let arguments = if call.arguments.is_empty() { "{}" } else { &call.arguments };
        Self {
            id: &call.id,
            kind: "function",
            function: Function { name: &call.name, arguments },
            extra_content: ExtraContent::of(call),
        }
    }
}

fn part<'a>(block: &'a Block, support: Support<'_>) -> Result<Part<'a>, EncodeError> {
    match &block.content {
        Content::Text(text) | Content::Refusal(text) => Ok(Part::Text { text }),
        Content::Image { source, detail } => {
            if matches!(source, Source::File(_)) {
                return Err(support.no_content("images by file id; send them as data: URLs"));
            }
            Ok(Part::ImageUrl { image_url: ImageUrl { url: source.url(), detail: detail.as_deref() } })
        }
        Content::Document { source, name } => Ok(Part::File { file: file(source, name.as_deref(), support)? }),
        Content::Audio(Source::Inline { media_type, data }) => {
            let format = media_type.rsplit('/').next().unwrap_or(media_type);
            Ok(Part::InputAudio { input_audio: InputAudio { data, format } })
        }
        Content::Audio(_) => Err(support.no_content("audio by URL; send it in place")),
        Content::Thinking { .. } | Content::RedactedThinking(_) => Err(support.no_content("reasoning of the user's")),
        Content::ToolCall(_) => Err(support.no_content("tool calls of the user's")),
        Content::ToolResult { .. } => Err(support.no_content("results of tools within results of tools")),
    }
}

fn file<'a>(source: &'a Source, name: Option<&'a str>, support: Support<'_>) -> Result<Attached<'a>, EncodeError> {
    match source {
        Source::File(id) => Ok(Attached { file_id: Some(id), filename: None, file_data: None }),
        Source::Inline { media_type, data } => {
            let file_data = Some(format!("data:{media_type};base64,{data}"));
            // It is required beside the data.
            Ok(Attached { file_id: None, filename: Some(name.unwrap_or("document.pdf")), file_data })
        }
        Source::Url(_) => Err(support.no_content("files by URL; send them in place")),
    }
}

/// Texts that stand for themselves, a blank line between them.
fn paragraphs<'a>(blocks: impl IntoIterator<Item = &'a Block>) -> String {
    let mut out = String::new();
    for block in blocks {
        if let Content::Text(text) = &block.content {
            if !out.is_empty() {
                out.push_str("\n\n");
            }
            out.push_str(text);
        }
    }
    out
}

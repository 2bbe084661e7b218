//! A conversation as items of Responses.

use std::borrow::Cow;

use serde::Serialize;

use super::OF_OPENAI;
use crate::{
    chat::{Block, Chat, Content, Role, Source, Support, ToolCall, Turn},
    error::EncodeError,
};

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Item<'a> {
    Message { role: &'static str, content: Vec<Part<'a>> },
    Reasoning { id: &'a str, summary: Vec<Part<'a>>, encrypted_content: &'a str },
    FunctionCall { call_id: &'a str, name: &'a str, arguments: &'a str },
    FunctionCallOutput { call_id: &'a str, output: Output<'a> },
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Output<'a> {
    Text(&'a str),
    Parts(Vec<Part<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Part<'a> {
    InputText {
        text: &'a str,
    },
    OutputText {
        text: &'a str,
    },
    SummaryText {
        text: &'a str,
    },
    Refusal {
        refusal: &'a str,
    },
    InputImage {
        #[serde(skip_serializing_if = "Option::is_none")]
        image_url: Option<Cow<'a, str>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        file_id: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<&'a str>,
    },
    InputFile {
        #[serde(skip_serializing_if = "Option::is_none")]
        filename: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        file_data: Option<Cow<'a, str>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        file_url: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        file_id: Option<&'a str>,
    },
}

/// The items, in order.
///
/// # Errors
/// Something that Responses have no place for.
pub(super) fn write<'a>(chat: &'a Chat, support: Support<'_>) -> Result<Vec<Item<'a>>, EncodeError> {
    let mut items = Vec::with_capacity(chat.turns.len() + 1);
    if !chat.system.is_empty() {
        let content = chat.system.iter().map(|block| asked(block, support)).collect::<Result<_, _>>()?;
        items.push(Item::Message { role: "developer", content });
    }
    for turn in &chat.turns {
        match turn.role {
            Role::User => user(turn, support, &mut items)?,
            Role::Assistant => assistant(turn, support, &mut items)?,
        }
    }
    Ok(items)
}

fn user<'a>(turn: &'a Turn, support: Support<'_>, items: &mut Vec<Item<'a>>) -> Result<(), EncodeError> {
    let before = items.len();
    let mut content = Vec::new();
    for block in &turn.blocks {
        if let Content::ToolResult { id, content, .. } = &block.content {
            items.push(Item::FunctionCallOutput { call_id: id, output: output(content, support)? });
        } else {
            content.push(asked(block, support)?);
        }
    }
    if items.len() == before && content.is_empty() {
        content.push(Part::InputText { text: "" });
    }
    if !content.is_empty() {
        items.push(Item::Message { role: "user", content });
    }
    Ok(())
}

fn output<'a>(content: &'a [Block], support: Support<'_>) -> Result<Output<'a>, EncodeError> {
    match content {
        [] => Ok(Output::Text("")),
        [Block { content: Content::Text(text), .. }] => Ok(Output::Text(text)),
        _ => Ok(Output::Parts(content.iter().map(|block| asked(block, support)).collect::<Result<_, _>>()?)),
    }
}

/// What the model said in one go, in its order. Reasoning is sent where OpenAI sealed it and something follows, as must be.
fn assistant<'a>(turn: &'a Turn, support: Support<'_>, items: &mut Vec<Item<'a>>) -> Result<(), EncodeError> {
    let mut thought = Vec::new();
    for block in &turn.blocks {
        let part = match &block.content {
            Content::Thinking { text, signature } => {
                thought.extend(signature.as_deref().and_then(|sealed| reasoning(text, sealed)));
                continue;
            }
            Content::RedactedThinking(sealed) => {
                thought.extend(reasoning("", sealed));
                continue;
            }
            Content::ToolCall(ToolCall { id, name, arguments, .. }) => {
                let arguments = if arguments.is_empty() { "{}" } else { arguments };
                items.append(&mut thought);
                items.push(Item::FunctionCall { call_id: id, name, arguments });
                continue;
            }
            Content::Text(text) => Part::OutputText { text },
            Content::Refusal(refusal) => Part::Refusal { refusal },
            Content::Image { .. } | Content::Document { .. } | Content::Audio(_) => {
                return Err(support.no_content("media of the assistant's"));
            }
            Content::ToolResult { .. } => return Err(support.no_content("results of tools from the assistant")),
        };
        let follows = thought.is_empty();
        items.append(&mut thought);
        match items.last_mut() {
            Some(Item::Message { role: "assistant", content }) if follows => content.push(part),
            _ => items.push(Item::Message { role: "assistant", content: vec![part] }),
        }
    }
    Ok(())
}

fn reasoning<'a>(text: &'a str, sealed: &'a str) -> Option<Item<'a>> {
    let (id, encrypted_content) = sealed.strip_prefix(OF_OPENAI)?.split_once(':')?;
    let summary = if text.is_empty() { Vec::new() } else { vec![Part::SummaryText { text }] };
    Some(Item::Reasoning { id, summary, encrypted_content })
}

fn asked<'a>(block: &'a Block, support: Support<'_>) -> Result<Part<'a>, EncodeError> {
    match &block.content {
        Content::Text(text) | Content::Refusal(text) => Ok(Part::InputText { text }),
        Content::Image { source, detail } => {
            let (image_url, file_id) = match source {
                Source::File(id) => (None, Some(id.as_str())),
                source => (Some(source.url()), None),
            };
            Ok(Part::InputImage { image_url, file_id, detail: detail.as_deref() })
        }
        Content::Document { source, name } => Ok(file(source, name.as_deref())),
        Content::Audio(_) => Err(support.no_content("audio")),
        Content::Thinking { .. } | Content::RedactedThinking(_) => Err(support.no_content("reasoning of the user's")),
        Content::ToolCall(_) => Err(support.no_content("tool calls of the user's")),
        Content::ToolResult { .. } => Err(support.no_content("results of tools within results of tools")),
    }
}

fn file<'a>(source: &'a Source, name: Option<&'a str>) -> Part<'a> {
    let (file_data, file_url, file_id) = match source {
        Source::Inline { .. } => (Some(source.url()), None, None),
        Source::Url(url) => (None, Some(url.as_str()), None),
        Source::File(id) => (None, None, Some(id.as_str())),
    };
    // It is required beside the data, and refused beside an id.
    let filename = file_data.is_some().then(|| name.unwrap_or("document.pdf"));
    Part::InputFile { filename, file_data, file_url, file_id }
}

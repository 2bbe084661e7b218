//! A `generateContent` request in the neutral form.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    part::{self, Calls, listed},
    settings, tools,
};
use crate::{
    chat::{Chat, Content, Role, Turn},
    error::EncodeError,
    inbound::{invalid, openai, value},
    request::{Request, contents::CONFIG},
};

/// Members that change nothing in what is answered, or mean something to Google alone.
const HINTS: &[&str] =
    &["model", "safetySettings", "safety_settings", "labels", "serviceTier", "service_tier", "store"];

/// Google's members, as they lie in the body.
#[derive(Default)]
struct Own<'a> {
    contents: Option<&'a [u8]>,
    instruction: Option<&'a [u8]>,
    tools: Option<&'a [u8]>,
    choice: Option<&'a [u8]>,
    settings: Option<&'a [u8]>,
    cached: Option<&'a [u8]>,
}

/// Reads the members of a request's body. What is not Google's are the backend's own wishes, in OpenAI's words: Google's stand
/// over them.
pub(in crate::inbound) fn read<'a>(
    members: impl Iterator<Item = (Cow<'a, str>, &'a [u8])>,
    stream: bool,
) -> Result<Chat, EncodeError> {
    let mut own = Own::default();
    let mut rest = Vec::new();
    for (name, text) in members {
        let slot = match name.as_ref() {
            _ if text == b"null" => continue,
            name if HINTS.contains(&name) => continue,
            "contents" => &mut own.contents,
            "systemInstruction" | "system_instruction" => &mut own.instruction,
            "tools" => &mut own.tools,
            "toolConfig" | "tool_config" => &mut own.choice,
            "generationConfig" | "generation_config" => &mut own.settings,
            "cachedContent" | "cached_content" => &mut own.cached,
            "messages" => return Err(invalid("messages", &"what is said stands in 'contents' on this route")),
            _ => {
                rest.push((name, text));
                continue;
            }
        };
        *slot = Some(text);
    }
    let mut chat = openai::request::read(rest.into_iter())?;
    chat.stream = stream;
    contents(own.contents.unwrap_or(b"[]"), &mut chat)?;
    if let Some(text) = own.instruction {
        instruction(text, &mut chat)?;
    }
    if let Some(text) = own.tools {
        tools::read(text, &mut chat)?;
    }
    if let Some(text) = own.choice {
        tools::choice(text, &mut chat)?;
    }
    if let Some(text) = own.settings {
        settings::read(text, &mut chat)?;
    }
    if let Some(text) = own.cached {
        chat.demands.push(("cachedContent", value("cachedContent", text)?));
    }
    Ok(chat)
}

fn contents(text: &[u8], chat: &mut Chat) -> Result<(), EncodeError> {
    #[derive(Deserialize)]
    struct Wire {
        role: Option<String>,
        parts: Option<Box<RawValue>>,
    }
    let raw = listed("contents", text)?;
    if raw.is_empty() {
        return Err(invalid("contents", &"it must hold at least one content"));
    }
    let mut calls = Calls::default();
    for (at, raw) in raw.into_iter().enumerate() {
        let param = format!("contents[{at}]");
        let Wire { role, parts } = value(&param, raw.get().as_bytes())?;
        let role = match role.as_deref() {
            None | Some("user" | "function" | "tool" | "") => Role::User,
            Some("model") => Role::Assistant,
            Some(_) => return Err(invalid(&format!("{param}.role"), &"it must be user or model")),
        };
        // A streamed answer may come back as a content for each of its pieces.
        let continued = chat.turns.pop_if(|last| last.role == Role::Assistant && role == Role::Assistant);
        let mut turn = continued.unwrap_or(Turn { role, name: None, blocks: Vec::new() });
        part::read(&format!("{param}.parts"), role, parts.as_deref(), &mut calls, &mut turn.blocks)?;
        chat.turns.push(turn);
    }
    Ok(())
}

/// A content of texts, or a text by itself.
fn instruction(text: &[u8], chat: &mut Chat) -> Result<(), EncodeError> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "it must hold 'parts' of text only")]
    enum Wire {
        Content { parts: Vec<Said> },
        One { parts: Said },
        Text(String),
    }
    #[derive(Deserialize)]
    struct Said {
        text: String,
    }
    match value("systemInstruction", text)? {
        Wire::One { parts: Said { text } } | Wire::Text(text) => chat.system.push(Content::Text(text).into()),
        Wire::Content { parts } => {
            chat.system.extend(parts.into_iter().map(|said| Content::Text(said.text).into()));
        }
    }
    Ok(())
}

/// Whether the answer is to show what the model thought.
pub(in crate::inbound) fn shows_thoughts(request: &Request) -> bool {
    CONFIG.iter().find_map(|name| request.member(name)).is_some_and(settings::shows_thoughts)
}

//! Messages as Google's `contents`.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{Platform, family::Family, name};
use crate::{
    chat::{Block, Chat, Content, Role, Source, Support, ToolCall, Turn, signature},
    error::EncodeError,
    inbound::invalid,
};

/// One turn, or the system instruction, which has no role.
#[derive(Debug, Serialize)]
pub(super) struct Said<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<&'static str>,
    pub(super) parts: Vec<Part<'a>>,
}

/// A part of a turn: one of its members but for the thought's.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    thought: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    inline_data: Option<Blob<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_data: Option<FileData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<Call<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_response: Option<Returned<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thought_signature: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Blob<'a> {
    mime_type: &'a str,
    data: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FileData {
    #[serde(skip_serializing_if = "Option::is_none")]
    mime_type: Option<&'static str>,
    file_uri: String,
}

#[derive(Debug, Serialize)]
struct Call<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    id: &'a str,
    name: Cow<'a, str>,
    args: &'a RawValue,
}

#[derive(Debug, Serialize)]
struct Returned<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    id: &'a str,
    name: Cow<'a, str>,
    response: Outcome,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<Part<'a>>,
}

/// What a tool said, as text: numbers in it keep their digits, which they do not in Google's objects.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Output(String),
    Error(String),
}

impl<'a> Part<'a> {
    pub(super) fn text(text: &'a str) -> Self {
        Self { text: Some(text), ..Self::default() }
    }
}

/// Writes turns.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) chat: &'a Chat,
    pub(super) platform: Platform,
    pub(super) family: Family,
    pub(super) support: Support<'a>,
}

impl<'a> Parts<'a> {
    /// The whole conversation, roles alternating, nothing empty in it.
    pub(super) fn contents(self) -> Result<Vec<Said<'a>>, EncodeError> {
        let mut contents: Vec<Said<'a>> = Vec::with_capacity(self.chat.turns.len());
        for (at, turn) in self.chat.turns.iter().enumerate() {
            let role = match turn.role {
                Role::User => "user",
                Role::Assistant => "model",
            };
            let parts = self.turn(turn, at)?;
            match contents.last_mut() {
                _ if parts.is_empty() => {}
                Some(last) if last.role == Some(role) => last.parts.extend(parts),
                _ => contents.push(Said { role: Some(role), parts }),
            }
        }
        for said in contents.iter_mut().filter(|said| self.family.third && said.role == Some("model")) {
            sign_calls(&mut said.parts);
        }
        Ok(contents)
    }

    fn turn(self, turn: &'a Turn, at: usize) -> Result<Vec<Part<'a>>, EncodeError> {
        let mut parts = Vec::with_capacity(turn.blocks.len());
        // Of a thinking block, for the part that it led to.
        let mut pending = None;
        for block in &turn.blocks {
            match &block.content {
                Content::Text(text) | Content::Refusal(text) if text.is_empty() => {}
                Content::Text(text) | Content::Refusal(text) => {
                    parts.push(Part { thought_signature: pending.take(), ..Part::text(text) });
                }
                Content::Thinking { text, signature } => {
                    if !text.is_empty() {
                        parts.push(Part { thought: true, ..Part::text(text) });
                    }
                    pending = signature.as_deref().and_then(signature::of_google).or(pending);
                }
                // Readable to its own provider only, which is not this one.
                Content::RedactedThinking(_) => {}
                Content::ToolCall(call) => {
                    let part = Self::call(call, at)?;
                    let signature = part.thought_signature.or_else(|| pending.take());
                    parts.push(Part { thought_signature: signature, ..part });
                }
                Content::ToolResult { id, name, content, failed } => {
                    self.result((id, name.as_deref()), content, *failed, &mut parts)?;
                }
                Content::Image { .. } | Content::Document { .. } | Content::Audio(_) => {
                    parts.push(self.media(&block.content)?);
                }
            }
        }
        // It may come behind everything else.
        if pending.is_some() {
            match parts.iter_mut().rev().find(|part| part.text.is_some() && !part.thought) {
                Some(last) if last.thought_signature.is_none() => last.thought_signature = pending,
                _ => parts.push(Part { thought_signature: pending, ..Part::text("") }),
            }
        }
        Ok(parts)
    }

    fn call(call: &'a ToolCall, at: usize) -> Result<Part<'a>, EncodeError> {
        let arguments = if call.arguments.trim().is_empty() { "{}" } else { call.arguments.trim() };
        let args = serde_json::from_str::<&RawValue>(arguments).ok().filter(|args| args.get().starts_with('{'));
        let why = || {
            let why = format!("the arguments of the call of '{}' are not a JSON object", call.name);
            invalid(&format!("messages[{at}].tool_calls"), &why)
        };
        let function_call = Some(Call { id: &call.id, name: name::fit(&call.name), args: args.ok_or_else(why)? });
        Ok(Part { function_call, thought_signature: call.signature.as_deref(), ..Part::default() })
    }

    fn result(
        self,
        (id, name): (&'a str, Option<&'a str>),
        content: &'a [Block],
        failed: bool,
        parts: &mut Vec<Part<'a>>,
    ) -> Result<(), EncodeError> {
        let name = name.or_else(|| self.chat.tool_name(id)).ok_or_else(|| {
            invalid("messages", &format_args!("no message before the tool message calls a tool with the id '{id}'"))
        })?;
        let mut said = String::new();
        let mut media = Vec::new();
        for block in content {
            match &block.content {
                Content::Text(text) => said.push_str(text),
                Content::Image { .. } | Content::Document { .. } | Content::Audio(_) => {
                    media.push(self.media(&block.content)?);
                }
                Content::Thinking { .. }
                | Content::RedactedThinking(_)
                | Content::ToolCall(_)
                | Content::ToolResult { .. }
                | Content::Refusal(_) => {
                    return Err(self.support.no_content("anything but text and media in a tool's result"));
                }
            }
        }
        let response = if failed { Outcome::Error(said) } else { Outcome::Output(said) };
        // Older models see media beside the result.
        let (inside, beside) = if self.family.third { (media, Vec::new()) } else { (Vec::new(), media) };
        let function_response = Some(Returned { id, name: name::fit(name), response, parts: inside });
        parts.push(Part { function_response, ..Part::default() });
        parts.extend(beside);
        Ok(())
    }

    fn media(self, content: &'a Content) -> Result<Part<'a>, EncodeError> {
        let (source, name) = match content {
            Content::Image { source, .. } | Content::Audio(source) => (source, None),
            Content::Document { source, name } => (source, name.as_deref()),
            _ => return Err(self.support.no_content("this content")),
        };
        match source {
            Source::Inline { media_type, data } => {
                Ok(Part { inline_data: Some(Blob { mime_type: media_type, data }), ..Part::default() })
            }
            Source::Url(url) if self.platform.reads(url) => {
                let mime_type = media_type(name.unwrap_or(url)).or_else(|| media_type(url));
                Ok(Part { file_data: Some(FileData { mime_type, file_uri: url.clone() }), ..Part::default() })
            }
            Source::Url(_) => Err(self.support.no_content("media from this URL; send them as data: URLs")),
            Source::File(id) => {
                let file_uri = self.platform.file_uri(id).ok_or_else(|| {
                    self.support.no_content("this file id; send the file's data, or its URI at Google")
                })?;
                let mime_type = name.and_then(media_type);
                Ok(Part { file_data: Some(FileData { mime_type, file_uri }), ..Part::default() })
            }
        }
    }
}

/// The first call of a turn has a signature, or the value that says that there is none.
fn sign_calls(parts: &mut [Part<'_>]) {
    if let Some(first) = parts.iter_mut().find(|part| part.function_call.is_some()) {
        first.thought_signature.get_or_insert(signature::SKIP);
    }
}

/// By the extension of a name or URL.
fn media_type(name: &str) -> Option<&'static str> {
    let path = name.split(['?', '#']).next()?;
    let (_, extension) = path.rsplit_once('/').map_or(path, |(_, file)| file).rsplit_once('.')?;
    Some(match extension.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "heic" => "image/heic",
        "heif" => "image/heif",
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        "md" => "text/markdown",
        "html" | "htm" => "text/html",
        "csv" => "text/csv",
        "json" => "application/json",
        "mp3" => "audio/mp3",
        "wav" => "audio/wav",
        "flac" => "audio/flac",
        "ogg" => "audio/ogg",
        "aac" => "audio/aac",
        "m4a" => "audio/m4a",
        "mp4" => "video/mp4",
        "mov" => "video/mov",
        "mpeg" | "mpg" => "video/mpeg",
        "webm" => "video/webm",
        _ => return None,
    })
}

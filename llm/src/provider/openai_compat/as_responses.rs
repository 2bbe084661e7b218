//! Chats that OpenAI serves by Responses alone: sent there, and answered as chats.
//!
//! ```text
//!  gpt-5-pro, gpt-5.1-codex, o3-deep-research     every chat: these models have no chat completions
//!  gpt-5.4                                        with tools and an effort
//!  gpt-5.5 and later                              with tools, unless told not to reason
//! ```
//! OpenAI answers 400 to the latter two: function tools with an effort "are not supported for gpt-5.4 in
//! /v1/chat/completions".

use bytes::Bytes;

use crate::{
    chat::Turn,
    error::EncodeError,
    inbound::{self, invalid},
    json,
    provider::{CompiledParams, Encoded, Operation, Recall, Target, quirks::Quirks},
    request::Request,
};

mod input;
mod request;
mod response;
mod stream;

pub(super) use response::read;
pub(super) use stream::Reader;

/// Marks what OpenAI alone can read of its reasoning, which clients return: `openai:ITEM:SEALED`.
const OF_OPENAI: &str = crate::chat::signature::OF_OPENAI;

/// Words of names of models without chat completions.
const WORDS: &[&str] = &["codex", "daybreak", "pro", "research"];

/// Whether any chat of this model may be one of those.
pub(super) fn may_need(model: &str) -> bool {
    let name = name(model);
    is_without_chats(name) || version(name).is_some_and(|version| version >= (5, 4))
}

/// Whether this chat, as it would be sent, is.
pub(super) fn needs(model: &str, body: &[u8]) -> bool {
    let name = name(model);
    if is_without_chats(name) {
        return true;
    }
    let members = json::scan(body).unwrap_or_default();
    let member = |name: &str| json::member(body, &members, name).filter(|value| *value != b"null");
    let has_tools = ["tools", "functions"].into_iter().filter_map(member).any(|tools| tools != b"[]");
    let reasons = match member("reasoning_effort") {
        Some(effort) => effort != b"\"none\"",
        None => version(name).is_some_and(|version| version >= (5, 5)),
    };
    has_tools && reasons
}

fn name(model: &str) -> &str {
    model.rsplit('/').next().unwrap_or(model)
}

fn is_without_chats(name: &str) -> bool {
    let is_openais = version(name).is_some_and(|version| version >= (5, 0))
        || ["o1-", "o3-", "o4-", "codex-", "gpt-daybreak-"].iter().any(|start| name.starts_with(start));
    is_openais && name.split('-').any(|word| WORDS.contains(&word))
}

/// Of `gpt-5.4-mini` 5 and 4; `None` = it has no such name, or is made not to reason (`gpt-5.4-chat-latest`).
fn version(name: &str) -> Option<(u32, u32)> {
    let version = name.strip_prefix("gpt-")?.split('-').next()?;
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    let is_one = major.len() == 1 && !name.split('-').any(|word| word == "chat");
    Some((major.parse().ok()?, minor.parse().ok()?)).filter(|_| is_one)
}

/// A chat that is ready for chat completions, as a request of Responses.
///
/// `said` are its turns as the client of another dialect sent them, with what chat completions have no place for.
///
/// # Errors
/// Something that Responses cannot say.
pub(super) fn encode(
    body: Bytes,
    said: Option<Vec<Turn>>,
    quirks: &Quirks,
    target: &Target<'_>,
) -> Result<Encoded, EncodeError> {
    let chat = Request::scan(body).map_err(|error| invalid("body", &error))?;
    // Both were applied before.
    let as_it_is = Target { params: &CompiledParams::default(), max_output_tokens: None, ..*target };
    let mut read = inbound::read(Operation::Chat, &chat, &as_it_is)?;
    if let Some(said) = said {
        read.turns = said;
    }
    let encoded = request::write(&mut read, &chat, quirks, target)?;
    Ok(Encoded { recall: Recall::as_responses(), ..encoded })
}

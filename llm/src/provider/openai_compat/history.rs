//! The messages of a chat for upstreams that take less in them than OpenAI does.

use std::borrow::Cow;

use bytes::Bytes;

use super::calls;
use crate::{
    error::EncodeError,
    json::{self, Member},
    provider::quirks::{Developer, Parts, Quirks},
    splice::Editor,
};

const DEVELOPER: &[u8] = b"\"developer\"";
/// Said by the assistant between a tool's result and a user who did not wait for an answer.
const HEARD: &[u8] = br#"{"role":"assistant","content":"OK."},"#;

impl Quirks {
    /// Rewrites `messages`; whatever is no list of objects is left to the upstream to refuse.
    ///
    /// # Errors
    /// A part that the upstream cannot take.
    pub(super) fn edit_messages(&self, model: &str, edit: &mut Editor<'_>) -> Result<(), EncodeError> {
        let Some(messages) = edit.value("messages") else {
            return Ok(());
        };
        let strict = self.parts != Parts::Any || !self.unread.is_empty();
        // Hardly a request has a developer: a search costs much less than a scan.
        let renames = self.developer == Developer::AsSystem && memchr::memmem::find(messages, DEVELOPER).is_some();
        if !strict && !renames {
            return Ok(());
        }
        let mut out = Vec::with_capacity(messages.len());
        let mut copied = 0;
        let mut is_answered = true;
        let elements = json::elements(messages).unwrap_or_default();
        for (at, element) in elements.iter().enumerate() {
            let is_last = at + 1 == elements.len();
            if self.answers_tools {
                let role = role(element.of(messages));
                if !is_answered && role == b"\"user\"" {
                    out.extend_from_slice(messages.get(copied..element.start).unwrap_or_default());
                    out.extend_from_slice(HEARD);
                    copied = element.start;
                }
                is_answered = role != b"\"tool\"";
            }
            if let Some(message) = self.message(model, element.of(messages), is_last)? {
                out.extend_from_slice(messages.get(copied..element.start).unwrap_or_default());
                out.extend_from_slice(&message);
                copied = element.end;
            }
        }
        if copied > 0 {
            out.extend_from_slice(messages.get(copied..).unwrap_or_default());
            edit.replace("messages", Bytes::from(out));
        }
        Ok(())
    }

    /// The message as it is sent; `None` = as it is.
    fn message(&self, model: &str, text: &[u8], is_last: bool) -> Result<Option<Bytes>, EncodeError> {
        let Ok(members) = json::scan(text) else {
            return Ok(None);
        };
        let role = json::member(text, &members, "role").unwrap_or_default();
        let renamed = self.developer == Developer::AsSystem && role == DEVELOPER;
        let unread: Vec<&str> = self
            .unread
            .iter()
            .copied()
            .flatten()
            .filter(|unread| unread.is_in(role, text, &members))
            .map(|unread| unread.member)
            .collect();
        let content = json::member(text, &members, "content");
        let flat = match content.filter(|content| content.starts_with(b"[")) {
            Some(content) if self.parts != Parts::Any => flat(content),
            _ => None,
        };
        if flat.is_none() && self.parts == Parts::TextOnly && content.is_some_and(|content| content.starts_with(b"[")) {
            return Err(self.no_parts(model));
        }
        let silent = content.is_none_or(|content| matches!(content, b"null" | b"\"\""));
        let goes_on = self.continues && is_last && role == b"\"assistant\"" && !silent;
        let goes_on =
            goes_on && ["prefix", "tool_calls"].iter().all(|name| json::member(text, &members, name).is_none());
        let ids = if self.short_ids { calls::fitting(text, &members) } else { None };
        if !renamed && unread.is_empty() && flat.is_none() && ids.is_none() && !goes_on {
            return Ok(None);
        }
        let refusal = json::member(text, &members, "refusal").filter(|refusal| refusal.starts_with(b"\""));
        let refusal = refusal.filter(|_| unread.contains(&"refusal")).map(Bytes::copy_from_slice);
        let text = Bytes::copy_from_slice(text);
        let mut edit = Editor::new(&text, &members);
        if renamed {
            edit.set_string("role", "system");
        }
        for member in unread {
            edit.delete(member);
        }
        if let Some((member, ids)) = ids {
            edit.replace(member, ids);
        }
        if goes_on {
            edit.set("prefix", "true");
        }
        if let Some(flat) = flat {
            edit.set_string("content", &flat);
        }
        // Why it would not is what it said.
        if let Some(refusal) = refusal.filter(|_| silent) {
            edit.set("content", refusal);
        }
        Ok(Some(edit.finish().to_bytes()))
    }

    fn no_parts(&self, model: &str) -> EncodeError {
        EncodeError {
            message: format!("Model '{model}' of {} takes nothing but text in messages.", self.name).into(),
            param: Some("messages".into()),
            code: "unsupported_content",
        }
    }
}

fn role(message: &[u8]) -> &[u8] {
    let members = json::scan(message).unwrap_or_default();
    json::member(message, &members, "role").unwrap_or_default()
}

/// The text of content that is a list of texts; `None` where something else is in it.
fn flat(content: &[u8]) -> Option<String> {
    let mut out = String::new();
    for element in json::elements(content).ok()? {
        let part = element.of(content);
        let members: Vec<Member> = json::scan(part).ok()?;
        let said = match json::member(part, &members, "type") {
            None | Some(b"\"text\"") => "text",
            Some(b"\"refusal\"") => "refusal",
            Some(_) => return None,
        };
        let text: Cow<'_, str> = json::as_str(json::member(part, &members, said)?)?;
        out.push_str(&text);
    }
    Some(out)
}

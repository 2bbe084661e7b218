//! Thinking that an upstream leaves in a chat's content, between `<think>` and `</think>` at its beginning: told apart, as
//! clients know it.

use bytes::Bytes;

use super::lists::each_message;
use crate::{
    json::{self, Member},
    splice::Editor,
};

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";
/// Most bytes of white space and a begun tag that are held back.
const MOST_HELD: usize = 64;

/// The contents of one stream, by choice.
#[derive(Debug, Default)]
pub(crate) struct Thoughts {
    choices: Vec<(u64, Split)>,
}

impl Thoughts {
    /// Whether all choices so far are past their thinking, so that what they say may go on as it comes.
    pub(crate) fn are_over(&self) -> bool {
        !self.choices.is_empty() && self.choices.iter().all(|(_, split)| split.at == At::Text && !split.trims)
    }

    /// The chunk with its thinking told apart; `None` = it may go on as it is.
    pub(crate) fn chunk(&mut self, data: &[u8]) -> Option<Bytes> {
        each_message(data, "delta", |choice, members, delta| {
            let index = json::member(choice, members, "index").and_then(json::as_count).unwrap_or_default();
            let is_last = json::member(choice, members, "finish_reason").is_some_and(|reason| reason != b"null");
            let at = self.choices.iter().position(|(known, _)| *known == index);
            let at = at.unwrap_or_else(|| {
                self.choices.push((index, Split::default()));
                self.choices.len() - 1
            });
            self.choices.get_mut(at)?.1.tell(delta, is_last)
        })
    }
}

/// A whole answer with its thinking told apart; `None` = it has none.
pub(crate) fn whole(body: &[u8]) -> Option<Bytes> {
    // The brackets may be escaped.
    memchr::memmem::find(body, b"think")?;
    each_message(body, "message", |_, _, message| Split::default().tell(message, true))
}

/// One content, piece by piece.
#[derive(Debug, Default)]
struct Split {
    at: At,
    /// What may be the beginning of a tag.
    held: String,
    /// White space that comes next is left out.
    trims: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Start,
    Thought,
    Text,
}

#[derive(Debug, Default)]
struct Said {
    thought: String,
    text: String,
}

impl Split {
    fn tell(&mut self, message: &[u8], is_last: bool) -> Option<Bytes> {
        let message = Bytes::copy_from_slice(message);
        let members = json::scan(&message).ok()?;
        if self.at == At::Start && ["reasoning_content", "reasoning"].iter().any(|name| says(&message, &members, name))
        {
            // Told apart already.
            self.at = At::Text;
        }
        let content = json::member(&message, &members, "content").unwrap_or(b"null");
        let piece = match content.first() {
            Some(b'"') => json::as_str(content)?,
            Some(b'n') => "".into(),
            _ => return None,
        };
        let mut said = self.push(&piece);
        if is_last {
            let held = std::mem::take(&mut self.held);
            if self.at == At::Thought { said.thought.push_str(&held) } else { said.text.push_str(&held) }
        }
        if said.thought.is_empty() && said.text == piece {
            return None;
        }
        let mut edit = Editor::new(&message, &members);
        if !said.thought.is_empty() {
            edit.set("reasoning_content", json::quoted(&said.thought));
        }
        let is_silent = said.text.is_empty() && !said.thought.is_empty();
        edit.set("content", if is_silent { b"null".to_vec() } else { json::quoted(&said.text) });
        Some(edit.finish().to_bytes())
    }

    fn push(&mut self, piece: &str) -> Said {
        let mut said = Said::default();
        let mut rest = std::mem::take(&mut self.held);
        rest.push_str(piece);
        if self.at == At::Start {
            let begun = rest.trim_start();
            if let Some(inside) = begun.strip_prefix(OPEN) {
                (self.at, self.trims) = (At::Thought, true);
                rest = String::from(inside);
            } else if OPEN.starts_with(begun) && rest.len() <= MOST_HELD {
                self.held = rest;
                return said;
            } else {
                self.at = At::Text;
            }
        }
        if self.at == At::Thought {
            let Some((thought, after)) = rest.split_once(CLOSE) else {
                let (thought, held) = rest.split_at_checked(rest.len() - begun(&rest)).unwrap_or((&rest, ""));
                self.held = held.to_owned();
                said.thought = self.trimmed(thought);
                return said;
            };
            said.thought = self.trimmed(thought);
            (self.at, self.trims) = (At::Text, true);
            rest = String::from(after);
        }
        said.text = self.trimmed(&rest);
        said
    }

    fn trimmed(&mut self, text: &str) -> String {
        let text = if self.trims { text.trim_start() } else { text };
        self.trims &= text.is_empty();
        text.to_owned()
    }
}

/// Bytes at the end that may be the beginning of the closing tag.
fn begun(text: &str) -> usize {
    let ends_with = |length: &usize| CLOSE.get(..*length).is_some_and(|start| text.ends_with(start));
    (1..CLOSE.len()).rev().find(ends_with).unwrap_or_default()
}

fn says(message: &[u8], members: &[Member], name: &str) -> bool {
    json::member(message, members, name).is_some_and(|value| !matches!(value, b"null" | b"\"\""))
}

//! What a kept answer was asked, as a list: every item with an id, page by page.

use std::borrow::Cow;

use bytes::Bytes;

use super::{Turn, output};
use crate::{json, splice::Editor};

/// Which items of a list are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Those behind the one of this id; `None` = from the beginning.
    pub after: Option<String>,
    /// At most so many.
    pub limit: usize,
    /// The last one first.
    pub is_newest_first: bool,
}

/// The items that the last of the turns was answered for, those of the turns before it among them, as OpenAI's list object.
/// `None` = there is no item of the id `after`.
pub fn listed(turns: &[Turn], page: &Page) -> Option<Vec<u8>> {
    let mut items = Vec::new();
    for (at, turn) in turns.iter().enumerate() {
        let id = id_of(&turn.response);
        let asked = json::elements(turn.input.as_bytes()).unwrap_or_default();
        let own = asked.iter().enumerate().map(|(at, item)| shaped(item.of(turn.input.as_bytes()), &id, at));
        items.extend(own);
        // What it was answered is no input of the last one.
        if at + 1 < turns.len() {
            let said = output(&turn.response);
            let answered = json::elements(said).unwrap_or_default();
            items.extend(answered.iter().enumerate().map(|(at, item)| shaped(item.of(said), &id, asked.len() + at)));
        }
    }
    if page.is_newest_first {
        items.reverse();
    }
    let first = match &page.after {
        None => 0,
        Some(after) => items.iter().position(|item| item.id == *after)? + 1,
    };
    let rest = items.get(first..).unwrap_or_default();
    let shown = rest.get(..page.limit).unwrap_or(rest);
    let name = |item: Option<&Item>| item.map_or_else(|| b"null".to_vec(), |item| json::quoted(&item.id));
    let has_more: &[u8] = if shown.len() < rest.len() { b"true" } else { b"false" };
    let data: Vec<&[u8]> = shown.iter().map(|item| &item.text[..]).collect();
    let parts: [&[u8]; 9] = [
        b"{\"object\":\"list\",\"data\":[",
        &data.join(&b','),
        b"],\"first_id\":",
        &name(shown.first()),
        b",\"last_id\":",
        &name(shown.last()),
        b",\"has_more\":",
        has_more,
        b"}",
    ];
    Some(parts.concat())
}

struct Item {
    id: String,
    text: Bytes,
}

/// What ids of a turn's items have in common.
fn id_of(response: &str) -> String {
    let text = response.as_bytes();
    let members = json::scan(text).unwrap_or_default();
    let id = json::member(text, &members, "id").and_then(json::as_str).unwrap_or_default();
    id.strip_prefix("resp_").unwrap_or(&id).to_owned()
}

/// An item as OpenAI lists it: with its type and an id, a message's text as a part.
fn shaped(item: &[u8], turn: &str, at: usize) -> Item {
    let text = Bytes::copy_from_slice(item);
    let members = json::scan(&text).unwrap_or_default();
    let string = |name: &str| json::member(&text, &members, name).and_then(json::as_str);
    let kind = string("type").unwrap_or(Cow::Borrowed("message"));
    let mut edit = Editor::new(&text, &members);
    if kind == "message" {
        edit.set_string("type", "message");
        if !edit.has("status") {
            edit.set_string("status", "completed");
        }
        if let Some(said) = json::member(&text, &members, "content").filter(|content| content.first() == Some(&b'"')) {
            let is_answer = string("role").as_deref() == Some("assistant");
            let (kind, rest): (&[u8], &[u8]) =
                if is_answer { (b"output_text", b",\"annotations\":[]}]") } else { (b"input_text", b"}]") };
            edit.replace("content", [b"[{\"type\":\"", kind, b"\",\"text\":", said, rest].concat());
        }
    }
    let id = string("id")
        .filter(|id| !id.is_empty())
        .map_or_else(|| format!("{}_in_{turn}_{at}", prefix(&kind)), Cow::into_owned);
    edit.set_string("id", &id);
    Item { id, text: edit.finish().to_bytes() }
}

fn prefix(kind: &str) -> &'static str {
    match kind {
        "message" => "msg",
        "reasoning" => "rs",
        "function_call" => "fc",
        "function_call_output" => "fco",
        _ => "item",
    }
}

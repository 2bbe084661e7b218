//! Conversations of Responses whose earlier turns the gateway has kept: a request with all of them before its own items, and
//! the part of an answer that is kept.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;

use crate::{
    json,
    request::{Request, ScanError},
    splice::Editor,
    sse::Splitter,
};

mod listing;

pub use listing::{Page, listed};

const PREVIOUS: &str = "previous_response_id";

/// What is kept here of a request's answer, as the answer says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// The answer is kept.
    pub is_kept: bool,
    /// The answer that the request goes on from.
    pub previous: Option<Arc<str>>,
}

/// One turn that was kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// A JSON array: what [`input`] gave.
    pub input: String,
    /// The answer: [`Finished::object`].
    pub response: String,
}

/// An answer that may be gone on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Its id.
    pub id: String,
    /// OpenAI's response object.
    pub object: String,
}

/// The answer that a request goes on from; `None` = it begins a conversation.
pub fn previous(request: &Request) -> Option<Cow<'_, str>> {
    request.member(PREVIOUS).and_then(json::as_str)
}

/// Whether the client lets its answer be kept: it does unless it says otherwise.
pub fn wants_kept(request: &Request) -> bool {
    request.member("store") != Some(b"false")
}

/// What a request itself adds to its conversation, as a JSON array of items.
pub fn input(request: &Request) -> String {
    let items = match request.member("input") {
        Some(text @ [b'"', ..]) => [br#"[{"type":"message","role":"user","content":"#, text, b"}]"].concat(),
        Some(items @ [b'[', ..]) => items.to_vec(),
        // Who reads it refuses it.
        Some(_) | None => b"[]".to_vec(),
    };
    // Requests are checked to be UTF-8.
    String::from_utf8(items).unwrap_or_default()
}

/// The request with everything that was said before in its `input`, and nothing for an upstream to look up.
///
/// # Errors
/// What was kept is damaged.
pub fn resumed(request: &Request, turns: &[Turn]) -> Result<Request, ScanError> {
    let own = input(request);
    let parts = turns.iter().flat_map(|turn| [turn.input.as_bytes(), output(&turn.response)]);
    let mut items = vec![b'['];
    for part in parts.chain([own.as_bytes()]) {
        let part = part.strip_prefix(b"[").and_then(|part| part.strip_suffix(b"]")).unwrap_or_default().trim_ascii();
        if !part.is_empty() {
            if items.len() > 1 {
                items.push(b',');
            }
            items.extend_from_slice(part);
        }
    }
    items.push(b']');
    let mut edit = request.edit();
    edit.delete(PREVIOUS);
    edit.set("input", items);
    Request::scan(edit.finish().to_bytes())
}

/// The items that an answer added to its conversation.
fn output(response: &str) -> &[u8] {
    let text = response.as_bytes();
    json::scan(text).ok().and_then(|members| json::member(text, &members, "output")).unwrap_or_default()
}

/// The answer as the client got it, if it came to an end that can be gone on from; `previous` is what it goes on from itself.
pub fn finished(body: &Bytes, is_stream: bool, previous: Option<&str>) -> Option<Finished> {
    if !is_stream {
        return object(body, previous);
    }
    let mut events = Splitter::default();
    events.feed(body.clone());
    let mut found = None;
    while let Ok(Some(event)) = events.next_event() {
        let fields = event.fields();
        let Some(data) = fields.data.as_deref() else { continue };
        let Ok(members) = json::scan(data) else { continue };
        let kind = json::member(data, &members, "type").and_then(json::as_str);
        if matches!(kind.as_deref(), Some("response.completed" | "response.incomplete")) {
            found = json::member(data, &members, "response").map(Bytes::copy_from_slice);
        }
    }
    object(&found?, previous)
}

fn object(body: &Bytes, previous: Option<&str>) -> Option<Finished> {
    let members = json::scan(body).ok()?;
    let string = |name: &str| json::member(body, &members, name).and_then(json::as_str);
    if !matches!(string("status").as_deref(), Some("completed" | "incomplete")) {
        return None;
    }
    // Databases do not take NUL.
    let id = string("id").filter(|id| !id.is_empty() && !id.contains('\0'))?.into_owned();
    let mut edit = Editor::new(body, &members);
    // Upstreams that were not asked to go on do not know.
    if let Some(previous) = previous {
        edit.set_string(PREVIOUS, previous);
    }
    let object = String::from_utf8(edit.finish().to_bytes().into()).ok()?;
    Some(Finished { id, object })
}

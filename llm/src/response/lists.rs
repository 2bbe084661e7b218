//! Answers whose content is a list of parts, as Mistral's reasoning models give: text and thinking apart, as clients know them.

use bytes::Bytes;
use serde::Deserialize;

use crate::{
    json::{self, Member},
    splice::Editor,
};

#[derive(Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: Option<String>,
    text: Option<String>,
    thinking: Option<Vec<Part>>,
}

/// The body with plain contents, `said` being `message` or `delta`; `None` = it has no lists.
pub(crate) fn plain(body: &[u8], said: &str) -> Option<Bytes> {
    if !may_hold_list(body) {
        return None;
    }
    each_message(body, said, |_, _, text| message(text))
}

/// The body with other messages; `None` = all stay as they are. What is asked for each of them is given its choice, the choice's
/// members, and the message itself.
pub(super) fn each_message(
    body: &[u8],
    said: &str,
    mut change: impl FnMut(&[u8], &[Member], &[u8]) -> Option<Bytes>,
) -> Option<Bytes> {
    let body = &Bytes::copy_from_slice(body);
    let members = json::scan(body).ok()?;
    let choices = json::member(body, &members, "choices")?;
    let mut out = Vec::with_capacity(choices.len());
    let mut changed = false;
    for element in json::elements(choices).ok()? {
        let new = choice(element.of(choices), said, &mut change);
        changed |= new.is_some();
        out.push(if out.is_empty() { b'[' } else { b',' });
        out.extend_from_slice(new.as_deref().unwrap_or(element.of(choices)));
    }
    out.push(b']');
    if !changed {
        return None;
    }
    let mut edit = Editor::new(body, &members);
    edit.replace("choices", out);
    Some(edit.finish().to_bytes())
}

fn may_hold_list(body: &[u8]) -> bool {
    const CONTENT: &[u8] = b"\"content\"";
    memchr::memmem::find_iter(body, CONTENT).any(|at| {
        let rest = body.get(at + CONTENT.len()..).unwrap_or_default().trim_ascii_start();
        rest.strip_prefix(b":").is_some_and(|value| value.trim_ascii_start().starts_with(b"["))
    })
}

fn choice(text: &[u8], said: &str, change: &mut impl FnMut(&[u8], &[Member], &[u8]) -> Option<Bytes>) -> Option<Bytes> {
    let text = Bytes::copy_from_slice(text);
    let members = json::scan(&text).ok()?;
    let message = change(&text, &members, json::member(&text, &members, said)?)?;
    let mut edit = Editor::new(&text, &members);
    edit.replace(said, message);
    Some(edit.finish().to_bytes())
}

fn message(text: &[u8]) -> Option<Bytes> {
    let text = Bytes::copy_from_slice(text);
    let members = json::scan(&text).ok()?;
    let content = json::member(&text, &members, "content")?;
    let (mut words, mut thoughts, mut others) = (String::new(), String::new(), Vec::new());
    for element in json::elements(content).ok()? {
        let raw = element.of(content);
        let part: Part = serde_json::from_slice(raw).ok()?;
        match part.kind.as_deref() {
            None | Some("text") => words.push_str(part.text.as_deref().unwrap_or_default()),
            Some("thinking") => {
                let inner = part.thinking.unwrap_or_default();
                thoughts.extend(inner.into_iter().filter_map(|part| part.text));
            }
            // References to sources, and what is new.
            Some(_) => {
                others.push(if others.is_empty() { b'[' } else { b',' });
                others.extend_from_slice(raw);
            }
        }
    }
    let mut edit = Editor::new(&text, &members);
    edit.replace("content", if words.is_empty() { b"null".to_vec() } else { json::quoted(&words) });
    if !thoughts.is_empty() {
        edit.set("reasoning_content", json::quoted(&thoughts));
    }
    if !others.is_empty() {
        others.push(b']');
        edit.set("annotations", others);
    }
    Some(edit.finish().to_bytes())
}

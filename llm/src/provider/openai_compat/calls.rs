//! Ids of tool calls for upstreams that take nine letters and digits only.

use bytes::Bytes;

use crate::{
    json::{self, Member},
    splice::Editor,
};

const LENGTH: usize = 9;

/// The member of a message whose ids do not fit, with such that do; the same id gets the same one everywhere.
pub(super) fn fitting(text: &[u8], members: &[Member]) -> Option<(&'static str, Vec<u8>)> {
    if let Some(id) = json::member(text, members, "tool_call_id").and_then(json::as_str) {
        return fitted(&id).map(|id| ("tool_call_id", json::quoted(&id)));
    }
    let calls = json::member(text, members, "tool_calls")?;
    let mut out = vec![b'['];
    let mut is_changed = false;
    for element in json::elements(calls).ok()? {
        let new = call(element.of(calls));
        is_changed |= new.is_some();
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(new.as_deref().unwrap_or(element.of(calls)));
    }
    out.push(b']');
    is_changed.then_some(("tool_calls", out))
}

fn call(text: &[u8]) -> Option<Bytes> {
    let text = Bytes::copy_from_slice(text);
    let members = json::scan(&text).ok()?;
    let id = json::member(&text, &members, "id").and_then(json::as_str)?;
    let id = fitted(&id)?;
    let mut edit = Editor::new(&text, &members);
    edit.set_string("id", &id);
    Some(edit.finish().to_bytes())
}

/// `None` = it fits.
fn fitted(id: &str) -> Option<String> {
    let fits = id.len() == LENGTH && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (!fits).then(|| format!("c{:08x}", crc32fast::hash(id.as_bytes())))
}

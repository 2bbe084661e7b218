//! What the dialects that are not OpenAI's have in common on the wire.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{chat::Recall, json, provider::Encoded, splice::Editor};

/// A base URL with a path appended. The base may hold the path's first segment already
/// (`http://host:11434/v1` + `/v1/completions`).
pub(super) fn joined(base: &str, path: &str) -> String {
    let base = base.trim_end_matches('/');
    let first = path.get(1..).and_then(|rest| rest.find('/')).map_or(path, |at| path.get(..=at).unwrap_or(path));
    let path =
        if !first.is_empty() && base.ends_with(first) { path.get(first.len()..).unwrap_or_default() } else { path };
    format!("{base}{path}")
}

/// A JSON body with the members that are nobody's standard, which are the upstream's own: they win.
pub(super) fn encoded(body: &impl Serialize, others: &[(String, Box<RawValue>)]) -> Encoded {
    // These types cannot fail to serialise: no maps with other keys than strings, no numbers that are none.
    let text = Bytes::from(serde_json::to_vec(body).unwrap_or_default());
    let members = json::scan(&text).unwrap_or_default();
    let mut edit = Editor::new(&text, &members);
    for (name, value) in others {
        edit.set(name, Bytes::copy_from_slice(value.get().as_bytes()));
    }
    Encoded::json(edit.finish(), Recall::default())
}

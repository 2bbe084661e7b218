//! Texts that clients chose, made fit for a database: one that is refused would hold up its whole batch for ever.

use std::borrow::Cow;

use serde::de::IgnoredAny;

/// Bytes of a text that stands in an index: PostgreSQL refuses entries of more than a third of a page.
const INDEXED: usize = 256;
/// The same of an account's id, which has names of objects in it too.
const ID: usize = 1024;
/// Deeper JSON than this is refused by one database or the other.
const DEPTH: usize = 100;

/// Without NUL, which PostgreSQL's texts cannot hold.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}

/// The same, cut off where it is too long to be looked up.
pub(super) fn indexed(text: &str) -> Cow<'_, str> {
    clean(text.get(..text.floor_char_boundary(INDEXED)).unwrap_or(text))
}

/// An account's id as it is stored: itself, but for subjects that no database takes. Those keep apart by a hash.
pub(super) fn id(text: &str) -> Cow<'_, str> {
    if text.len() <= ID && !text.contains('\0') {
        return text.into();
    }
    // FNV-1a: the same in every version and on every machine.
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let start = text.get(..text.floor_char_boundary(ID)).unwrap_or(text);
    format!("{}#{hash:016x}", clean(start)).into()
}

/// A JSON text that a database can also look into; `None` = it is not well-formed, and would fail every query over its column.
pub(super) fn json(text: &str) -> Option<Cow<'_, str>> {
    let opened = text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count();
    if !text.contains("\\u") && opened <= DEPTH {
        return serde_json::from_str::<IgnoredAny>(text).is_ok().then_some(Cow::Borrowed(text));
    }
    // Parsing in full finds what is too deep, and escapes that name no character (half of a pair).
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    if depth(&value) > DEPTH {
        return None;
    }
    let text = value.to_string();
    Some(text.replace("\\u0000", "\\ufffd").into())
}

/// Recursion has a bound: the parser reads 128 levels at most.
fn depth(value: &serde_json::Value) -> usize {
    use serde_json::Value;
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or_default(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

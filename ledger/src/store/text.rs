//! Texts that clients chose, made fit for a database: one that is refused would hold up its whole batch for ever.

use std::borrow::Cow;

use serde::de::IgnoredAny;

/// Without NUL, which PostgreSQL's texts cannot hold.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}

/// A JSON text that a database can also look into; `None` = it is not well-formed, and would fail every query over its column.
pub(super) fn json(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains("\\u") {
        return serde_json::from_str::<IgnoredAny>(text).is_ok().then_some(Cow::Borrowed(text));
    }
    // Escapes may name what is no character, alone (half of a pair) or to a database (NUL): parsing finds the first.
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    let text = value.to_string();
    Some(text.replace("\\u0000", "\\ufffd").into())
}

//! A strict scanner over one JSON object that remembers where its top-level members lie.
//!
//! The gateway forwards bodies as they came; all it needs to know is where a few members begin and end.
//! So nothing is parsed into values: the whole text is checked against RFC 8259 in one pass, and each top-level
//! member yields two spans.
//!
//! Stricter than the RFC: objects only, no byte order mark, at most [`MAX_DEPTH`] levels. Looser than `serde_json`:
//! lone surrogates in escapes and numbers too large for a double pass, since whoever reads them may take them.

use std::borrow::Cow;

mod plain;
mod scanner;
mod text;

pub(crate) use plain::plain_prefix;
pub(crate) use scanner::Visitor;
pub use text::{escape_into, quoted, unescape};

/// Most levels of nesting: what `serde_json` takes too, so that a typed reader never refuses for depth what passed here.
pub const MAX_DEPTH: u32 = 127;

/// A range of bytes within the scanned text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Of the first byte.
    pub start: usize,
    /// Of the byte after the last one.
    pub end: usize,
}

impl Span {
    /// The bytes themselves; empty where the span does not lie in `text`.
    pub fn of(self, text: &[u8]) -> &[u8] {
        text.get(self.start..self.end).unwrap_or_default()
    }

    /// Number of bytes.
    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// True for no bytes.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// A top-level member. Between the value of one and the key of the next lie only white space and one comma,
/// so a member can be cut out with the separator before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The key with its quotes, as it stands in the text.
    pub key: Span,
    /// The value without surrounding white space.
    pub value: Span,
    /// The key holds a backslash.
    escaped: bool,
}

impl Member {
    /// The key as meant: without quotes, escapes resolved.
    pub fn name(self, text: &[u8]) -> Cow<'_, str> {
        unescape(self.raw_name(text))
    }

    /// Whether the key means `name`.
    pub fn is(self, name: &str, text: &[u8]) -> bool {
        if self.escaped { self.name(text) == name } else { self.raw_name(text) == name.as_bytes() }
    }

    /// The key without quotes, escapes left in; `None` where it has some.
    pub(crate) fn plain_name(self, text: &[u8]) -> Option<&[u8]> {
        (!self.escaped).then(|| self.raw_name(text))
    }

    fn raw_name(self, text: &[u8]) -> &[u8] {
        Span { start: self.key.start.saturating_add(1), end: self.key.end.saturating_sub(1) }.of(text)
    }
}

/// Why a text is not an acceptable JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// No bytes, or white space only.
    #[error("the body is empty")]
    Empty,
    /// Starts with U+FEFF in UTF-8.
    #[error("the body starts with a byte order mark; send plain UTF-8")]
    ByteOrderMark,
    /// UTF-16 or UTF-32, by its mark or its zero bytes.
    #[error("the body is UTF-16 or UTF-32; send UTF-8")]
    Utf16,
    /// A byte sequence that is not UTF-8.
    #[error("invalid UTF-8")]
    InvalidUtf8,
    /// JSON of another kind.
    #[error("expected a JSON object")]
    NotAnObject,
    /// The text stops inside a value.
    #[error("the JSON ends early")]
    UnexpectedEnd,
    /// A byte that the grammar does not allow here.
    #[error("unexpected character")]
    UnexpectedByte,
    /// A raw control character in a string.
    #[error("unescaped control character in a string")]
    ControlCharacter,
    /// A backslash followed by something undefined.
    #[error("invalid escape in a string")]
    InvalidEscape,
    /// Not a JSON number.
    #[error("invalid number")]
    InvalidNumber,
    /// More than [`MAX_DEPTH`] levels.
    #[error("nested too deeply")]
    TooDeep,
    /// Something other than white space after the object.
    #[error("unexpected data after the JSON object")]
    TrailingData,
}

/// Where a scan stopped, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause} (at byte {offset})")]
pub struct JsonError {
    /// Byte offset in the text.
    pub offset: usize,
    /// What is wrong there.
    pub cause: Cause,
}

/// Checks a whole text and lists the members of its one object in order, duplicates included.
///
/// # Errors
/// The first violation found; encoding is checked before grammar.
pub fn scan(text: &[u8]) -> Result<Vec<Member>, JsonError> {
    let mut members = Vec::with_capacity(16);
    scan_into(text, &mut members, &mut ())?;
    Ok(members)
}

/// [`scan`] into a reused vector, showing nested strings to `visitor` on the way.
pub(crate) fn scan_into(text: &[u8], members: &mut Vec<Member>, visitor: &mut impl Visitor) -> Result<(), JsonError> {
    members.clear();
    check_encoding(text)?;
    scanner::Scanner::new(text, visitor).object(members)
}

/// Checks a text that is one value of any kind, showing what is nested in it to `visitor`. Encoding is not checked: meant
/// for a part of a text that was scanned.
pub(crate) fn visit(text: &[u8], visitor: &mut impl Visitor) -> Result<(), JsonError> {
    scanner::Scanner::new(text, visitor).whole()
}

/// Spans of the elements of a text that is one JSON array.
///
/// # Errors
/// The first violation; [`Cause::UnexpectedByte`] where it is no array. Encoding is not checked: meant for a part of
/// a text that was scanned.
pub fn elements(text: &[u8]) -> Result<Vec<Span>, JsonError> {
    elements_with(text, &mut ())
}

/// [`elements`], showing nested strings to `visitor` on the way.
pub(crate) fn elements_with(text: &[u8], visitor: &mut impl Visitor) -> Result<Vec<Span>, JsonError> {
    let mut found = Vec::new();
    scanner::Scanner::new(text, visitor).array(&mut found)?;
    Ok(found)
}

/// Value of the last member called `name`.
pub(crate) fn member<'a>(text: &'a [u8], members: &[Member], name: &str) -> Option<&'a [u8]> {
    members.iter().rev().find(|member| member.is(name, text)).map(|member| member.value.of(text))
}

/// The text of a value that is a string.
pub fn as_str(value: &[u8]) -> Option<Cow<'_, str>> {
    match value {
        [b'"', inner @ .., b'"'] => Some(unescape(inner)),
        _ => None,
    }
}

/// A value that is a number, as a count: fractions are cut off, negative ones are `None`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float is only taken where it fits")]
pub(crate) fn as_count(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    if let Ok(whole) = text.parse() {
        return Some(whole);
    }
    if !value.first().is_some_and(|byte| byte.is_ascii_digit() || *byte == b'-') {
        return None;
    }
    text.parse::<f64>().ok().filter(|number| (0.0..9e15).contains(number)).map(|number| number as u64)
}

/// Seconds in a number or in the text of one, rounded up.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "only what fits is taken")]
pub(crate) fn as_seconds(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?.trim_matches('"');
    text.parse::<f64>().ok().filter(|number| (0.0..9e15).contains(number)).map(|number| number.ceil() as u64)
}

fn check_encoding(text: &[u8]) -> Result<(), JsonError> {
    let cause = match text {
        [0xEF, 0xBB, 0xBF, ..] => Cause::ByteOrderMark,
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [0, _, ..] | [_, 0, ..] => Cause::Utf16,
        _ => {
            return std::str::from_utf8(text)
                .map(|_| ())
                .map_err(|error| JsonError { offset: error.valid_up_to(), cause: Cause::InvalidUtf8 });
        }
    };
    Err(JsonError { offset: 0, cause })
}

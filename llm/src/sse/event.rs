//! One event: its exact bytes, and its fields on demand.

use std::borrow::Cow;

use bytes::Bytes;

use crate::json::Span;

/// An event, or a group of lines without data (comments, a lone `id`), up to and including the blank line after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The exact bytes.
    pub raw: Bytes,
    /// Where they begin in the frame that was fed last; `None` = they came in several frames.
    pub at: Option<usize>,
    /// Only the LF of a CRLF whose CR ended the previous event: it shares that event's fate.
    pub tail: bool,
}

/// What an event says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields<'a> {
    /// `data` lines joined by LF; `None` where there is no such line.
    pub data: Option<Cow<'a, [u8]>>,
    /// Where `data` lies in the event's bytes, if in one piece.
    pub data_at: Option<Span>,
    /// The last `event` line.
    pub event: Option<&'a [u8]>,
    /// The last `id` line without a NUL.
    pub id: Option<&'a [u8]>,
    /// The last numeric `retry` line, milliseconds.
    pub retry: Option<u64>,
}

impl Event {
    pub(super) fn new(raw: Bytes, at: Option<usize>, tail: bool) -> Self {
        Self { raw, at, tail }
    }

    /// Reads the lines.
    pub fn fields(&self) -> Fields<'_> {
        let mut fields = Fields::default();
        let mut at = 0;
        while let Some(rest) = self.raw.get(at..).filter(|rest| !rest.is_empty()) {
            let length = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            // The LF of a CRLF then reads as one more empty line, which says nothing.
            fields.line(&self.raw, Span { start: at, end: at + length });
            at += length + 1;
        }
        fields
    }
}

impl<'a> Fields<'a> {
    fn line(&mut self, raw: &'a [u8], line: Span) {
        let text = line.of(raw);
        let colon = if text.starts_with(b"data:") { Some(4) } else { memchr::memchr(b':', text) };
        let name = text.get(..colon.unwrap_or(text.len())).unwrap_or_default();
        let mut value = Span { start: colon.map_or(line.end, |colon| line.start + colon + 1), end: line.end };
        if value.of(raw).first() == Some(&b' ') {
            value.start += 1;
        }
        let text = value.of(raw);
        match name {
            b"data" => self.add_data(text, value),
            b"event" => self.event = Some(text),
            b"id" if !text.contains(&0) => self.id = Some(text),
            b"retry" if text.iter().all(u8::is_ascii_digit) => {
                self.retry = std::str::from_utf8(text).ok().and_then(|digits| digits.parse().ok()).or(self.retry);
            }
            _ => {}
        }
    }

    fn add_data(&mut self, text: &'a [u8], at: Span) {
        match &mut self.data {
            None => {
                self.data = Some(Cow::Borrowed(text));
                self.data_at = Some(at);
            }
            Some(data) => {
                self.data_at = None;
                let data = data.to_mut();
                data.push(b'\n');
                data.extend_from_slice(text);
            }
        }
    }
}

//! One streamed chunk of the OpenAI dialect, seen through its top-level members.

use super::Tape;
use crate::json::{self, JsonError, Member, Span, Visitor};

/// Where the members that matter lie in a chunk's text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chunk {
    pub(super) model: Option<Span>,
    pub(super) choices: Option<Span>,
    pub(super) usage: Option<Span>,
    pub(super) x_groq: Option<Span>,
    /// An `error` that says something.
    pub(super) error: bool,
    /// `"object":"error"`: the chunk itself is an error object.
    pub(super) is_error: bool,
    /// A choice came to its end.
    pub(super) finish: bool,
    /// The output text between its quotes, where the chunk has exactly one such string.
    pub(super) spoken: Option<Span>,
    /// Padding against guessing the text from the chunk's size (OpenAI), with its quotes.
    pub(super) padding: Option<Span>,
}

impl Chunk {
    /// Scans a chunk into `members`; output text in its choices goes to `tape`.
    pub(super) fn read(text: &[u8], members: &mut Vec<Member>, tape: &mut Tape) -> Result<Self, JsonError> {
        let mut listener = Listener { tape, in_choices: false, reasoned: false, finish: false, spoken: None, times: 0 };
        json::scan_into(text, members, &mut listener)?;
        let spoken = listener.spoken.filter(|_| listener.times == 1);
        let mut chunk = Self { finish: listener.finish, spoken, ..Self::default() };
        for member in members.iter() {
            let Some(name) = member.plain_name(text) else {
                continue;
            };
            match name {
                b"model" => chunk.model = Some(member.value),
                b"choices" => chunk.choices = Some(member.value),
                b"usage" => chunk.usage = Some(member.value),
                b"x_groq" => chunk.x_groq = Some(member.value),
                b"error" => chunk.error = is_failure(member.value.of(text)),
                b"obfuscation" if member.value.of(text).starts_with(b"\"") => chunk.padding = Some(member.value),
                b"object" => chunk.is_error = member.value.of(text) == b"\"error\"",
                _ => {}
            }
        }
        Ok(chunk)
    }
}

/// Some servers send `"error": null` (or empty) with every chunk.
fn is_failure(value: &[u8]) -> bool {
    !matches!(value, b"null" | b"false" | b"\"\"" | b"{}")
}

/// Picks output text and finish reasons out of the choices while they are scanned.
struct Listener<'a> {
    tape: &'a mut Tape,
    in_choices: bool,
    reasoned: bool,
    finish: bool,
    /// The output text seen last, and how many there were.
    spoken: Option<Span>,
    times: u32,
}

impl Listener<'_> {
    /// Some servers send the same reasoning under two names.
    fn reasoning(&mut self, value: &[u8]) {
        let again = std::mem::replace(&mut self.reasoned, true) && self.tape.ends_with(value);
        if !again {
            self.tape.add_escaped(value);
        }
    }
}

impl Visitor for Listener<'_> {
    fn member(&mut self, key: &[u8]) {
        self.in_choices = key == b"choices";
    }

    fn string(&mut self, key: &[u8], value: &[u8], at: usize, _depth: u32) {
        if !self.in_choices {
            return;
        }
        if matches!(key, b"content" | b"text" | b"arguments" | b"refusal" | b"reasoning" | b"reasoning_content") {
            self.spoken = Some(Span { start: at, end: at + value.len() });
            self.times += 1;
        }
        match key {
            // OpenRouter's `reasoning_details`.
            b"text" if self.reasoned => self.reasoning(value),
            b"content" | b"text" | b"arguments" | b"refusal" => self.tape.add_escaped(value),
            b"reasoning" | b"reasoning_content" => self.reasoning(value),
            b"finish_reason" => self.finish = true,
            _ => {}
        }
    }
}

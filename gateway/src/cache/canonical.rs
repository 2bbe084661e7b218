//! A digest of a JSON value that does not depend on how it is written: the order of members, white space, escapes.
//!
//! One pass over the text. Each value has a digest of its own, and an object's is that of its sorted members', so nothing
//! is copied or built. The text must have been scanned: its grammar is taken for granted, and its depth is bounded.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};
use turnpike_llm::json;

/// A sha256.
pub type Digest = [u8; 32];

/// The digest of a value. Numbers count as they are written: `1` and `1.0` differ.
pub fn digest(value: &[u8]) -> Digest {
    Reader { rest: value }.value()
}

/// The digest of a text, as if it stood in quotes.
pub fn of_text(text: &str) -> Digest {
    tagged(b's', text.as_bytes())
}

fn tagged(kind: u8, bytes: &[u8]) -> Digest {
    Sha256::new().chain_update([kind]).chain_update(bytes).finalize().into()
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn value(&mut self) -> Digest {
        match self.peek() {
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'"') => string(self.string()),
            Some(_) => {
                let end =
                    self.rest.iter().position(|byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r'));
                tagged(b'n', self.take(end.unwrap_or(self.rest.len()).max(1)))
            }
            None => tagged(b'n', b""),
        }
    }

    fn object(&mut self) -> Digest {
        self.take(1);
        let mut members: Vec<(Cow<'a, str>, Digest)> = Vec::new();
        while let Some(b'"') = self.next_item(b'}') {
            let name = json::unescape(self.string());
            // The colon.
            self.peek();
            self.take(1);
            members.push((name, self.value()));
        }
        // Stable: which of two members of one name is the last one may matter.
        members.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut sum = Sha256::new().chain_update(b"o");
        for (name, value) in &members {
            sum.update(tagged(b's', name.as_bytes()));
            sum.update(value);
        }
        sum.finalize().into()
    }

    fn array(&mut self) -> Digest {
        self.take(1);
        let mut sum = Sha256::new().chain_update(b"a");
        while self.next_item(b']').is_some() {
            sum.update(self.value());
        }
        sum.finalize().into()
    }

    /// The first byte of the next item; `None` = there is none, and what closes the list was taken.
    fn next_item(&mut self, close: u8) -> Option<u8> {
        if self.peek() == Some(b',') {
            self.take(1);
        }
        let first = self.peek();
        if first == Some(close) || first.is_none() {
            self.take(1);
            return None;
        }
        first
    }

    /// The first byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.first().copied()
    }

    /// What stands between the quotes.
    fn string(&mut self) -> &'a [u8] {
        let mut end = 1;
        while let Some(at) = self.rest.get(end..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
            end += at;
            if self.rest.get(end) == Some(&b'"') {
                break;
            }
            end += 2;
        }
        let text = self.take(end.saturating_add(1));
        text.get(1..text.len().saturating_sub(1)).unwrap_or_default()
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        taken
    }
}

/// Lone surrogates all read as U+FFFD: such a text counts as it is written.
fn string(raw: &[u8]) -> Digest {
    let text = json::unescape(raw);
    if matches!(text, Cow::Owned(_)) && text.contains('\u{FFFD}') {
        return tagged(b'r', raw);
    }
    tagged(b's', text.as_bytes())
}

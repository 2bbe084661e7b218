//! What a stream said so far, kept just well enough to count its tokens.

use super::chunk::Chunk;
use crate::{json, tokens};

/// Text kept; beyond it only bytes are counted.
const CAPACITY: usize = 256 << 10;

/// Output text of one stream, bounded.
#[derive(Clone, Debug, Default)]
pub struct Tape {
    /// Insides of JSON strings, one after the other, escapes left in: themselves the inside of a JSON string.
    escaped: Vec<u8>,
    /// Bytes that found no room.
    overflow: u64,
}

impl Tape {
    /// The output text of a whole answer; empty where it is none.
    pub fn of_answer(body: &[u8]) -> Self {
        let mut tape = Self::default();
        // What does not parse has been refused already; what was heard until then counts.
        let _ = Chunk::read(body, &mut Vec::new(), &mut tape);
        tape
    }

    /// Adds what stands between the quotes of a JSON string.
    pub fn add_escaped(&mut self, text: &[u8]) {
        // Once full it stays full, so that what is kept is a prefix.
        if self.overflow == 0 && self.escaped.len() + text.len() <= CAPACITY {
            self.escaped.extend_from_slice(text);
        } else {
            self.overflow = self.overflow.saturating_add(text.len() as u64);
        }
    }

    /// Adds plain text.
    pub fn add(&mut self, text: &str) {
        let mut escaped = Vec::with_capacity(text.len());
        json::escape_into(text, &mut escaped);
        self.add_escaped(&escaped);
    }

    pub(super) fn ends_with(&self, text: &[u8]) -> bool {
        self.escaped.ends_with(text)
    }

    /// Bytes added.
    pub fn len(&self) -> u64 {
        self.overflow.saturating_add(self.escaped.len() as u64)
    }

    /// True where nothing was said.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The text kept: all of it up to 256 KiB.
    pub fn text(&self) -> String {
        json::unescape(&self.escaped).into_owned()
    }

    /// Estimated tokens in the model's own tokenizer, or the nearest there is.
    pub fn tokens(&self, model: &str) -> u64 {
        tokens::count(model, &json::unescape(&self.escaped)).saturating_add(self.overflow / tokens::BYTES_PER_TOKEN)
    }
}

//! The shape of a stream's chunks. From one to the next little changes but the text, so once a chunk was read in full, the
//! next one is compared with it instead, and only its strings that vary are read.
//!
//! ```text
//!  data: {"id":"c1","model":"m","choices":[{"index":0,"delta":{"content":"Hel"},"finish_reason":null}]}
//!  └──────────────── the same ─────────────────────────────────────────┘ │ └──────── the same ────────┘
//!                                                                     a string
//! ```
//! Where all but a string's plain characters is the same, both are JSON of the same structure.

use super::openai::View;
use crate::json::{self, Span};

/// The last chunk that was read in full, if chunks like it can be told by comparing.
#[derive(Default)]
pub(super) struct Pattern {
    /// The event's bytes; empty = nothing to compare with.
    event: Vec<u8>,
    /// What stands between the quotes of the strings that vary, in order.
    holes: Vec<Hole>,
    /// The value of `model`; it comes before every hole, so it lies there in the chunks that fit as well.
    pub(super) model: Option<Span>,
}

struct Hole {
    at: Span,
    /// Output text, not padding.
    spoken: bool,
}

impl Pattern {
    /// Remembers a chunk. One that ends a choice, counts tokens or says nothing is like no other, and leaves things as they are.
    pub(super) fn learn(&mut self, view: &View<'_>) {
        let chunk = &view.chunk;
        let ordinary = !chunk.finish && !chunk.error && chunk.usage.is_none_or(|usage| usage.len() == b"null".len());
        let (Some(spoken), Some(data), true) = (chunk.spoken, view.fields.data_at, ordinary) else {
            return;
        };
        let within = |span: Span| Span { start: data.start + span.start, end: data.start + span.end };
        self.event.clear();
        self.holes.clear();
        self.holes.push(Hole { at: within(spoken), spoken: true });
        if let Some(padding) = chunk.padding {
            let inside = Span { start: padding.start + 1, end: padding.end - 1 };
            self.holes.push(Hole { at: within(inside), spoken: false });
            self.holes.sort_unstable_by_key(|hole| hole.at.start);
        }
        let first = self.holes.first().map_or(0, |hole| hole.at.start);
        self.model = chunk.model.map(within);
        // An event that ends in a lone CR may have its LF still to come.
        let ended = view.event.raw.ends_with(b"\n");
        if ended && chunk.x_groq.is_none() && self.model.is_none_or(|model| model.end < first) {
            self.event.extend_from_slice(&view.event.raw);
        }
    }

    /// The output text of an event like the one remembered, between its quotes; `None` = it must be read in full.
    pub(super) fn spoken<'a>(&self, event: &'a [u8]) -> Option<&'a [u8]> {
        if self.event.is_empty() {
            return None;
        }
        let (mut rest, mut begin, mut spoken) = (event, 0, None);
        for hole in &self.holes {
            rest = rest.strip_prefix(Span { start: begin, end: hole.at.start }.of(&self.event))?;
            // The quote that must follow is where the next range of the remembered event begins.
            let (inside, after) = rest.split_at_checked(json::plain_prefix(rest))?;
            std::str::from_utf8(inside).ok()?;
            if hole.spoken {
                spoken = Some(inside);
            }
            (rest, begin) = (after, hole.at.end);
        }
        spoken.filter(|_| self.event.get(begin..) == Some(rest))
    }
}

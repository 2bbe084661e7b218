//! Bytes for the client, gathered over one frame; the frame itself where nothing changed.

use bytes::{Bytes, BytesMut};

use crate::{json::Span, sse::Event};

pub(crate) struct Output {
    frame: Bytes,
    /// Range of the frame kept and not yet copied; grows while events adjoin.
    run: Span,
    copied: BytesMut,
}

impl Output {
    /// For one frame. `spare` is what [`Output::finish`] gave back, so that its room is used again.
    pub(crate) fn new(frame: Bytes, spare: BytesMut) -> Self {
        Self { frame, run: Span { start: 0, end: 0 }, copied: spare }
    }

    /// Passes an event on as it is.
    pub(crate) fn keep(&mut self, event: &Event) {
        match event.at {
            Some(at) if at == self.run.end && !self.run.is_empty() => {
                self.run.end += event.raw.len();
            }
            Some(at) => {
                self.flush();
                self.run = Span { start: at, end: at + event.raw.len() };
            }
            None => self.write(&event.raw),
        }
    }

    /// Passes an event on with `new` in place of `old`, a range of its bytes.
    pub(crate) fn keep_changed(&mut self, event: &Event, old: Span, new: &[u8]) {
        self.flush();
        self.copied.extend_from_slice(event.raw.get(..old.start).unwrap_or_default());
        self.copied.extend_from_slice(new);
        self.copied.extend_from_slice(event.raw.get(old.end..).unwrap_or_default());
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.flush();
        self.copied.extend_from_slice(bytes);
    }

    /// The bytes, and what can be given to the next output.
    pub(crate) fn finish(mut self) -> (Bytes, BytesMut) {
        if self.copied.is_empty() {
            return (self.frame.slice(self.run.start..self.run.end), self.copied);
        }
        self.flush();
        (self.copied.split().freeze(), self.copied)
    }

    fn flush(&mut self) {
        if self.copied.is_empty() {
            // Once for the frame, with room for a longer model name in a few events; the old room if it is free again.
            self.copied.reserve(self.frame.len() + self.frame.len() / 4 + 64);
        }
        let run = std::mem::replace(&mut self.run, Span { start: 0, end: 0 });
        self.copied.extend_from_slice(run.of(&self.frame));
    }
}

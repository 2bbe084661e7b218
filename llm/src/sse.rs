//! Server-sent events out of frames cut anywhere (WHATWG HTML, section 9.2.6).
//!
//! Events that lie in one frame are slices of it; only what straddles frames is copied, each byte once.
//! Unlike a browser, this keeps comments and the exact bytes of each event, so that they can be passed on unchanged.

use bytes::{Buf, Bytes, BytesMut};

mod event;

pub use event::{Event, Fields};

/// Largest event accepted by [`Splitter::default`].
pub const MAX_EVENT_BYTES: usize = 1 << 20;

const BYTE_ORDER_MARK: &[u8] = &[0xEF, 0xBB, 0xBF];

/// An event larger than the splitter's bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is larger than {limit} bytes")]
pub struct EventTooLarge {
    /// The bound in bytes.
    pub limit: usize,
}

/// Cuts frames into events. Feed a frame, then take events until there is none.
#[derive(Debug)]
pub struct Splitter {
    limit: usize,
    frame: Bytes,
    /// First byte of `frame` not yet in an event.
    start: usize,
    /// Begin of an event whose end has not come yet.
    carry: BytesMut,
    /// Nothing of the present line has come yet.
    line_empty: bool,
    /// The last byte was a CR, so a LF that follows belongs to the same line end.
    after_cr: bool,
    /// No event was taken yet: a byte order mark may lead.
    first: bool,
}

impl Default for Splitter {
    fn default() -> Self {
        Self::new(MAX_EVENT_BYTES)
    }
}

impl Splitter {
    /// Refuses events of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            frame: Bytes::new(),
            start: 0,
            carry: BytesMut::new(),
            line_empty: true,
            after_cr: false,
            first: true,
        }
    }

    /// Hands in the next frame. What an earlier frame still held is kept.
    pub fn feed(&mut self, frame: Bytes) {
        if self.start < self.frame.len() {
            // The caller stopped early; its rest goes before the new frame.
            let mut joined = BytesMut::from(self.frame.get(self.start..).unwrap_or_default());
            joined.extend_from_slice(&frame);
            self.frame = joined.freeze();
        } else {
            self.frame = frame;
        }
        self.start = 0;
    }

    /// Everything handed in was taken, and ended with an event: a frame that comes now begins with one.
    pub(crate) fn is_between_events(&self) -> bool {
        self.start == self.frame.len() && self.carry.is_empty() && self.line_empty && !self.after_cr && !self.first
    }

    /// The next complete event, in order; `None` = the next frame is needed.
    ///
    /// # Errors
    /// The event is too large. Nothing more can be read then.
    pub fn next_event(&mut self) -> Result<Option<Event>, EventTooLarge> {
        let start = self.start;
        if self.after_cr && self.carry.is_empty() && self.frame.get(start) == Some(&b'\n') {
            self.after_cr = false;
            self.start += 1;
            let raw = self.frame.slice(start..self.start);
            return Ok(Some(Event::new(raw, Some(start), true)));
        }
        let Some(end) = self.find_end() else {
            let rest = self.frame.get(start..).unwrap_or_default();
            self.carry.extend_from_slice(rest);
            self.frame = Bytes::new();
            self.start = 0;
            return self.within_limit(self.carry.len()).map(|()| None);
        };
        self.within_limit(self.carry.len() + (end - start))?;
        self.start = end;
        let (raw, at) = if self.carry.is_empty() {
            (self.frame.slice(start..end), Some(start))
        } else {
            self.carry.extend_from_slice(self.frame.get(start..end).unwrap_or_default());
            (self.carry.split().freeze(), None)
        };
        Ok(Some(self.event(raw, at)))
    }

    /// The unfinished event that the stream ended in. Browsers drop it; some servers omit the last blank line.
    pub fn finish(&mut self) -> Option<Event> {
        let raw = self.carry.split().freeze();
        (!raw.is_empty()).then(|| self.event(raw, None))
    }

    fn event(&mut self, mut raw: Bytes, mut at: Option<usize>) -> Event {
        if std::mem::take(&mut self.first) && raw.starts_with(BYTE_ORDER_MARK) {
            raw.advance(BYTE_ORDER_MARK.len());
            at = at.map(|at| at + BYTE_ORDER_MARK.len());
        }
        Event::new(raw, at, false)
    }

    fn within_limit(&self, size: usize) -> Result<(), EventTooLarge> {
        if size > self.limit { Err(EventTooLarge { limit: self.limit }) } else { Ok(()) }
    }

    /// Index after the blank line that ends the event at `start`.
    fn find_end(&mut self) -> Option<usize> {
        let mut at = self.start;
        if let Some(byte) = self.frame.get(at) {
            if self.after_cr && *byte == b'\n' {
                at += 1;
            }
            self.after_cr = false;
        }
        loop {
            let rest = self.frame.get(at..).unwrap_or_default();
            let Some(length) = memchr::memchr2(b'\n', b'\r', rest) else {
                self.line_empty &= rest.is_empty();
                return None;
            };
            let blank = self.line_empty && length == 0;
            let line_end = at + length;
            at = line_end + 1;
            if self.frame.get(line_end) == Some(&b'\r') {
                match self.frame.get(at) {
                    Some(b'\n') => at += 1,
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            self.line_empty = true;
            if blank {
                return Some(at);
            }
        }
    }
}

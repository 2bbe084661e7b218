//! One line after the other out of frames cut anywhere, as newline-delimited JSON is sent.

use bytes::{Bytes, BytesMut};

use crate::sse::{EventTooLarge, MAX_EVENT_BYTES};

/// Cuts frames into lines. Feed a frame, then take lines until there is none.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// What came and was not taken yet.
    rest: BytesMut,
    /// Bytes of `rest` that are known to hold no line end.
    searched: usize,
    ended: bool,
}

impl Lines {
    /// Hands in the next bytes.
    pub(super) fn feed(&mut self, frame: &Bytes) {
        self.rest.extend_from_slice(frame);
    }

    /// Nothing more will come: what is left is a line.
    pub(super) fn finish(&mut self) {
        self.ended = true;
    }

    /// The next line, without its end.
    ///
    /// # Errors
    /// It is too large.
    pub(super) fn next_line(&mut self) -> Result<Option<Bytes>, EventTooLarge> {
        let unseen = self.rest.get(self.searched..).unwrap_or_default();
        let end = memchr::memchr(b'\n', unseen).map(|at| self.searched + at);
        if end.unwrap_or(self.rest.len()) > MAX_EVENT_BYTES {
            return Err(EventTooLarge { limit: MAX_EVENT_BYTES });
        }
        let Some(end) = end else {
            self.searched = self.rest.len();
            let last = self.ended && !self.rest.is_empty();
            return Ok(last.then(|| std::mem::take(&mut self.rest).freeze()));
        };
        self.searched = 0;
        let mut line = self.rest.split_to(end + 1);
        line.truncate(end);
        Ok(Some(line.freeze()))
    }
}

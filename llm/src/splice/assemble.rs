//! Puts kept ranges and new bytes in a row, sharing long ranges and copying short ones.

use bytes::{Bytes, BytesMut};

use super::Splices;
use crate::json::Span;

/// Below this, copying costs less than one more slice to reference, queue and hand to `writev`.
const SHARE_FROM: usize = 512;

/// Builds [`Splices`] from ranges of one body and new bytes, in order.
pub(super) struct Assembler<'a> {
    body: &'a Bytes,
    /// Kept range not yet written; grows while ranges adjoin.
    run: Span,
    /// Short pieces not yet a slice of their own.
    small: BytesMut,
    done: Splices,
}

impl<'a> Assembler<'a> {
    pub(super) fn new(body: &'a Bytes) -> Self {
        Self { body, run: Span { start: 0, end: 0 }, small: BytesMut::new(), done: Splices::default() }
    }

    /// Goes on with a range of the body.
    pub(super) fn keep(&mut self, range: Span) {
        if self.run.end == range.start {
            self.run.end = range.end;
        } else {
            self.flush_run();
            self.run = range;
        }
    }

    /// Goes on with other bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.flush_run();
        self.small.extend_from_slice(bytes);
    }

    /// Goes on with other bytes that may be shared.
    pub(super) fn share(&mut self, bytes: &Bytes) {
        if bytes.len() < SHARE_FROM {
            self.write(bytes);
        } else {
            self.flush_run();
            self.flush_small();
            self.done.push(bytes.clone());
        }
    }

    pub(super) fn finish(mut self) -> Splices {
        self.flush_run();
        self.flush_small();
        self.done
    }

    fn flush_run(&mut self) {
        let run = std::mem::replace(&mut self.run, Span { start: usize::MAX, end: usize::MAX });
        if run.len() < SHARE_FROM {
            self.small.extend_from_slice(run.of(self.body));
        } else {
            self.flush_small();
            self.done.push(self.body.slice(run.start..run.end));
        }
    }

    fn flush_small(&mut self) {
        self.done.push(self.small.split().freeze());
    }
}

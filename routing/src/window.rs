//! Counts over the last while, without a lock.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::Moment;

/// How many there were in the last `N` spans of equal width, the current one included.
#[derive(Debug)]
pub(crate) struct Window<const N: usize> {
    /// Microseconds.
    width: u64,
    /// The number of a span in the upper half, its count in the lower.
    spans: [AtomicU64; N],
}

impl<const N: usize> Window<N> {
    /// Counts over `N` spans of `width`.
    pub(crate) const fn new(width: Duration) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a const fn has no fallible conversion; widths are below a day"
        )]
        let width = width.as_micros() as u64;
        Self { width: if width == 0 { 1 } else { width }, spans: [const { AtomicU64::new(0) }; N] }
    }

    /// Counts one.
    pub(crate) fn add(&self, now: Moment) {
        self.add_all(now, 1);
    }

    /// Counts so many; no more than 2^32 may come in a span. Two atomics.
    pub(crate) fn add_all(&self, now: Moment, count: u32) {
        let span = self.span(now);
        let Some(slot) = usize::try_from(span).ok().and_then(|span| self.spans.get(span % N)) else { return };
        let seen = slot.load(Relaxed);
        // A count that others lose while they begin a span at the same time is not worth a loop.
        if seen >> 32 != span && slot.compare_exchange(seen, (span << 32) | u64::from(count), Relaxed, Relaxed).is_ok()
        {
            return;
        }
        slot.fetch_add(count.into(), Relaxed);
    }

    /// How many there were.
    pub(crate) fn sum(&self, now: Moment) -> u64 {
        let span = self.span(now);
        let oldest = (span + 1).saturating_sub(N as u64);
        let counts = self.spans.iter().map(|slot| slot.load(Relaxed));
        counts.filter(|seen| (oldest..=span).contains(&(seen >> 32))).map(|seen| seen & u64::from(u32::MAX)).sum()
    }

    fn span(&self, now: Moment) -> u64 {
        (now.0 / self.width) & u64::from(u32::MAX)
    }
}

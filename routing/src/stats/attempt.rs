//! One attempt at a backend, from its begin to its end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use super::Stats;
use crate::{Moment, backend::Live};

/// In flight until it is dropped.
#[derive(Debug)]
pub struct Attempt {
    live: Arc<Live>,
    began: Moment,
    expected: u64,
    /// Microseconds from the begin to the first token, but at least 1; 0 = none yet.
    first: AtomicU64,
}

impl Attempt {
    pub(super) fn new(live: Arc<Live>, began: Moment, expected: u64) -> Self {
        Self { live, began, expected, first: AtomicU64::new(0) }
    }

    /// The first token of a stream has come. Only the first call counts; not for answers that come whole.
    pub fn first_token(&self, now: Moment) {
        let waited = u64::try_from(now.since(self.began).as_micros()).unwrap_or(u64::MAX).max(1);
        // The one who loses the race waited no less.
        let _ = self.first.compare_exchange(0, waited, Relaxed, Relaxed);
    }

    /// Time since its begin.
    pub fn age(&self, now: Moment) -> Duration {
        now.since(self.began)
    }

    /// The backend answered, whole: `tokens` of prompt and answer, of which `output` were the answer's.
    pub fn succeeded(self, now: Moment, tokens: u64, output: u64) {
        let first = self.first.load(Relaxed);
        let first = (first > 0).then(|| Duration::from_micros(first));
        let took = self.age(now);
        self.live.counted().for_each(|stats| stats.measured(now, first, took, output));
        self.used(now, tokens);
    }

    /// The backend did not answer, or broke off: `tokens` as far as known.
    pub fn failed(self, now: Moment, tokens: u64) {
        let took = self.age(now);
        self.live.counted().for_each(|stats| stats.failed(now, took));
        self.used(now, tokens);
    }

    fn used(&self, now: Moment, tokens: u64) {
        let more = tokens.saturating_sub(self.expected);
        self.live.counted().for_each(|stats| stats.used(now, more));
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.live.counted().for_each(Stats::end);
    }
}

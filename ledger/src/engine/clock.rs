//! The store's time without asking the store: learned with each answer, carried on by the machine's steady clock.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use tokio::time::Instant;

/// A moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The store's time, microseconds since the epoch: says which window is open. It may jump.
    pub time: i64,
    /// Microseconds since the start: says how long something takes. It does not.
    pub steady: i64,
}

/// Microseconds since the epoch, as the store counts them. The system clock's steps do not reach it.
#[derive(Debug)]
pub struct Clock {
    base: Instant,
    /// The store's time at `base`.
    offset: AtomicI64,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// Starts from the system clock, until the store is heard.
    pub fn new() -> Self {
        Self { base: Instant::now(), offset: AtomicI64::new(Timestamp::now().as_microsecond()) }
    }

    /// Now.
    pub fn now(&self) -> Now {
        let steady = micros(self.base.elapsed());
        Now { time: self.offset.load(Ordering::Relaxed).saturating_add(steady), steady }
    }

    /// The store said `now` in answer to what was asked at `asked`.
    pub(super) fn learn(&self, now: i64, asked: Instant) {
        // Between the question and its answer; the middle errs least.
        let at = micros(asked.duration_since(self.base)) + micros(asked.elapsed()) / 2;
        self.offset.store(now.saturating_sub(at), Ordering::Relaxed);
    }
}

fn micros(time: std::time::Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

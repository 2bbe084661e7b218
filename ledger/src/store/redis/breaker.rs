//! When to leave a failing server alone: pure functions of a clock value.

use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row until it is left alone.
const TOLERATED: u32 = 3;
/// First pause; it doubles with each failure that follows it.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What a result changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing.
    None,
    /// It is left alone from now on, but for a try now and then.
    Opened,
    /// It works again.
    Closed,
}

/// Counts failures in a row.
#[derive(Debug)]
pub struct Breaker {
    failures: u32,
    /// The longest pause.
    longest: Duration,
    /// Not to be asked before.
    until: Option<Instant>,
}

impl Default for Breaker {
    fn default() -> Self {
        Self::trying_within(LONGEST_PAUSE)
    }
}

impl Breaker {
    /// One that is never left alone for longer than this.
    pub fn trying_within(longest: Duration) -> Self {
        Self { failures: 0, longest, until: None }
    }

    /// Whether to ask.
    pub fn allows(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now >= until)
    }

    /// It answered.
    pub fn succeeded(&mut self) -> Turn {
        let was_open = self.until.is_some();
        *self = Self::trying_within(self.longest);
        if was_open { Turn::Closed } else { Turn::None }
    }

    /// It did not.
    pub fn failed(&mut self, now: Instant) -> Turn {
        self.failures = self.failures.saturating_add(1);
        if self.failures < TOLERATED {
            return Turn::None;
        }
        let doubled = PAUSE.saturating_mul(1 << (self.failures - TOLERATED).min(10));
        let was_open = self.until.replace(now + doubled.min(self.longest)).is_some();
        if was_open { Turn::None } else { Turn::Opened }
    }
}

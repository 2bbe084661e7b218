//! When news is told: at once, unless it is about to be completed or comes faster than it can be handled.

use std::time::Duration;

use tokio::time::Instant;

/// Longest wait of news for Secrets that are read for the first time.
pub const FIRST_READ: Duration = Duration::from_millis(250);
/// A picture takes some time to make; the next one waits this many times as long, so that a flood of changes leaves time
/// for the rest of the process.
pub const REST: u32 = 4;

/// Decides when the next picture is sent.
#[derive(Debug, Default)]
pub struct Pace {
    /// When the oldest news came that has not been told.
    since: Option<Instant>,
    rest: Option<Instant>,
    due: Option<Instant>,
}

impl Pace {
    /// Whether news that is there at `now` is told; `is_awaiting`: more of it is about to come.
    pub fn allows(&mut self, now: Instant, is_awaiting: bool) -> bool {
        let since = *self.since.get_or_insert(now);
        let first_read = is_awaiting.then(|| since + FIRST_READ);
        self.due = self.rest.max(first_read).filter(|until| *until > now);
        self.due.is_none()
    }

    /// Notes a picture that was made from `start` to `end`.
    pub fn sent(&mut self, start: Instant, end: Instant) {
        *self = Self { since: None, rest: Some(end + end.duration_since(start) * REST), due: None };
    }

    /// When held news is due; `None` = none is held.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Waits until held news is due; for ever where none is.
    pub(super) async fn pause(&self) {
        match self.due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }
}

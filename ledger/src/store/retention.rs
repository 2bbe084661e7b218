//! When a store forgets old rows: now and then, after a batch.

use std::time::Duration;

use tokio::time::Instant;

/// Between looks for what is too old, and after one that failed.
const PAUSE: Duration = Duration::from_hours(1);
const PAUSE_AFTER_FAILURE: Duration = Duration::from_mins(10);

/// How long rows are kept.
#[derive(Debug, Default)]
pub(super) struct Retention {
    days: Option<u32>,
    /// Not before; `None` = at once.
    next: Option<Instant>,
}

impl Retention {
    /// This many whole days, UTC, before today; `None` = for ever.
    pub(super) fn days(days: Option<u32>) -> Self {
        Self { days, next: None }
    }

    /// The same for another connection.
    pub(super) fn again(&self) -> Self {
        Self::days(self.days)
    }

    /// The days to keep, when it is time to look.
    pub(super) fn due(&self) -> Option<u32> {
        let now = Instant::now();
        self.days.filter(|_| self.next.is_none_or(|next| now >= next))
    }

    /// One line, where it failed: rows are then kept a little longer.
    pub(super) fn done(&mut self, result: Result<(), sqlx::Error>) {
        let pause = match result {
            Ok(()) => PAUSE,
            Err(error) => {
                tracing::warn!(%error, "old spend rows were not deleted; it is tried again");
                PAUSE_AFTER_FAILURE
            }
        };
        self.next = Some(Instant::now() + pause);
    }
}

//! When a generated key is replaced and how long the one before it goes on working: `spec.rotation` in durations.

use std::time::Duration;

use thiserror::Error;

use crate::{DurationError, virtual_key::Rotation};

/// How long a replaced key works unless something else is said; never more than half of the interval.
pub const DEFAULT_OVERLAP: Duration = Duration::from_hours(24);
/// Shortest interval, so that nobody has keys replaced without end.
pub const MIN_INTERVAL: Duration = Duration::from_mins(1);

/// When a generated key is replaced. The default is what holds without `spec.rotation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Between two replacements; `None` = only when asked for.
    pub interval: Option<Duration>,
    /// How long the replaced key works beside the new one; zero = not at all.
    pub overlap: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { interval: None, overlap: DEFAULT_OVERLAP }
    }
}

/// Why a rotation is not understood. The schema refuses all of these; a folder of manifests has only this check.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RotationError {
    /// The interval is not a duration.
    #[error("rotation.interval: {0}")]
    Interval(DurationError),
    /// The overlap is not a duration.
    #[error("rotation.overlap: {0}")]
    Overlap(DurationError),
    /// The interval is below [`MIN_INTERVAL`].
    #[error("rotation.interval must be at least 1m")]
    TooShort,
    /// The overlap does not end before the next replacement.
    #[error("rotation.overlap must be shorter than rotation.interval")]
    OverlapTooLong,
}

impl Rotation {
    /// The durations, with the default overlap filled in.
    pub fn schedule(&self) -> Result<Schedule, RotationError> {
        let interval = self.interval.parse().map_err(RotationError::Interval)?;
        if interval < MIN_INTERVAL {
            return Err(RotationError::TooShort);
        }
        let overlap = match &self.overlap {
            None => DEFAULT_OVERLAP.min(interval / 2),
            Some(overlap) => overlap.parse().map_err(RotationError::Overlap)?,
        };
        if overlap >= interval {
            return Err(RotationError::OverlapTooLong);
        }
        Ok(Schedule { interval: Some(interval), overlap })
    }
}

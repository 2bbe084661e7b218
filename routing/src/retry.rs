//! How often a failed request is tried again, and after which pause.

use std::time::Duration;

use crate::{
    failure::{Cause, Failure},
    group::Retry,
    luck,
};

/// Longest wait between two attempts that is worth making the client wait for.
pub const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// Further attempts in one group, whatever was asked for.
const MOST: u8 = 10;
/// Upper bound of the first pause; doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Upper bound of a pause that no backend asked for.
const LONGEST_BACKOFF: Duration = Duration::from_secs(8);
/// So that those who wait for one moment do not all come at it.
const SPREAD: Duration = Duration::from_millis(250);

impl Retry {
    /// Further attempts after such a failure; `asked` is what the request itself says.
    pub fn attempts(&self, failure: &Failure, asked: Option<u8>) -> u8 {
        let configured = |cause| self.by_cause.iter().find(|(of, _)| *of == cause).map_or(0, |(_, attempts)| *attempts);
        // Asked again, these cost a second time or fail alike: the policy must say so, the request may only say how often.
        let reluctant = |cause| match configured(cause) {
            0 => 0,
            attempts => asked.unwrap_or(attempts),
        };
        let attempts = match failure.cause {
            Cause::Client | Cause::ContextWindow => 0,
            Cause::ContentPolicy => reluctant(Cause::ContentPolicy),
            Cause::Timeout if failure.sent => reluctant(Cause::Timeout),
            // Not reached in time, or a backend that lacks what the others have: a fault like any other.
            Cause::Timeout | Cause::NotFound => asked.unwrap_or_else(|| configured(Cause::ServerError)),
            cause @ (Cause::Authentication | Cause::RateLimit | Cause::ServerError | Cause::ColdStart) => {
                asked.unwrap_or_else(|| configured(cause))
            }
        };
        attempts.min(MOST)
    }
}

/// Whether the member that failed so may be asked again by the same request.
pub fn same_member(cause: Cause) -> bool {
    match cause {
        Cause::RateLimit | Cause::Timeout | Cause::ServerError | Cause::ColdStart | Cause::ContentPolicy => true,
        Cause::Client | Cause::ContextWindow | Cause::Authentication | Cause::NotFound => false,
    }
}

/// Pause before a member is asked again: what it asked for, else exponential with full jitter. `None` = longer than is left,
/// or than anybody should wait.
pub fn pause(told: Option<Duration>, earlier: u8, left: Duration, draw: u64) -> Option<Duration> {
    let pause = if let Some(told) = told {
        if told > LONGEST_PAUSE {
            return None;
        }
        told + luck::up_to(SPREAD, draw)
    } else {
        let bound = FIRST_PAUSE.saturating_mul(1 << earlier.min(MOST)).min(LONGEST_BACKOFF);
        luck::up_to(bound, draw)
    };
    (pause < left).then_some(pause)
}

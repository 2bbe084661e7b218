//! Backends that do what a script says.

use std::time::Duration;

use turnpike_routing::{
    Moment,
    failure::{Cause, Failure},
    hash,
};

/// How a backend behaves for a while.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mood {
    /// Answers after about this many milliseconds.
    Well(u64),
    /// Answers after this many milliseconds, times one and the requests it already has for each `capacity`.
    Loaded { ms: u64, capacity: u64 },
    /// Fails this part of requests, in percent, and answers the others after 100 ms.
    Flaky(u64),
    /// Refuses connections.
    Dead,
    /// Takes requests and says nothing: the caller's time limit ends them.
    Hung,
    /// Answers so many a second after 100 ms, the others with 429 and this Retry-After in seconds.
    Limited { rate: u64, retry_after: Option<u64> },
    /// Has no replica.
    Cold,
    /// Refuses all for what the client sent.
    Picky,
}

/// Time limit of whoever calls.
pub(super) const FIRST_BYTE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Backend {
    /// From which second on which mood.
    pub(super) script: Vec<(u64, Mood)>,
    /// Whether it answers probes; `None` = as it answers requests.
    pub(super) probe: Option<bool>,
    pub(super) in_flight: u64,
    /// Requests in the current second.
    second: (u64, u64),
    /// It asked to be left alone until then.
    quiet_until: Moment,
    /// Requests that came although it had asked to be left alone.
    pub(super) disturbed: u64,
}

impl Backend {
    pub(super) fn new(script: &[(u64, Mood)]) -> Self {
        Self {
            script: script.to_vec(),
            probe: None,
            in_flight: 0,
            second: (0, 0),
            quiet_until: Moment::default(),
            disturbed: 0,
        }
    }

    pub(super) fn mood(&self, now: Moment) -> Mood {
        let begun = self.script.iter().take_while(|(from, _)| from * 1_000_000 <= now.0);
        begun.last().expect("a script begins at 0").1
    }

    pub(super) fn answers_probe(&self, now: Moment) -> bool {
        self.probe.unwrap_or(!matches!(self.mood(now), Mood::Dead | Mood::Hung))
    }

    /// What becomes of a request, and when.
    pub(super) fn ask(&mut self, now: Moment, draw: u64) -> (Duration, Result<(), Failure>) {
        let second = now.0 / 1_000_000;
        self.second = if self.second.0 == second { (second, self.second.1 + 1) } else { (second, 1) };
        self.disturbed += u64::from(now < self.quiet_until);
        let about = |ms: u64| Duration::from_micros(ms * (500 + hash::both(draw, 1) % 1000));
        let failed = |cause, sent, retry_after| Err(Failure { cause, sent, retry_after });
        match self.mood(now) {
            Mood::Well(ms) => (about(ms), Ok(())),
            Mood::Loaded { ms, capacity } => {
                (about(ms) * (100 + 100 * self.in_flight as u32 / capacity as u32) / 100, Ok(()))
            }
            Mood::Flaky(percent) if draw % 100 < percent => (about(20), failed(Cause::ServerError, true, None)),
            Mood::Flaky(_) => (about(100), Ok(())),
            Mood::Dead => (Duration::from_millis(1), failed(Cause::ServerError, false, None)),
            Mood::Hung => (FIRST_BYTE, failed(Cause::Timeout, true, None)),
            Mood::Limited { rate, .. } if self.second.1 <= rate => (about(100), Ok(())),
            Mood::Limited { retry_after, .. } => {
                let rest = retry_after.map(Duration::from_secs);
                self.quiet_until = now.after(Duration::from_millis(5)).after(rest.unwrap_or_default());
                (Duration::from_millis(5), failed(Cause::RateLimit, false, rest))
            }
            Mood::Cold => (Duration::from_millis(2), failed(Cause::ColdStart, false, None)),
            Mood::Picky => (Duration::from_millis(5), failed(Cause::Client, false, None)),
        }
    }
}

//! What was seen of one backend: how busy it is, how fast, how much it was used.
//!
//! Written by every request and read by every choice, so all of it is atomics: no lock, and no more than a few of them at
//! the begin and the end of an attempt. Readers may see one number newer than another; a choice is a guess anyway.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

mod attempt;
mod ewma;
mod histogram;

pub use attempt::Attempt;
use ewma::Ewma;
use histogram::Histogram;

use crate::{Moment, backend::Live, window::Window};

/// Without a new measurement for this long, an estimate may be wrong: the backend gets a request to find out.
pub const STALE: Duration = Duration::from_secs(30);
/// One such request in this time, until a measurement comes.
pub const PROBE_EVERY: Duration = Duration::from_secs(5);

/// A minute and what has passed of the next span: a rate is never exceeded because a span went out too soon.
type Minute = Window<13>;
const SPAN: Duration = Duration::from_secs(5);

/// Numbers of one backend.
#[derive(Debug)]
pub struct Stats {
    in_flight: AtomicU32,
    requests: Minute,
    tokens: Minute,
    first_token: Ewma,
    per_token: Ewma,
    waits: Histogram,
    /// Begin of the last attempt in microseconds, but at least 1; 0 = never.
    last: AtomicU64,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            in_flight: AtomicU32::default(),
            requests: Window::new(SPAN),
            tokens: Window::new(SPAN),
            first_token: Ewma::default(),
            per_token: Ewma::default(),
            waits: Histogram::default(),
            last: AtomicU64::default(),
        }
    }
}

impl Live {
    /// An attempt is sent to this backend now. `expected` tokens count against its rates at once, prompt and answer; what it
    /// really used beyond them is added at the end. Keep the result as long as the attempt lasts, in the response's body too:
    /// its drop ends it as one that was given up.
    pub fn begin(self: &Arc<Self>, now: Moment, expected: u64) -> Attempt {
        self.counted().for_each(|stats| stats.begin(now, expected));
        Attempt::new(Arc::clone(self), now, expected)
    }
}

impl Stats {
    /// Attempts that have begun and not ended.
    pub fn in_flight(&self) -> u64 {
        u64::from(self.in_flight.load(Relaxed))
    }

    /// Attempts of the last minute.
    pub fn requests(&self, now: Moment) -> u64 {
        self.requests.sum(now)
    }

    /// Tokens of the last minute, prompts and answers.
    pub fn tokens(&self, now: Moment) -> u64 {
        self.tokens.sum(now)
    }

    /// Time to the first token of a stream, as the last seconds were; `None` = never seen.
    pub fn first_token(&self) -> Option<Duration> {
        self.first_token.mean()
    }

    /// Time for each token of an answer, likewise.
    pub fn per_token(&self) -> Option<Duration> {
        self.per_token.mean()
    }

    /// How long the first token of `percentile` % of the last few hundred streams took at most; `None` = too few of them.
    pub fn first_token_percentile(&self, percentile: u8) -> Option<Duration> {
        self.waits.percentile(percentile)
    }

    /// Time that an answer of `output` tokens takes; `None` = nothing was seen of it.
    pub fn expected(&self, output: u64) -> Option<Duration> {
        let output = u32::try_from(output).unwrap_or(u32::MAX);
        let tokens = self.per_token.mean().map(|each| each.saturating_mul(output));
        match (self.first_token.mean(), tokens) {
            (None, None) => None,
            (first, tokens) => Some(first.unwrap_or_default().saturating_add(tokens.unwrap_or_default())),
        }
    }

    /// Whether nothing was measured for [`STALE`].
    pub fn is_stale(&self, now: Moment) -> bool {
        let fresh = |ewma: &Ewma| ewma.age(now).is_some_and(|age| age < STALE);
        !fresh(&self.first_token) && !fresh(&self.per_token)
    }

    /// Whether nothing was sent to it for [`PROBE_EVERY`].
    pub fn is_probe_due(&self, now: Moment) -> bool {
        let last = self.last.load(Relaxed);
        last == 0 || now.since(Moment(last)) >= PROBE_EVERY
    }

    /// Claims the right to try a stale backend; true for one caller where it is due.
    pub fn claim_probe(&self, now: Moment) -> bool {
        let last = self.last.load(Relaxed);
        self.is_probe_due(now) && self.last.compare_exchange(last, now.0.max(1), Relaxed, Relaxed).is_ok()
    }

    fn begin(&self, now: Moment, expected: u64) {
        self.in_flight.fetch_add(1, Relaxed);
        self.requests.add(now);
        self.used(now, expected);
        self.last.store(now.0.max(1), Relaxed);
    }

    fn used(&self, now: Moment, tokens: u64) {
        if tokens > 0 {
            self.tokens.add_all(now, u32::try_from(tokens).unwrap_or(u32::MAX));
        }
    }

    fn end(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    /// The measurements of an attempt that gave an answer.
    fn measured(&self, now: Moment, first: Option<Duration>, took: Duration, output: u64) {
        if let Some(first) = first {
            self.first_token.add(now, first);
            self.waits.add(first);
        }
        let output = u32::try_from(output).unwrap_or(u32::MAX);
        match (first, output) {
            // Nothing is generated token by token: its whole time is the wait.
            (None, 0) => self.first_token.add(now, took),
            (Some(first), 2..) => self.per_token.add(now, took.saturating_sub(first) / output.saturating_sub(1)),
            (Some(_), _) => {}
            (None, _) => {
                let first = self.first_token.mean().unwrap_or_default();
                self.per_token.add(now, took.saturating_sub(first) / output);
            }
        }
    }

    /// An attempt failed after `took`: no measurement, unless it was slower than what was expected.
    fn failed(&self, now: Moment, took: Duration) {
        if self.first_token.mean().is_some_and(|mean| took > mean) {
            self.first_token.add(now, took);
        }
    }
}

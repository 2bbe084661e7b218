//! When to try again after a failure: sooner after a conflict, later each time, never all at once.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

/// First wait after an error.
const FIRST: Duration = Duration::from_millis(200);
/// First wait after a conflict: somebody else wrote, and a second look is likely to succeed.
const FIRST_CONFLICT: Duration = Duration::from_millis(50);
/// Longest wait.
const LONGEST: Duration = Duration::from_mins(1);
/// Doublings after which every wait is the longest.
const DOUBLINGS: u32 = 12;

/// Why something has to be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The object has changed since it was read (409).
    Conflict,
    /// Anything else.
    Error,
}

impl Failure {
    /// What an answer of the apiserver means for the next try.
    pub fn of(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.is_conflict() && !status.is_already_exists() => Self::Conflict,
            _ => Self::Error,
        }
    }
}

/// An error of the apiserver in one line, without the dump that its own Display adds.
pub fn brief(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({} {})", status.message, status.code, status.reason),
        other => {
            let sources = std::iter::successors(std::error::Error::source(other), |error| error.source());
            sources.fold(other.to_string(), |mut text, source| {
                let source = source.to_string();
                if !text.contains(&source) {
                    text = format!("{text}: {source}");
                }
                text
            })
        }
    }
}

/// How often one thing has failed in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
    conflicts: u32,
}

impl Backoff {
    /// Notes a failure and says how long to wait: between half of the current step and all of it. `jitter` is drawn from 0..1.
    pub fn fail(&mut self, failure: Failure, jitter: f64) -> Duration {
        let (first, count) = match failure {
            Failure::Conflict => (FIRST_CONFLICT, &mut self.conflicts),
            Failure::Error => (FIRST, &mut self.failures),
        };
        let step = first.saturating_mul(1 << (*count).min(DOUBLINGS)).min(LONGEST);
        *count = count.saturating_add(1);
        step.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
    }
}

/// What waits to be tried again, by object.
#[derive(Clone, Debug)]
pub struct Retries<K> {
    waiting: BTreeMap<K, (Backoff, Instant)>,
}

impl<K> Default for Retries<K> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new() }
    }
}

impl<K: Ord + Clone> Retries<K> {
    /// Notes that `key` has failed, and when it is due again. `jitter` as for [`Backoff::fail`].
    pub fn fail(&mut self, key: K, failure: Failure, now: Instant, jitter: f64) -> Instant {
        let (backoff, due) = self.waiting.entry(key).or_insert((Backoff::default(), now));
        *due = now + backoff.fail(failure, jitter);
        *due
    }

    /// Forgets the failures of `key`: it has succeeded, or is gone.
    pub fn forget(&mut self, key: &K) {
        self.waiting.remove(key);
    }

    /// Whether `key` has failed and is not due yet.
    pub fn waits(&self, key: &K, now: Instant) -> bool {
        self.waiting.get(key).is_some_and(|(_, due)| *due > now)
    }

    /// Everything that has failed and may be tried now.
    pub fn due(&self, now: Instant) -> Vec<K> {
        self.waiting.iter().filter(|(_, (_, due))| *due <= now).map(|(key, _)| key.clone()).collect()
    }

    /// When the next one is due; in the past if one is due already.
    pub fn next(&self) -> Option<Instant> {
        self.waiting.values().map(|(_, due)| *due).min()
    }
}

/// A fresh jitter, 0..1.
pub fn jitter() -> f64 {
    rand::random()
}

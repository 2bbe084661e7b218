//! What was seen of a group: how many requests, retries and overflows.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{Moment, group::Fallback, window::Window};

/// Retries are at most this part of requests: one in five...
const RETRIES_ONE_IN: u64 = 5;
/// ...and these, so that a group that is asked seldom retries at all.
const RETRIES_AT_LEAST: u64 = 10;

/// Over the last 30 seconds.
type Recent = Window<10>;
/// Over the last hour, and the begun minute before it: what went on is not forgotten too soon.
type Hour = Window<61>;

/// What was seen of a group; outlives reloads.
#[derive(Debug)]
pub struct Traffic {
    requests: Recent,
    retries: Recent,
    hour: Hour,
    /// Requests that went on to each fallback, by target.
    overflow: Mutex<BTreeMap<Arc<str>, Hour>>,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            requests: Window::new(Duration::from_secs(3)),
            retries: Window::new(Duration::from_secs(3)),
            hour: Window::new(Duration::from_mins(1)),
            overflow: Mutex::default(),
        }
    }
}

impl Traffic {
    /// A request came.
    pub fn arrived(&self, fallbacks: &[Fallback], now: Moment) {
        self.requests.add(now);
        if fallbacks.iter().any(|fallback| fallback.max_percent.is_some()) {
            self.hour.add(now);
        }
    }

    /// Whether one more attempt, a retry or a hedge, is within the budget.
    pub fn may_retry(&self, now: Moment) -> bool {
        self.retries.sum(now) < RETRIES_AT_LEAST + self.requests.sum(now) / RETRIES_ONE_IN
    }

    /// It is made.
    pub fn retried(&self, now: Moment) {
        self.retries.add(now);
    }

    /// Whether one more request may go on to this fallback; if so, it is counted.
    pub fn overflow(&self, fallback: &Fallback, now: Moment) -> bool {
        let Some(percent) = fallback.max_percent else { return true };
        let mut overflow = self.overflow.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = overflow.entry(Arc::clone(&fallback.target)).or_insert_with(|| Hour::new(Duration::from_mins(1)));
        let within = (gone.sum(now) + 1) * 100 <= self.hour.sum(now) * u64::from(percent);
        if within {
            gone.add(now);
        }
        within
    }
}

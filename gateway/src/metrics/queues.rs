//! Requests that wait for limits, and how long they waited.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use prometheus::{HistogramOpts, HistogramVec, IntGaugeVec, Opts, Registry};
use turnpike_ledger::account::Owner;

type Source = Box<dyn Fn() -> Vec<(Owner, usize)> + Send + Sync>;

/// Seconds; a wait has a bound.
const BUCKETS: [f64; 11] = [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

pub(super) struct Queues {
    waiting: IntGaugeVec,
    waited: HistogramVec,
    source: Mutex<Option<Source>>,
}

impl Queues {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let waiting = Opts::new(
            "turnpike_queued_requests",
            "Requests that wait for a rate or a place, by the object whose limit that is; none = no series.",
        );
        let waited = HistogramOpts::new(
            "turnpike_queue_wait_seconds",
            "Seconds that requests waited for limits, by whether they passed; those that did not wait are left out.",
        );
        let waiting = IntGaugeVec::new(waiting, &["limit"])?;
        let waited = HistogramVec::new(waited.buckets(BUCKETS.to_vec()), &["passed"])?;
        for passed in ["true", "false"] {
            waited.with_label_values(&[passed]);
        }
        registry.register(Box::new(waiting.clone()))?;
        registry.register(Box::new(waited.clone()))?;
        Ok(Self { waiting, waited, source: Mutex::default() })
    }

    pub(super) fn poll(&self, source: Source) {
        *self.source.lock().unwrap_or_else(PoisonError::into_inner) = Some(source);
    }

    pub(super) fn waited(&self, time: Duration, passed: bool) {
        let passed = if passed { "true" } else { "false" };
        self.waited.with_label_values(&[passed]).observe(time.as_secs_f64());
    }

    pub(super) fn refresh(&self) {
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiting.reset();
        for (owner, waiting) in source.iter().flat_map(|source| source()) {
            self.waiting.with_label_values(&[&owner.to_string()]).set(i64::try_from(waiting).unwrap_or(i64::MAX));
        }
    }
}

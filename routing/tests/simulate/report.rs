//! What was seen in a run.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use turnpike_routing::{Moment, failure::Cause};

#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) requests: u64,
    pub(super) attempts: u64,
    pub(super) hedges: u64,
    /// Requests whose client saw a failure; `None` = no member could take it.
    pub(super) failed: Vec<(Moment, Option<Cause>)>,
    /// When a request came, and how long its answer took to begin.
    pub(super) answered: Vec<(Moment, Duration)>,
    /// Attempts by second and backend.
    pub(super) asked: BTreeMap<u64, Vec<u64>>,
    /// Requests that went on to a fallback.
    pub(super) fell: BTreeMap<Arc<str>, u64>,
    /// For each backend, requests that came although it had asked to be left alone.
    pub(super) disturbed: Vec<u64>,
}

impl Report {
    /// Attempts for each request.
    pub(super) fn amplification(&self) -> f64 {
        self.attempts as f64 / self.requests as f64
    }

    /// Failures in 100,000 requests.
    pub(super) fn failures(&self) -> f64 {
        self.failed.len() as f64 * 100_000.0 / self.requests as f64
    }

    /// Time to the answer's begin that this part of the requests of these seconds needed at most.
    pub(super) fn percentile(&self, percent: usize, seconds: std::ops::Range<u64>) -> Duration {
        let within = self.answered.iter().filter(|(came, _)| seconds.contains(&(came.0 / 1_000_000)));
        let mut took: Vec<Duration> = within.map(|(_, took)| *took).collect();
        took.sort_unstable();
        took[(took.len() * percent / 100).min(took.len() - 1)]
    }

    /// The part of attempts that each backend gets in each second.
    pub(super) fn shares(&self, seconds: std::ops::Range<u64>) -> Vec<Vec<f64>> {
        let part = |counts: &Vec<u64>| {
            let all = counts.iter().sum::<u64>().max(1) as f64;
            counts.iter().map(|count| *count as f64 / all).collect()
        };
        self.asked.range(seconds).map(|(_, counts)| part(counts)).collect()
    }

    /// The part of attempts of these seconds that a backend gets.
    pub(super) fn share(&self, backend: usize, seconds: std::ops::Range<u64>) -> f64 {
        let shares = self.shares(seconds);
        shares.iter().map(|shares| shares[backend]).sum::<f64>() / shares.len() as f64
    }

    /// Attempts at a backend in these seconds.
    pub(super) fn attempts_at(&self, backend: usize, seconds: std::ops::Range<u64>) -> u64 {
        self.asked.range(seconds).map(|(_, counts)| counts[backend]).sum()
    }

    /// Standard deviation of a backend's share from second to second.
    pub(super) fn unrest(&self, backend: usize, seconds: std::ops::Range<u64>) -> f64 {
        let mean = self.share(backend, seconds.clone());
        let shares = self.shares(seconds);
        let squares = shares.iter().map(|shares| (shares[backend] - mean).powi(2));
        (squares.sum::<f64>() / shares.len() as f64).sqrt()
    }
}

//! The numbers behind the metrics: plain atomics that many metric names are derived from when somebody asks.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use turnpike_ledger::spend_log::Role;

use crate::record::Record;

/// Upper bounds of every latency histogram, microseconds.
static SECONDS: [u64; 17] = [
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    120_000_000,
    300_000_000,
    420_000_000,
    600_000_000,
];

/// Upper bounds of the histograms of tokens, as OpenTelemetry advises: powers of four.
static TOKENS: [u64; 14] =
    [1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864];

/// Sums over the requests of one series.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) requests: AtomicU64,
    /// Each request has at least one.
    pub(super) attempts: AtomicU64,
    /// Of these, those in groups that requests fell to.
    pub(super) fallbacks: AtomicU64,
    pub(super) prompt: AtomicU64,
    pub(super) completion: AtomicU64,
    pub(super) cached: AtomicU64,
    pub(super) cache_write: AtomicU64,
    pub(super) reasoning: AtomicU64,
    pub(super) spend_nano: AtomicU64,
}

impl Tally {
    pub(super) fn add(&self, record: &Record) {
        // Copies are no attempts to answer.
        if record.attempt.role != Role::Mirror {
            self.attempts.fetch_add(1, Relaxed);
            add(&self.fallbacks, u64::from(record.fallbacks > 0));
        }
        add(&self.requests, u64::from(record.attempt.role == Role::Answer));
        if let Some(usage) = &record.usage {
            add(&self.prompt, usage.prompt);
            add(&self.completion, usage.completion);
            add(&self.cached, usage.cached);
            add(&self.cache_write, usage.cache_write.saturating_add(usage.cache_write_1h));
            add(&self.reasoning, usage.reasoning);
        }
        add(&self.spend_nano, record.cost.and_then(|cost| u64::try_from(cost).ok()).unwrap_or(0));
    }
}

fn add(total: &AtomicU64, value: u64) {
    // Most requests have no cached, written or reasoning tokens: reading is cheaper than an atomic write.
    if value != 0 {
        total.fetch_add(value, Relaxed);
    }
}

/// Distributions over the requests of one series.
pub(super) struct Timings {
    pub(super) total: Histogram,
    pub(super) upstream: Histogram,
    pub(super) overhead: Histogram,
    pub(super) first_token: Histogram,
    pub(super) prompt: Histogram,
    pub(super) completion: Histogram,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            total: Histogram::new(&SECONDS, 1e6),
            upstream: Histogram::new(&SECONDS, 1e6),
            overhead: Histogram::new(&SECONDS, 1e6),
            first_token: Histogram::new(&SECONDS, 1e6),
            prompt: Histogram::new(&TOKENS, 1.0),
            completion: Histogram::new(&TOKENS, 1.0),
        }
    }
}

impl Timings {
    pub(super) fn add(&self, record: &Record) {
        self.total.observe_time(record.total);
        if let Some(upstream) = record.upstream {
            self.upstream.observe_time(upstream);
            self.overhead.observe_time(record.total.saturating_sub(upstream));
        }
        if let (true, Some(first)) = (record.stream, record.first_byte) {
            self.first_token.observe_time(first);
        }
        if let Some(usage) = &record.usage {
            self.prompt.observe(usage.prompt);
            if usage.completion != 0 {
                self.completion.observe(usage.completion);
            }
        }
    }
}

/// A histogram of whole numbers: two atomic additions per observation, no floating point and no retry loop.
pub(super) struct Histogram {
    bounds: &'static [u64],
    /// What one unit of the metric is in whole numbers.
    scale: f64,
    counts: [AtomicU64; 18],
    sum: AtomicU64,
}

impl Histogram {
    fn new(bounds: &'static [u64], scale: f64) -> Self {
        Self { bounds, scale, counts: Default::default(), sum: AtomicU64::new(0) }
    }

    fn observe_time(&self, time: Duration) {
        self.observe(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    fn observe(&self, value: u64) {
        let bucket = self.bounds.iter().take_while(|bound| **bound < value).count();
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Relaxed);
            self.sum.fetch_add(value, Relaxed);
        }
    }

    pub(super) fn read(&self) -> Reading {
        let counts = self.counts.iter().map(|count| count.load(Relaxed)).collect();
        Reading { bounds: self.bounds, scale: self.scale, counts, sum: self.sum.load(Relaxed) }
    }
}

/// Histograms added up.
pub(super) struct Reading {
    bounds: &'static [u64],
    scale: f64,
    counts: Vec<u64>,
    sum: u64,
}

impl Reading {
    pub(super) fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.sum += other.sum;
    }

    pub(super) fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub(super) fn sum(&self) -> f64 {
        float(self.sum) / self.scale
    }

    /// Upper bound and how many were at most that, for each bucket but the last.
    pub(super) fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        self.bounds.iter().zip(&self.counts).scan(0, |below, (bound, count)| {
            *below += count;
            Some((float(*bound) / self.scale, *below))
        })
    }
}

/// Prometheus knows only floating point: exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "Prometheus' values are f64")]
pub(super) fn float(value: u64) -> f64 {
    value as f64
}

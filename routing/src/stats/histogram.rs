//! How long things took lately, as a distribution.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

/// The unit of the smallest bucket in microseconds.
const UNIT: u64 = 256;
/// Buckets: four for each doubling, from 256 µs to 9 minutes.
const BUCKETS: usize = 84;
/// At this many measurements all counts are halved, so that older ones fade.
const FULL: u32 = 512;
/// Fewer say nothing about a percentile.
const FEWEST: u32 = 20;

/// Counts of durations, each at most a quarter off.
#[derive(Debug)]
pub(super) struct Histogram {
    counts: [AtomicU32; BUCKETS],
    /// About their sum.
    total: AtomicU32,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: std::array::from_fn(|_| AtomicU32::new(0)), total: AtomicU32::new(0) }
    }
}

impl Histogram {
    pub(super) fn add(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get(bucket(micros / UNIT)) {
            count.fetch_add(1, Relaxed);
        }
        if self.total.fetch_add(1, Relaxed) + 1 == FULL {
            self.halve();
        }
    }

    /// The upper edge of the bucket where `percentile` % are reached: waiting a little longer is cheaper than a second request.
    pub(super) fn percentile(&self, percentile: u8) -> Option<Duration> {
        let total: u32 = self.counts.iter().map(|count| count.load(Relaxed)).sum();
        if total < FEWEST {
            return None;
        }
        let wanted = (u64::from(total) * u64::from(percentile)).div_ceil(100).max(1);
        let mut seen = 0;
        let at = self.counts.iter().position(|count| {
            seen += u64::from(count.load(Relaxed));
            seen >= wanted
        });
        Some(Duration::from_micros(lower_edge(at.unwrap_or(BUCKETS - 1) + 1).saturating_mul(UNIT)))
    }

    /// By the one who counted to [`FULL`]; what others count meanwhile stays.
    fn halve(&self) {
        let mut kept = 0;
        for count in &self.counts {
            let before = count.load(Relaxed);
            count.fetch_sub(before - before / 2, Relaxed);
            kept += before / 2;
        }
        self.total.store(kept, Relaxed);
    }
}

/// Two bits below the highest one choose among its four buckets.
#[expect(clippy::cast_possible_truncation, reason = "at most BUCKETS")]
fn bucket(units: u64) -> usize {
    if units < 4 {
        return units as usize;
    }
    let shift = u64::from(units.ilog2()) - 2;
    (shift * 4 + (units >> shift)).min(BUCKETS as u64 - 1) as usize
}

/// The smallest number of units in a bucket.
fn lower_edge(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 8 { bucket } else { (4 + bucket % 4) << (bucket / 4 - 1) }
}

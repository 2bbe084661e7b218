//! Times as histograms: constant memory and no sorting while a measurement runs.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Longest time told apart, nanoseconds: 60 s.
const LONGEST: u64 = 60_000_000_000;

/// Points of one distribution, microseconds.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Percentiles {
    /// Half are faster.
    pub p50: f64,
    /// Nine of ten are faster.
    pub p90: f64,
    /// All but one in a hundred are faster.
    pub p99: f64,
    /// The slowest.
    pub max: f64,
}

pub(super) struct Samples {
    latency: Histogram<u64>,
    first_part: Histogram<u64>,
    gap: Histogram<u64>,
    late_start: Histogram<u64>,
}

impl Samples {
    pub(super) fn new() -> anyhow::Result<Self> {
        let empty = times()?;
        Ok(Self { latency: empty.clone(), first_part: empty.clone(), gap: empty.clone(), late_start: empty })
    }

    pub(super) fn latency(&mut self, time: Duration) {
        record(&mut self.latency, time);
    }

    pub(super) fn late_start(&mut self, time: Duration) {
        record(&mut self.late_start, time);
    }

    pub(super) fn first_part(&mut self, time: Duration) {
        record(&mut self.first_part, time);
    }

    pub(super) fn gap(&mut self, time: Duration) {
        record(&mut self.gap, time);
    }

    pub(super) fn latencies(&self) -> Option<Percentiles> {
        percentiles(&self.latency)
    }

    pub(super) fn first_parts(&self) -> Option<Percentiles> {
        percentiles(&self.first_part)
    }

    pub(super) fn gaps(&self) -> Option<Percentiles> {
        percentiles(&self.gap)
    }

    pub(super) fn late_starts(&self) -> Option<Percentiles> {
        percentiles(&self.late_start)
    }
}

/// An empty histogram of times.
pub(crate) fn times() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, LONGEST, 3)?)
}

/// Counts a time.
pub(crate) fn record(histogram: &mut Histogram<u64>, time: Duration) {
    histogram.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(LONGEST));
}

/// Its points; `None` = it is empty.
pub(crate) fn percentiles(histogram: &Histogram<u64>) -> Option<Percentiles> {
    let at = |quantile| Duration::from_nanos(histogram.value_at_quantile(quantile)).as_secs_f64() * 1e6;
    (!histogram.is_empty()).then(|| Percentiles { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1.0) })
}

//! From measurements to figures: medians, and ratios taken pair by pair before their median.

use super::{Pair, SCENARIOS, Scenario};
use crate::process::Used;

/// Most resident memory allowed, MiB.
pub const MEMORY_TARGET: f64 = 30.0;

/// Memory of both when the load is over.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// The gateway's.
    pub gateway: Used,
    /// nginx's, master and worker.
    pub nginx: Used,
}

/// One scenario's medians.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// What was measured.
    pub scenario: Scenario,
    /// nginx.
    pub nginx: Figures,
    /// The gateway.
    pub gateway: Figures,
    /// Median of the gateway's CPU per request over nginx's in the same round.
    pub ratio: f64,
    /// The smallest and largest of these ratios.
    pub ratio_range: (f64, f64),
}

/// Medians over the rounds. Times in microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// Its own CPU per request.
    pub cpu: f64,
    /// The upstream's.
    pub upstream_cpu: f64,
    /// The client's.
    pub client_cpu: f64,
    /// Requests a second.
    pub rate: f64,
    /// Whole answers.
    pub p50: f64,
    /// Whole answers.
    pub p99: f64,
    /// Streams: first chunk, median and p99.
    pub first_chunk: Option<(f64, f64)>,
    /// Streams: p99 between parts.
    pub gap_p99: Option<f64>,
}

/// One row per scenario that was measured.
pub fn summarise(pairs: &[Pair]) -> Vec<Row> {
    let rows = SCENARIOS.into_iter().map(|scenario| {
        let pairs: Vec<&Pair> = pairs.iter().filter(|pair| pair.scenario == scenario).collect();
        let ratios = || pairs.iter().map(|pair| pair.gateway.cpu.contender / pair.nginx.cpu.contender);
        Some(Row {
            scenario,
            nginx: figures(&pairs, |pair| &pair.nginx)?,
            gateway: figures(&pairs, |pair| &pair.gateway)?,
            ratio: median(ratios())?,
            ratio_range: (ratios().fold(f64::INFINITY, f64::min), ratios().fold(0.0, f64::max)),
        })
    });
    rows.flatten().collect()
}

fn figures(pairs: &[&Pair], of: fn(&Pair) -> &super::Measurement) -> Option<Figures> {
    let all = || pairs.iter().map(|pair| of(pair));
    let first =
        |point: fn(&crate::load::Percentiles) -> f64| median(all().filter_map(|m| m.first_chunk.as_ref().map(point)));
    Some(Figures {
        cpu: median(all().map(|m| m.cpu.contender))?,
        upstream_cpu: median(all().map(|m| m.cpu.upstream))?,
        client_cpu: median(all().map(|m| m.cpu.client))?,
        rate: median(all().map(|m| m.rate))?,
        p50: median(all().map(|m| m.latency.p50))?,
        p99: median(all().map(|m| m.latency.p99))?,
        first_chunk: first(|p| p.p50).zip(first(|p| p.p99)),
        gap_p99: median(all().filter_map(|m| m.gap.map(|gap| gap.p99))),
    })
}

/// The middle value, or the mean of the two in the middle; `None` of nothing.
pub fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

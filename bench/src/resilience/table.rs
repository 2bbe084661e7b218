//! What was seen, as Markdown.

use std::fmt::Write as _;

use anyhow::Context as _;

use super::{Fault, Seen};
use crate::compare::document::verdict;

/// Failures that are allowed of 100,000 requests.
const FAILURES: u32 = 10;
/// The 99th percentile as a multiple of that without a fault.
const SLOWER: f64 = 2.0;

/// No more failures and slowness than are allowed, as compared with the run without a fault.
pub fn is_met(seen: &Seen, sound: &Seen) -> bool {
    let allowed = u64::from(FAILURES) * u64::from(seen.requests) / 100_000;
    u64::from(seen.failures) <= allowed && seen.latency.p99 <= SLOWER * sound.latency.p99
}

/// The table, without the markers.
///
/// # Errors
/// There is no run without a fault.
pub fn render(facts: &str, rate: u32, all: &[Seen]) -> anyhow::Result<String> {
    let mut text = String::new();
    writeln!(text, "{facts} {rate} requests a second on schedule; latency counts from when a request was due.\n")?;
    writeln!(text, "| three backends | requests | failed | p50 | p99 | p99, x sound | attempts/request | target |")?;
    writeln!(text, "|---|---|---|---|---|---|---|---|")?;
    for seen in all {
        let sound = sound(all, seen)?;
        let attempts = u32::try_from(seen.attempts).context("too many attempts to count")?;
        writeln!(
            text,
            "| {} | {} | {} | {:.1} ms | {:.1} ms | {:.2} | {:.3} | {} |",
            seen.scenario.title,
            seen.requests,
            seen.failures,
            seen.latency.p50 / 1000.0,
            seen.latency.p99 / 1000.0,
            seen.latency.p99 / sound.latency.p99,
            f64::from(attempts) / f64::from(seen.requests),
            verdict(is_met(seen, sound)),
        )?;
    }
    writeln!(
        text,
        "\nTarget: at most {FAILURES} failures in 100,000 requests, and a p99 of at most {SLOWER} x sound."
    )?;
    Ok(text)
}

/// The run of the same traffic without a fault.
///
/// # Errors
/// There is none.
pub fn sound<'a>(all: &'a [Seen], seen: &Seen) -> anyhow::Result<&'a Seen> {
    let same = |other: &&Seen| other.scenario.traffic == seen.scenario.traffic && other.scenario.fault == Fault::None;
    all.iter().find(same).context("there is no run without a fault")
}

//! One of three backends fails under load, and clients that never try again hardly notice: fewer requests than
//! `turnpike-bench resilience` sends, of the same kinds.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{path::Path, time::Duration};

use tokio::task::LocalSet;
use turnpike_bench::{
    resilience::{SCENARIOS, Seen, run, sound},
    script::Traffic,
};

/// Requests a second, for so many seconds. A stream is much more work.
const RATE: u32 = 250;
const STREAMS: u32 = 50;
const SECONDS: u32 = 9;
/// A busy machine's share of a slow percentile, microseconds.
const NOISE: f64 = 150_000.0;

#[tokio::test]
async fn clients_do_not_notice_that_a_backend_fails() {
    let gateway = Path::new(env!("CARGO_BIN_EXE_turnpike-gateway"));
    let local = LocalSet::new();
    let mut all: Vec<Seen> = Vec::new();
    for scenario in SCENARIOS {
        let rate = if scenario.traffic == Traffic::Plain { RATE } else { STREAMS };
        all.push(local.run_until(run(gateway, scenario, rate * SECONDS, rate)).await.unwrap());
    }
    for seen in &all {
        let title = seen.scenario.title;
        assert_eq!(seen.failures, 0, "{title}: {:?}", seen.failure);
        let limit = 2.0 * sound(&all, seen).unwrap().latency.p99 + NOISE;
        let limit = Duration::from_secs_f64(limit / 1e6);
        let p99 = Duration::from_secs_f64(seen.latency.p99 / 1e6);
        assert!(p99 <= limit, "{title}: p99 {p99:?}, at most {limit:?}");
        let attempts = seen.attempts * 100 / u64::from(seen.requests);
        assert!(attempts <= 120, "{title}: {attempts} attempts for 100 requests");
    }
}

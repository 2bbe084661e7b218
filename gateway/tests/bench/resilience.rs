//! One of three backends fails under load, and clients that never try again hardly notice: fewer requests than
//! `turnpike-bench resilience` sends, of the same kinds.

use std::{path::Path, time::Duration};

use tokio::task::LocalSet;
use turnpike_bench::{
    resilience::{SCENARIOS, Scenario, Seen, run, sound},
    script::Traffic,
};

/// Requests a second, for so many seconds. A stream is much more work.
const RATE: u32 = 250;
const STREAMS: u32 = 50;
const SECONDS: u32 = 9;
/// A busy machine's share of a slow percentile, microseconds.
const NOISE: f64 = 150_000.0;

/// A slow percentile counts if it is slow this many times in a row: a busy machine can make any of them slow once.
const MEASURED: usize = 3;

#[tokio::test]
async fn clients_do_not_notice_that_a_backend_fails() {
    let local = LocalSet::new();
    let mut all: Vec<Seen> = Vec::new();
    for scenario in SCENARIOS {
        all.push(measured(&local, scenario).await);
    }
    for seen in &all {
        let limit = 2.0 * sound(&all, seen).unwrap().latency.p99 + NOISE;
        let mut p99 = seen.latency.p99;
        for _ in 1..MEASURED {
            if p99 > limit {
                p99 = p99.min(measured(&local, seen.scenario).await.latency.p99);
            }
        }
        let (p99, limit) = (Duration::from_secs_f64(p99 / 1e6), Duration::from_secs_f64(limit / 1e6));
        assert!(p99 <= limit, "{}: p99 {p99:?}, at most {limit:?}", seen.scenario.title);
    }
}

/// What clients saw, of which only how long they waited may be chance.
async fn measured(local: &LocalSet, scenario: Scenario) -> Seen {
    let gateway = Path::new(env!("CARGO_BIN_EXE_turnpike-gateway"));
    let rate = if scenario.traffic == Traffic::Plain { RATE } else { STREAMS };
    let seen = local.run_until(run(gateway, scenario, rate * SECONDS, rate)).await.unwrap();
    assert_eq!(seen.failures, 0, "{}: {:?}", scenario.title, seen.failure);
    let attempts = seen.attempts * 100 / u64::from(seen.requests);
    assert!(attempts <= 120, "{}: {attempts} attempts for 100 requests", scenario.title);
    seen
}

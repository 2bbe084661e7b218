//! From measurements to the document.
#![expect(clippy::unwrap_used, reason = "tests")]

use turnpike_bench::{
    compare::{
        Cost, Measurement, Pair, SCENARIOS,
        document::{BEGIN, END, Facts, render, replace},
        summary::{Memory, median, summarise},
    },
    load::Percentiles,
    process::Used,
    script::Traffic,
};

fn measurement(cpu: f64, traffic: Traffic) -> Measurement {
    let latency = Percentiles { p50: 10.0 * cpu, p90: 20.0 * cpu, p99: 30.0 * cpu, max: 40.0 * cpu };
    let stream = (traffic != Traffic::Plain).then_some(latency);
    Measurement {
        cpu: Cost { contender: cpu, upstream: 4.0, client: 5.0 },
        rate: 1e6 / cpu,
        latency,
        first_chunk: stream,
        gap: stream,
        late_start: None,
    }
}

/// Rounds in which the machine was fast, slow, and slow for the gateway alone.
fn pairs() -> Vec<Pair> {
    let rounds = [(20.0, 30.0), (40.0, 60.0), (20.0, 80.0)];
    let pair = |scenario: turnpike_bench::compare::Scenario, (nginx, gateway)| Pair {
        scenario,
        nginx: measurement(nginx, scenario.traffic),
        gateway: measurement(gateway, scenario.traffic),
    };
    rounds.into_iter().flat_map(|round| SCENARIOS.map(|scenario| pair(scenario, round))).collect()
}

#[test]
fn ratios_are_taken_within_a_round() {
    let rows = summarise(&pairs());
    assert_eq!(rows.len(), SCENARIOS.len());
    for row in rows {
        // The ratio of the medians would be 3.
        assert!((row.ratio - 1.5).abs() < 1e-9, "{row:?}");
        assert!((row.nginx.cpu - 20.0).abs() < 1e-9 && (row.gateway.cpu - 60.0).abs() < 1e-9, "{row:?}");
    }
}

#[test]
fn a_median_is_the_middle() {
    assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
    assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
    assert_eq!(median(std::iter::empty()), None);
}

#[test]
fn the_table_says_what_was_met_and_missed() {
    let facts = Facts {
        machine: "2 cores (a processor), Linux 6.1; load average before the run 0.10".to_owned(),
        date: "2026-11-21".to_owned(),
        timing: "3 rounds of 1 s".to_owned(),
        nginx: "nginx/1.22.1".to_owned(),
        spend_rows: 12_345,
    };
    let used = |rss_kib| Used { cpu_s: 1.0, rss_kib, peak_rss_kib: rss_kib + 1024 };
    let memory = Memory { gateway: used(31 * 1024), nginx: used(6 * 1024) };
    insta::with_settings!({ snapshot_path => "golden" }, {
        insta::assert_snapshot!(render(&facts, &summarise(&pairs()), &memory).unwrap());
    });
}

#[test]
fn only_what_is_between_the_markers_changes() {
    let document = format!("# Title\n{BEGIN}\nold\n{END}\nrest\n");
    let once = replace(&document, "| new |\n").unwrap();
    assert_eq!(once, format!("# Title\n{BEGIN}\n| new |\n{END}\nrest\n"));
    assert_eq!(replace(&once, "| new |\n").unwrap(), once);
    assert_eq!(replace("no markers", "x"), None);
    assert_eq!(replace(&format!("{END}{BEGIN}"), "x"), None);
}

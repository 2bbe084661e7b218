//! One of three backends dies, hangs, becomes slow, or has enough; or all of them do.

use std::{sync::Arc, time::Duration};

use turnpike_routing::{backend::Traits, group::Strategy};

use super::{
    backend::Mood::{self, Dead, Flaky, Hung, Limited, Well},
    report::Report,
    world::{Setting, all},
};

const FINE: &[(u64, Mood)] = &[(0, Well(100))];
/// 100 ms on average, 150 ms at most.
const HEALTHY_P99: Duration = Duration::from_millis(150);
const BALANCING: [Strategy; 4] = [Strategy::Weighted, Strategy::RoundRobin, Strategy::LeastBusy, Strategy::Latency];

/// Of 100,000 requests no more fail than 10 in 100,000, and none waits long.
fn unharmed(report: &Report, what: &str) {
    assert!(report.failures() <= 10.0, "{what}: {} of 100,000 fail", report.failures());
    assert!(report.amplification() <= 1.2, "{what}: {} attempts a request", report.amplification());
    let p99 = report.percentile(99, 0..1000);
    assert!(p99 <= 2 * HEALTHY_P99, "{what}: p99 is {p99:?}");
}

#[test]
fn one_of_three_is_killed() {
    for strategy in BALANCING {
        let report =
            Setting { seconds: 40, ..Setting::of(&[FINE, FINE, &[(0, Well(100)), (10, Dead)]]) }.run(all(strategy));
        unharmed(&report, &format!("{strategy:?}"));
        assert_eq!(report.attempts_at(2, 11..40), 0, "{strategy:?} asks a dead backend");
    }
}

#[test]
fn the_preferred_one_of_three_is_killed() {
    let fixed =
        [Strategy::Usage, Strategy::LowestCost, Strategy::Priority, Strategy::PrefixAffinity, Strategy::Complexity];
    for strategy in fixed {
        let killed = &[(0, Well(100)), (10, Dead), (20, Well(100))];
        let report = Setting { seconds: 90, rate: 100, ..Setting::of(&[killed, FINE, FINE]) }.run(all(strategy));
        unharmed(&report, &format!("{strategy:?}"));
        assert_eq!(report.attempts_at(0, 11..70), 0, "{strategy:?} asks a dead backend");
        let (before, after) = (report.share(0, 0..10), report.share(0, 82..90));
        // Usage makes good what it missed in the last minute.
        assert!(after > before - 0.1, "{strategy:?}: {before} became {after}");
    }
}

#[test]
fn one_of_three_is_killed_under_100_000_requests() {
    let report = Setting { rate: 1000, ..Setting::of(&[FINE, FINE, &[(0, Well(100)), (10, Dead)]]) }
        .run(all(Strategy::Weighted));
    assert!(report.requests > 99_000);
    unharmed(&report, "all");
    // In the second minute one request tries it.
    let asked = report.attempts_at(2, 11..100);
    assert!((1..=2).contains(&asked), "{asked}");
}

#[test]
fn one_of_three_refuses_with_retry_after() {
    for strategy in BALANCING {
        let limited = &[(0, Well(100)), (10, Limited { rate: 20, retry_after: Some(5) })];
        let report = Setting { seconds: 60, ..Setting::of(&[FINE, FINE, limited]) }.run(all(strategy));
        unharmed(&report, &format!("{strategy:?}"));
        // What was under way when it refused could not know.
        assert!(report.disturbed[2] <= 20, "{strategy:?} came {} times too soon", report.disturbed[2]);
        assert!(report.attempts_at(2, 30..60) > 60, "{strategy:?} uses what it has");
    }
}

#[test]
fn one_of_three_is_at_its_limit_and_says_no_time() {
    let limited = &[(0, Limited { rate: 50, retry_after: None })];
    let report = Setting::of(&[FINE, FINE, limited]).run(all(Strategy::Weighted));
    unharmed(&report, "limited");
    assert!(report.attempts_at(2, 10..100) > 20 * 90, "{}", report.attempts_at(2, 10..100));
}

#[test]
fn one_of_three_becomes_slow() {
    let slow = &[(0, Well(100)), (10, Well(5000))];
    let latency = Setting { seconds: 50, ..Setting::of(&[FINE, FINE, slow]) }.run(all(Strategy::Latency));
    unharmed(&latency, "Latency");
    let hedged = Setting { seconds: 50, ..Setting::of(&[FINE, FINE, slow]) }.run(|lives| {
        let mut groups = all(Strategy::Weighted)(lives);
        groups[0].hedge = Some(95);
        groups
    });
    unharmed(&hedged, "hedged");
    assert!(hedged.hedges > 0);
}

#[test]
fn one_of_three_hangs() {
    let hung = &[(0, Well(100)), (10, Hung)];
    let report = Setting { seconds: 50, ..Setting::of(&[FINE, FINE, hung]) }.run(|lives| {
        let mut groups = all(Strategy::Weighted)(lives);
        groups[0].hedge = Some(95);
        groups
    });
    unharmed(&report, "hung");
}

#[test]
fn one_of_three_fails_now_and_then() {
    for percent in [1, 30, 60] {
        let report =
            Setting { seconds: 50, ..Setting::of(&[FINE, FINE, &[(0, Flaky(percent))]]) }.run(all(Strategy::Weighted));
        unharmed(&report, &format!("{percent} %"));
        if percent <= 1 {
            let share = report.share(2, 0..50);
            assert!(share > 0.3, "{percent} % of failures are no reason to leave a backend alone: {share}");
        }
    }
}

#[test]
fn the_budget_alone_bounds_retries_where_nobody_is_left_alone() {
    let report = Setting { seconds: 50, ..Setting::of(&[FINE, FINE, &[(0, Dead)]]) }.run(|lives| {
        let mut groups = all(Strategy::Weighted)(lives);
        for member in &mut groups[0].members {
            member.traits = Arc::new(Traits::default());
        }
        groups
    });
    let amplification = report.amplification();
    assert!((1.15..=1.21).contains(&amplification), "{amplification}");
    // A third of first attempts fail, a fifth of requests may be tried again.
    assert!((10_000.0..17_000.0).contains(&report.failures()), "{}", report.failures());
}

#[test]
fn above_what_all_can_take_they_are_used_nearly_whole() {
    for retry_after in [None, Some(1)] {
        let limited: &[(u64, Mood)] = &[(0, Limited { rate: 50, retry_after })];
        let report = Setting { seconds: 50, ..Setting::of(&[limited, limited, limited]) }.run(all(Strategy::Weighted));
        let (answered, amplification) = (report.answered.len() as f64 / 50.0, report.amplification());
        assert!(answered > 135.0, "{retry_after:?}: {answered} of 150 a second");
        // A fifth, and ten in half a minute.
        assert!(amplification <= 1.21, "{retry_after:?}: {amplification}");
    }
}

#[test]
fn an_outage_of_all_is_not_made_worse_and_is_noticed_when_it_ends() {
    for strategy in BALANCING {
        let script: &[(u64, Mood)] = &[(0, Well(100)), (10, Dead), (30, Well(100))];
        let report = Setting { seconds: 40, ..Setting::of(&[script, script, script]) }.run(all(strategy));
        let amplification = report.amplification();
        assert!(amplification <= 1.2, "{strategy:?}: {amplification}");
        let last = report.failed.iter().map(|(when, _)| when.0).max().unwrap();
        assert!(last < 31_500_000, "{strategy:?}: the last failure is at {last} µs");
    }
}

#[test]
fn the_first_to_come_back_is_found() {
    let dead: &[(u64, Mood)] = &[(0, Well(100)), (10, Dead)];
    let back: &[(u64, Mood)] = &[(0, Well(100)), (10, Dead), (30, Well(100))];
    let report = Setting { seconds: 60, ..Setting::of(&[dead, dead, back]) }.run(all(Strategy::Weighted));
    let last = report.failed.iter().map(|(when, _)| when.0).max().unwrap();
    assert!(last < 31_500_000, "the last failure is at {last} µs");
}

#[test]
fn a_lone_backend_is_asked_whatever_it_did() {
    let report = Setting { rate: 50, ..Setting::of(&[&[(0, Dead), (10, Well(100))]]) }.run(all(Strategy::Weighted));
    let last = report.failed.iter().map(|(when, _)| when.0).max().unwrap();
    assert!(last < 11_000_000, "the last failure is at {last} µs");
    // At its limit it serves as much as it can.
    let limited = &[(0, Limited { rate: 40, retry_after: Some(1) })];
    let report = Setting { rate: 50, ..Setting::of(&[limited]) }.run(all(Strategy::Weighted));
    let answered = report.answered.len() as f64 / 100.0;
    assert!(answered > 38.0, "{answered} a second");
}

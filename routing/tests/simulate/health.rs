//! Probes and traffic disagree, and failures that are nobody's fault.

use std::time::Duration;

use turnpike_routing::group::Strategy;

use super::{
    backend::Mood::{self, Dead, Hung, Picky, Well},
    world::{Setting, all},
};

const FINE: &[(u64, Mood)] = &[(0, Well(100))];
const PROBED: Option<Duration> = Some(Duration::from_secs(10));

#[test]
fn a_backend_that_answers_probes_but_no_requests_gets_one_request_a_probe() {
    let mut setting = Setting { probes: PROBED, ..Setting::of(&[FINE, FINE, &[(0, Dead)]]) };
    setting.backends[2].probe = Some(true);
    let report = setting.run(all(Strategy::Weighted));
    let asked = report.attempts_at(2, 0..100);
    assert!((2..=15).contains(&asked), "{asked}");
    assert!(report.failed.is_empty());
}

#[test]
fn a_backend_that_answers_requests_but_no_probes_gets_its_share() {
    let mut setting = Setting { probes: PROBED, rate: 50, seconds: 200, ..Setting::of(&[FINE, FINE, FINE]) };
    setting.backends[2].probe = Some(false);
    let report = setting.run(all(Strategy::Weighted));
    assert!(report.share(2, 20..60) < 0.05, "probes are believed at first");
    assert!(report.share(2, 100..200) > 0.3, "{}", report.share(2, 100..200));
    assert!(report.failed.is_empty());
}

#[test]
fn probes_find_a_dead_backend_and_its_return_before_traffic_does() {
    let gone: &[(u64, Mood)] = &[(0, Well(100)), (20, Dead), (60, Well(100))];
    let report = Setting { probes: PROBED, rate: 10, seconds: 120, ..Setting::of(&[FINE, FINE, gone]) }
        .run(all(Strategy::Priority));
    assert_eq!(report.attempts, report.requests, "nobody had to find out");
    let report = Setting { probes: PROBED, rate: 100, seconds: 120, ..Setting::of(&[FINE, FINE, gone]) }
        .run(all(Strategy::Weighted));
    assert!(report.share(2, 84..120) > 0.28, "{}", report.share(2, 84..120));
    assert!(report.failed.is_empty());
}

#[test]
fn what_clients_do_wrong_is_not_held_against_backends() {
    let report = Setting::of(&[FINE, FINE, &[(0, Picky)]]).run(all(Strategy::Weighted));
    assert!((0.3..0.37).contains(&report.share(2, 0..100)));
    assert_eq!(report.attempts, report.requests, "nor tried again");
}

#[test]
fn requests_that_a_hanging_backend_took_are_not_sent_twice_but_no_more_follow() {
    let report = Setting::of(&[FINE, FINE, &[(0, Well(100)), (10, Hung)]]).run(all(Strategy::Weighted));
    assert_eq!(report.attempts, report.requests);
    // Until the first time limits of 10 s are over, and one on trial after a minute.
    let asked = report.attempts_at(2, 21..100);
    assert!(asked <= 3, "{asked}");
}

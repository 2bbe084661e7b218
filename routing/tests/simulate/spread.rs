//! Who answers faster gets more, evenly: nobody runs to and fro, and who comes back comes back slowly.

use turnpike_routing::group::Strategy;

use super::{
    backend::Mood::{self, Dead, Loaded, Well},
    world::{Setting, all},
};

/// Twice as slow with ten requests at once.
const EQUAL: &[(u64, Mood)] = &[(0, Loaded { ms: 50, capacity: 10 })];
/// What luck alone makes of a third of 200 requests a second is 0.033.
const CALM: f64 = 0.07;

#[test]
fn equal_backends_get_equal_shares_in_every_second() {
    for strategy in [Strategy::LeastBusy, Strategy::Latency] {
        for gateways in [1, 3] {
            let report = Setting { gateways, seconds: 50, ..Setting::of(&[EQUAL, EQUAL, EQUAL]) }.run(all(strategy));
            for backend in 0..3 {
                let (share, unrest) = (report.share(backend, 10..50), report.unrest(backend, 10..50));
                assert!((0.25..0.42).contains(&share), "{strategy:?}, {gateways} gateways: {share}");
                assert!(unrest < CALM, "{strategy:?}, {gateways} gateways: {unrest}");
            }
        }
    }
}

#[test]
fn a_backend_of_half_the_size_gets_less_and_as_evenly() {
    let small: &[(u64, Mood)] = &[(0, Loaded { ms: 100, capacity: 5 })];
    for strategy in [Strategy::LeastBusy, Strategy::Latency] {
        let report = Setting { gateways: 3, seconds: 50, ..Setting::of(&[EQUAL, EQUAL, small]) }.run(all(strategy));
        let (share, unrest) = (report.share(2, 10..50), report.unrest(2, 10..50));
        assert!((0.01..0.3).contains(&share), "{strategy:?}: {share}");
        assert!(unrest < CALM, "{strategy:?}: {unrest}");
    }
}

#[test]
fn a_backend_that_is_fast_again_is_found_again() {
    let slow: &[(u64, Mood)] = &[(0, Well(100)), (10, Well(3000)), (40, Well(100))];
    let report = Setting::of(&[&[(0, Well(100))], &[(0, Well(100))], slow]).run(all(Strategy::Latency));
    let (during, after) = (report.share(2, 20..40), report.share(2, 60..100));
    assert!(during < 0.02, "{during}");
    assert!(after > 0.2, "{after}");
}

#[test]
fn who_comes_back_is_tried_once_then_gets_more_by_and_by() {
    for strategy in [Strategy::Weighted, Strategy::RoundRobin, Strategy::LeastBusy, Strategy::Latency] {
        let back: &[(u64, Mood)] = &[(0, Well(100)), (10, Dead), (30, Well(100))];
        let fine: &[(u64, Mood)] = &[(0, Well(100))];
        let report = Setting { seconds: 110, rate: 100, ..Setting::of(&[fine, fine, back]) }.run(all(strategy));
        // The rest of a minute began within the tenth second.
        let shares: Vec<f64> = [70..72, 72..76, 76..82, 84..110].map(|seconds| report.share(2, seconds)).to_vec();
        assert_eq!(report.attempts_at(2, 12..70), 0, "{strategy:?}: it is left alone");
        assert!(shares[0] < 0.25, "{strategy:?}: {shares:?}");
        assert!(shares[..3].is_sorted(), "{strategy:?}: {shares:?}");
        assert!(shares[3] > 0.25, "{strategy:?}: {shares:?}");
    }
}

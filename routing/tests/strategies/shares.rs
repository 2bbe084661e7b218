//! Shares by weight, priority and turn.

use turnpike_routing::{
    features::Features,
    group::{Member, Strategy},
};

use super::fixture::{chi_square, group, member, tally};

/// 99.9 % of all samples with two degrees of freedom are below it.
const LIKELY: f64 = 13.82;

#[test]
fn a_weighted_draw_keeps_to_the_weights() {
    let weights = [90, 9, 1];
    let group = group(Strategy::Weighted, weights.map(|weight| member("m", weight)));
    let counts = tally(&group, 50_000, |_| Features::default());
    assert!(chi_square(&counts, &weights) < LIKELY, "{counts:?}");
}

#[test]
fn a_member_without_weight_gets_nothing() {
    for strategy in [Strategy::Weighted, Strategy::RoundRobin, Strategy::LeastBusy, Strategy::Latency, Strategy::Usage]
    {
        let group = group(strategy, [member("a", 1), member("b", 0)]);
        assert_eq!(tally(&group, 100, |_| Features::default()), [100, 0], "{strategy:?}");
    }
}

#[test]
fn the_lowest_priority_value_goes_first() {
    let behind = Member { priority: 1, ..member("b", 100) };
    let group = group(Strategy::Weighted, [member("a", 1), behind]);
    assert_eq!(tally(&group, 100, |_| Features::default()), [100, 0]);
}

#[test]
fn priority_takes_the_first() {
    let group = group(Strategy::Priority, ["a", "b", "c"].map(|name| member(name, 1)));
    assert_eq!(tally(&group, 100, |_| Features::default()), [100, 0, 0]);
}

#[test]
fn turns_are_exact_in_each_round_and_spread_over_it() {
    for weights in [[1, 1, 1], [5, 1, 1], [70, 20, 10], [997, 2, 1]] {
        let group = group(Strategy::RoundRobin, weights.map(|weight| member("m", weight)));
        let round = u64::from(weights.iter().sum::<u32>());
        for _ in 0..3 {
            let unit = if weights == [70, 20, 10] { 10 } else { 1 };
            let counts = tally(&group, round / unit, |_| Features::default());
            let expected: Vec<u64> = weights.iter().map(|weight| u64::from(*weight) / unit).collect();
            assert_eq!(counts, expected);
        }
    }
    // Of ten turns, the half that one member has come in no run longer than two.
    let group = group(Strategy::RoundRobin, [5, 3, 2].map(|weight| member("m", weight)));
    let mut run = 0;
    for _ in 0..20 {
        let first = tally(&group, 1, |_| Features::default())[0] == 1;
        run = if first { run + 1 } else { 0 };
        assert!(run <= 2);
    }
}

#[test]
fn the_less_busy_of_two_is_the_less_busy_for_its_weight() {
    let group = group(Strategy::LeastBusy, [3, 1].map(|weight| member("m", weight)));
    let now = super::fixture::at(0.0);
    let mut attempts = Vec::new();
    for n in 0..4000 {
        let index = super::fixture::chosen(&group, &Features::default(), super::fixture::turn(n, now));
        attempts.push(group.members[index].live.begin(now, 0));
    }
    let busy = [0, 1].map(|index: usize| group.members[index].live.stats.in_flight());
    assert_eq!(busy.iter().sum::<u64>(), 4000);
    assert!(busy[0].abs_diff(3000) <= 4, "{busy:?}");
    drop(attempts);
    assert_eq!(group.members[0].live.stats.in_flight(), 0);
}

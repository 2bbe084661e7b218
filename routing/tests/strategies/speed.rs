//! Latency: the fastest, without crowds and without starvation.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use turnpike_routing::{
    Moment,
    features::Features,
    group::{Group, Strategy},
    stats::{Attempt, STALE},
};

use super::fixture::{at, chosen, group, member, turn};

/// Requests at a steady rate against members that take what `time` says: how often each was chosen in each second.
fn served(group: &Group, rate: u64, seconds: u64, time: impl Fn(usize, f64) -> f64) -> Vec<Vec<u64>> {
    let mut under_way: Vec<Option<Attempt>> = Vec::new();
    let mut ends: BinaryHeap<Reverse<(Moment, usize)>> = BinaryHeap::new();
    let mut counts = vec![vec![0; group.members.len()]; usize::try_from(seconds).unwrap()];
    for n in 0..rate * seconds {
        let second = n as f64 / rate as f64;
        let now = at(second);
        while let Some(Reverse((end, attempt))) = ends.peek().copied().filter(|Reverse((end, _))| *end <= now) {
            ends.pop();
            let attempt = under_way[attempt].take().unwrap();
            attempt.first_token(end);
            attempt.succeeded(end, 1, 1);
        }
        let index = chosen(group, &Features::default(), turn(n, now));
        counts[usize::try_from(n / rate).unwrap()][index] += 1;
        ends.push(Reverse((now.after(Duration::from_secs_f64(time(index, second))), under_way.len())));
        under_way.push(Some(group.members[index].live.begin(now, 0)));
    }
    counts
}

fn total(counts: &[Vec<u64>], member: usize) -> u64 {
    counts.iter().map(|second| second[member]).sum()
}

#[test]
fn one_request_at_a_time_goes_to_the_fastest_and_the_others_are_looked_at_again() {
    let group = group(Strategy::Latency, ["a", "b", "c"].map(|name| member(name, 1)));
    let times = [0.3, 0.1, 0.2];
    let counts = served(&group, 2, 300, |index, _| times[index]);
    let [slow, fast, middle] = [0, 1, 2].map(|index| total(&counts, index));
    // At most once in the time after which a measurement is stale.
    let looks = 300 / STALE.as_secs() + 1;
    assert!((5..=looks).contains(&slow) && (5..=looks).contains(&middle), "{slow} {fast} {middle}");
    assert!(fast > 570);
}

#[test]
fn where_requests_are_rare_old_measurements_decide() {
    let group = group(Strategy::Latency, ["a", "b", "c"].map(|name| member(name, 1)));
    let mut counts = [0; 3];
    for n in 0..600 {
        let now = at(60.0 * n as f64);
        let index = chosen(&group, &Features::default(), turn(n, now));
        counts[index] += 1;
        let end = now.after(Duration::from_secs([3, 2, 1][index]));
        let attempt = group.members[index].live.begin(now, 0);
        attempt.first_token(end);
        attempt.succeeded(end, 1, 1);
    }
    assert!(counts[2] > 550, "{counts:?}");
    assert!(counts[0] >= 5 && counts[1] >= 5, "{counts:?}");
}

#[test]
fn equals_share_evenly_under_load() {
    let group = group(Strategy::Latency, ["a", "b", "c"].map(|name| member(name, 1)));
    let counts = served(&group, 300, 60, |_, _| 0.5);
    for second in &counts[2..] {
        assert!(second.iter().all(|count| count.abs_diff(100) <= 25), "{second:?}");
    }
}

#[test]
fn one_that_is_twice_as_slow_gets_an_eighth_of_what_the_other_gets() {
    let group = group(Strategy::Latency, ["a", "b"].map(|name| member(name, 1)));
    let times = [0.2, 0.4];
    let counts = served(&group, 450, 60, |index, _| times[index]);
    let (fast, slow) = (total(&counts[5..], 0), total(&counts[5..], 1));
    let ratio = fast as f64 / slow as f64;
    assert!((6.5..=9.5).contains(&ratio), "{fast} to {slow}");
}

#[test]
fn one_that_turns_slow_loses_its_requests_before_it_has_answered_one_and_gets_them_back() {
    let group = group(Strategy::Latency, ["a", "b", "c"].map(|name| member(name, 1)));
    let slow = |second: f64| (20.0..80.0).contains(&second);
    let counts = served(&group, 150, 180, |index, second| if index == 0 && slow(second) { 5.0 } else { 0.2 });
    assert!(counts[19][0].abs_diff(50) <= 15, "{:?}", counts[19]);
    // Ten requests in flight are its third. In the first two seconds it gets no more than twice of them.
    assert!(total(&counts[20..22], 0) <= 22, "{:?}", &counts[20..22]);
    assert!(total(&counts[30..80], 0) <= 150, "{:?}", &counts[30..80]);
    assert!(total(&counts[30..80], 0) >= 1);
    // Once it is fast again, it is found within the time after which measurements are stale, and the rest is slow start's.
    assert!(counts[179][0].abs_diff(50) <= 15, "{:?}", counts[179]);
    // The other two never swing.
    for second in &counts[25..80] {
        assert!(second[1].abs_diff(second[2]) <= 30, "{second:?}");
    }
}

#[test]
fn a_new_member_gets_single_requests_until_it_has_answered() {
    let group = group(Strategy::Latency, ["a", "new"].map(|name| member(name, 1)));
    let attempt = group.members[0].live.begin(at(0.0), 0);
    attempt.first_token(at(0.2));
    attempt.succeeded(at(0.2), 1, 1);
    let counts = served(&group, 100, 20, |index, _| if index == 1 { 60.0 } else { 0.2 });
    let new = total(&counts, 1);
    assert!((3..=5).contains(&new), "{new}");
}

//! Senders and prefixes that stay where they are.

use proptest::prelude::*;
use turnpike_routing::{
    features::Features,
    group::{Group, Member, Sticky, Strategy},
    hash,
};

use super::fixture::{at, chi_square, chosen, group, member, turn};

fn named(weights: &[(&str, u32)]) -> Vec<Member> {
    weights.iter().map(|(name, weight)| member(name, *weight)).collect()
}

/// Where each of so many senders goes, whatever the draw.
fn places(group: &Group, senders: u64) -> Vec<u64> {
    let place = |sender: u64| {
        let features = Features { sender: Some(hash::of(&sender.to_le_bytes())), ..Features::default() };
        let index = chosen(group, &features, turn(sender, at(0.0)));
        assert_eq!(index, chosen(group, &features, turn(sender + 1, at(9.0))));
        group.members[index].key
    };
    (0..senders).map(place).collect()
}

fn sticky(weights: &[(&str, u32)]) -> Group {
    Group { sticky: Sticky::User, ..group(Strategy::Weighted, named(weights)) }
}

fn counts(places: &[u64], weights: &[(&str, u32)]) -> Vec<u64> {
    let count = |name: &str| places.iter().filter(|place| **place == hash::of(name.as_bytes())).count() as u64;
    weights.iter().map(|(name, _)| count(name)).collect()
}

#[test]
fn hashes_stay_the_same() {
    // Computed elsewhere: another number here moves every sender of every A/B test.
    assert_eq!(hash::of(b"default/gpt-4o"), 0xead9_282e_63cb_2ad4);
    assert_eq!(hash::both(1, 2), 0xbcd9_dbb4_9673_066b);
    assert_ne!(hash::both(2, 1), hash::both(1, 2));
}

#[test]
fn senders_are_shared_out_by_weight_in_any_order_of_members() {
    let weights = [("a", 90), ("b", 9), ("c", 1)];
    let found = places(&sticky(&weights), 20_000);
    let counts = counts(&found, &weights);
    assert!(chi_square(&counts, &weights.map(|(_, weight)| weight)) < 13.82, "{counts:?}");
    let turned = [("c", 1), ("b", 9), ("a", 90)];
    assert_eq!(found, places(&sticky(&turned), 20_000));
}

#[test]
fn a_change_of_weights_moves_only_whom_it_must() {
    let before = places(&sticky(&[("a", 90), ("b", 10)]), 20_000);
    let after = places(&sticky(&[("a", 80), ("b", 20)]), 20_000);
    let (a, b) = (hash::of(b"a"), hash::of(b"b"));
    let moved = before.iter().zip(&after).filter(|(one, other)| one != other).count();
    assert!(moved.abs_diff(2000) < 200, "{moved}");
    assert!(before.iter().zip(&after).all(|(one, other)| one == other || (*one, *other) == (a, b)));
}

#[test]
fn a_member_that_goes_takes_only_its_own_senders_along() {
    let before = places(&sticky(&[("a", 1), ("b", 1), ("c", 1), ("d", 1)]), 5000);
    let after = places(&sticky(&[("a", 1), ("c", 1), ("d", 1)]), 5000);
    let gone = hash::of(b"b");
    assert!(before.iter().zip(&after).all(|(one, other)| one == other || *one == gone));
    let left = counts(&after, &[("a", 1), ("c", 1), ("d", 1)]);
    assert!(chi_square(&left, &[1, 1, 1]) < 13.82, "{left:?}");
}

#[test]
fn a_request_without_a_sender_is_drawn() {
    let group = sticky(&[("a", 1), ("b", 1)]);
    let counts = super::fixture::tally(&group, 1000, |_| Features::default());
    assert!(counts[0].abs_diff(500) < 80, "{counts:?}");
}

fn prefix(prefix: u64) -> Features {
    Features { prefix: Some(hash::of(&prefix.to_le_bytes())), ..Features::default() }
}

#[test]
fn a_prefix_stays_with_its_member_while_that_has_room() {
    let before = group(Strategy::PrefixAffinity, named(&[("a", 1), ("b", 1), ("c", 1), ("d", 1)]));
    let after = group(Strategy::PrefixAffinity, named(&[("e", 1), ("a", 1), ("b", 1), ("c", 1), ("d", 1)]));
    let key = |group: &Group, n: u64| group.members[chosen(group, &prefix(n), turn(n, at(0.0)))].key;
    let moved: Vec<u64> = (0..4000).filter(|n| key(&before, *n) != key(&after, *n)).collect();
    assert!(moved.len().abs_diff(800) < 120, "{}", moved.len());
    assert!(moved.iter().all(|n| key(&after, *n) == hash::of(b"e")));
}

#[test]
fn a_hot_prefix_spills_over_in_its_own_order_and_comes_back() {
    let group = group(Strategy::PrefixAffinity, named(&[("a", 1), ("b", 1), ("c", 1), ("d", 1)]));
    let home = chosen(&group, &prefix(1), turn(0, at(0.0)));
    let mut attempts = Vec::new();
    for n in 0..400 {
        let index = chosen(&group, &prefix(1), turn(n, at(0.0)));
        attempts.push(group.members[index].live.begin(at(0.0), 0));
        let loads = loads(&group);
        let bound = (loads.iter().sum::<u64>() * 5).div_ceil(4 * 4);
        assert!(loads.iter().all(|load| *load <= bound.max(1)), "{loads:?}");
    }
    // A quarter above the average of a hundred, as often as three of four can have it.
    let mut sorted = loads(&group);
    assert_eq!(sorted[home], 125);
    sorted.sort_unstable();
    assert_eq!(sorted, [25, 125, 125, 125]);
    drop(attempts);
    assert_eq!(chosen(&group, &prefix(1), turn(401, at(0.0))), home);
}

fn loads(group: &Group) -> Vec<u64> {
    group.members.iter().map(|member| member.live.stats.in_flight()).collect()
}

proptest! {
    /// Whatever is busy, whoever is chosen has no more than the bound, this request included.
    #[test]
    fn nobody_gets_more_than_a_quarter_above_the_average(
        members in prop::collection::vec((1_u32..100, 0_u32..40), 1..12),
        key in any::<u64>(),
    ) {
        let names = (0..members.len()).map(|n| n.to_string());
        let all: Vec<Member> = names.zip(&members).map(|(name, (weight, _))| member(&name, *weight)).collect();
        let group = group(Strategy::PrefixAffinity, all);
        let busy = group.members.iter().zip(&members);
        let attempts: Vec<_> =
            busy.flat_map(|(member, (_, load))| (0..*load).map(|_| member.live.begin(at(0.0), 0))).collect();
        let index = chosen(&group, &Features { prefix: Some(key), ..Features::default() }, turn(0, at(0.0)));
        let total = attempts.len() as f64 + 1.0;
        let weights: u32 = members.iter().map(|(weight, _)| *weight).sum();
        let bound = (1.25 * total * f64::from(members[index].0) / f64::from(weights)).ceil();
        prop_assert!(loads(&group)[index] as f64 + 1.0 <= bound);
    }

    /// One more member, wherever it stands, takes senders only to itself.
    #[test]
    fn a_new_member_only_takes(weights in prop::collection::vec(1_u32..1000, 1..8), new in 1_u32..1000, place in 0_usize..8) {
        let members: Vec<Member> = weights.iter().enumerate().map(|(n, weight)| member(&n.to_string(), *weight)).collect();
        let mut more = members.clone();
        more.insert(place.min(members.len()), member("new", new));
        let group = |members| Group { sticky: Sticky::Key, ..group(Strategy::Weighted, members) };
        let (before, after) = (places(&group(members), 100), places(&group(more), 100));
        let new = hash::of(b"new");
        prop_assert!(before.iter().zip(&after).all(|(one, other)| one == other || *other == new));
    }
}

//! Replicas of one deployment: shares are the deployment's, load is each replica's.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use turnpike_routing::{
    Moment,
    backend::{Live, Traits},
    features::Features,
    group::{Deployment, Group, Member, Sticky, Strategy},
    hash,
    plan::Turn,
    stats::Attempt,
};

use super::fixture::{at, chi_square, chosen, group, member, tally, turn};

/// So many replicas of a deployment of this weight.
fn replicas(name: &str, weight: u32, count: usize, strategy: Strategy) -> Vec<Member> {
    limited(name, weight, count, (strategy, Traits::default()))
}

fn limited(name: &str, weight: u32, count: usize, (strategy, traits): (Strategy, Traits)) -> Vec<Member> {
    let deployment = Arc::new(Deployment { key: hash::of(name.as_bytes()), strategy });
    let (whole, traits) = (Arc::<Live>::default(), Arc::new(traits));
    let replica = |index: usize| Member {
        deployment: Some(Arc::clone(&deployment)),
        traits: Arc::clone(&traits),
        live: Arc::new(Live::of_replica(&whole)),
        ..member(&format!("{name}/{index}"), weight)
    };
    (0..count).map(replica).collect()
}

/// Three replicas of one deployment and one of another.
fn canary(strategy: Strategy, weights: [u32; 2]) -> Group {
    let [old, new] = weights;
    let stable = replicas("stable", old, 3, Strategy::Weighted);
    group(strategy, stable.into_iter().chain(replicas("canary", new, 1, Strategy::Weighted)))
}

fn sum_of(counts: &[u64]) -> [u64; 2] {
    [counts[..3].iter().sum(), counts[3]]
}

#[test]
fn a_canary_of_one_replica_keeps_its_share_beside_three() {
    for strategy in [Strategy::Weighted, Strategy::RoundRobin, Strategy::LowestCost] {
        let counts = tally(&canary(strategy, [90, 10]), 20_000, |_| Features::default());
        assert!(chi_square(&sum_of(&counts), &[90, 10]) < 7.0, "{strategy:?}: {counts:?}");
        assert!(chi_square(&counts[..3], &[1, 1, 1]) < 14.0, "{strategy:?}: {counts:?}");
    }
    let counts = tally(&canary(Strategy::Priority, [90, 10]), 900, |_| Features::default());
    assert_eq!(counts[3], 0, "the first deployment gets all: {counts:?}");
    assert!(counts[..3].iter().all(|count| (240..360).contains(count)), "{counts:?}");
}

#[test]
fn busy_replicas_get_less_of_their_deployments_share() {
    let group = canary(Strategy::Weighted, [90, 10]);
    let _busy: Vec<_> = (0..50).map(|_| group.members[0].live.begin(at(0.0), 0)).collect();
    let counts = tally(&group, 10_000, |_| Features::default());
    assert!(chi_square(&sum_of(&counts), &[90, 10]) < 7.0, "{counts:?}");
    assert_eq!(counts[0], 0, "of two of three, the less busy: {counts:?}");
}

#[test]
fn by_load_a_deployment_carries_as_much_as_its_replicas() {
    for strategy in [Strategy::LeastBusy, Strategy::PrefixAffinity] {
        let group = canary(strategy, [1, 1]);
        let attempts: Vec<_> = (0..4000)
            .map(|n| group.members[chosen(&group, &Features::default(), turn(n, at(0.0)))].live.begin(at(0.0), 0))
            .collect();
        let loads: Vec<u64> = group.members.iter().map(|member| member.live.stats.in_flight()).collect();
        assert!(loads.iter().all(|load| load.abs_diff(1000) < 40), "{strategy:?}: {loads:?}");
        assert_eq!(group.members[0].live.deployment().in_flight(), loads[..3].iter().sum::<u64>());
        drop(attempts);
        assert_eq!(group.members[0].live.deployment().in_flight(), 0);
    }
}

#[test]
fn limits_are_those_of_the_deployment() {
    let traits = Traits { max_parallel: Some(4), ..Traits::default() };
    let small = limited("small", 1, 2, (Strategy::Weighted, traits));
    let group = group(Strategy::Weighted, small.into_iter().chain([member("other", 1)]));
    let begin = |index: usize| group.members[index].live.begin(at(0.0), 0);
    let mut attempts = vec![begin(0), begin(0), begin(0)];
    let counts = |n| tally(&group, n, |_| Features::default());
    assert!(counts(100)[2] < 70, "one more may go there");
    attempts.push(begin(1));
    assert_eq!(counts(100), [0, 0, 100], "four are under way, on whichever replicas");
}

#[test]
fn a_deployments_own_affinity_holds_in_any_group() {
    let one = replicas("one", 1, 4, Strategy::PrefixAffinity);
    let group = group(Strategy::Weighted, one.into_iter().chain(replicas("two", 1, 4, Strategy::Weighted)));
    for prefix in 0..50_u64 {
        let features = Features { prefix: Some(hash::of(&prefix.to_le_bytes())), ..Features::default() };
        let counts = tally(&group, 200, |_| features.clone());
        let (one, two) = counts.split_at(4);
        assert_eq!(one.iter().filter(|count| **count > 0).count(), 1, "{counts:?}");
        assert_eq!(two.iter().filter(|count| **count > 0).count(), 4, "{counts:?}");
    }
}

#[test]
fn a_sticky_sender_stays_on_a_deployment_and_on_a_replica_of_it() {
    let sticky = |replicas_of_one: usize| {
        let one = replicas("one", 1, replicas_of_one, Strategy::Weighted);
        let members = one.into_iter().chain(replicas("two", 1, 2, Strategy::Weighted));
        Group { sticky: Sticky::Key, ..group(Strategy::Weighted, members) }
    };
    let place = |group: &Group, sender: u64| {
        let features = Features { sender: Some(hash::of(&sender.to_le_bytes())), ..Features::default() };
        let counts = tally(group, 5, |_| features.clone());
        assert!(counts.contains(&5), "{counts:?}");
        group.members[counts.iter().position(|count| *count == 5).unwrap()].key
    };
    let (before, after) = (sticky(3), sticky(4));
    let new = hash::of(b"one/3");
    let moved = (0..1000).filter(|sender| place(&before, *sender) != place(&after, *sender));
    let moved: Vec<u64> = moved.collect();
    assert!(moved.iter().all(|sender| place(&after, *sender) == new), "only to the new one");
    assert!((80..170).contains(&moved.len()), "a quarter of one half: {}", moved.len());
}

/// An engine that remembers the beginnings that it has seen lately.
#[derive(Default)]
struct Cache(VecDeque<u64>);

impl Cache {
    /// Whether it still has this one; it has it from now on.
    fn serves(&mut self, prefix: u64, most: usize) -> bool {
        let known = self.0.iter().position(|known| *known == prefix);
        if let Some(at) = known {
            self.0.remove(at);
        }
        self.0.push_back(prefix);
        if self.0.len() > most {
            self.0.pop_front();
        }
        known.is_some()
    }
}

/// What a shared-prefix workload saw.
struct Seen {
    /// Share of requests whose beginning the replica had.
    hits: f64,
    /// Of requests at once, averaged over time: the busiest replica's over the mean.
    imbalance: f64,
}

/// 100 requests a second of a second each; each starts with one of 200 beginnings, the `n`th of which is asked for in proportion
/// to 1/√n. An engine remembers 80 of them, so that four hold all and each could not.
fn workload(strategy: Strategy, count: usize) -> Seen {
    const BEGINNINGS: u64 = 200;
    let group = group(Strategy::Weighted, replicas("engine", 1, count, strategy));
    let popularity: Vec<f64> = (1..=BEGINNINGS).map(|n| 1.0 / (n as f64).sqrt()).collect();
    let all: f64 = popularity.iter().sum();
    let mut caches: Vec<Cache> = (0..count).map(|_| Cache::default()).collect();
    let mut under_way: BTreeMap<Moment, Vec<Attempt>> = BTreeMap::new();
    let (mut hits, mut loads) = (0_u64, vec![0_u64; count]);
    let (warm, requests) = (2000_u64, 20_000_u64);
    for n in 0..requests {
        let luck = |of: u64| (hash::both(n, of) >> 11) as f64 / (1_u64 << 53) as f64;
        let now = at(n as f64 / 100.0);
        let later = under_way.split_off(&now);
        drop(std::mem::replace(&mut under_way, later));
        let mut left = luck(1) * all;
        let beginning = popularity.iter().position(|own| {
            left -= own;
            left < 0.0
        });
        let beginning = beginning.unwrap_or_default() as u64;
        let features = Features { prefix: Some(hash::of(&beginning.to_le_bytes())), ..Features::default() };
        let turn = Turn { draw: hash::both(n, 2), ..turn(n, now) };
        let index = chosen(&group, &features, turn);
        let hit = caches[index].serves(beginning, 80);
        let end = now.after(std::time::Duration::from_secs_f64(0.5 + luck(3)));
        under_way.entry(end).or_default().push(group.members[index].live.begin(now, 0));
        if n >= warm {
            hits += u64::from(hit);
            let in_flight = group.members.iter().map(|member| member.live.stats.in_flight());
            loads.iter_mut().zip(in_flight).for_each(|(sum, load)| *sum += load);
        }
    }
    let mean = loads.iter().sum::<u64>() as f64 / count as f64;
    let most = *loads.iter().max().unwrap() as f64;
    Seen { hits: hits as f64 / (requests - warm) as f64, imbalance: most / mean }
}

#[test]
fn affinity_finds_the_replica_that_has_the_prefix_and_loads_none_too_much() {
    for count in [2, 4, 8] {
        let Seen { hits, imbalance } = workload(Strategy::PrefixAffinity, count);
        println!("{count} replicas: {:.1} % of requests met their prefix, max/mean load {imbalance:.3}", hits * 100.0);
        if count >= 4 {
            assert!(hits >= 0.9, "{count}: {hits}");
        }
        assert!(imbalance <= 1.25, "{count}: {imbalance}");
    }
    let spread = workload(Strategy::LeastBusy, 4);
    println!("least busy: {:.1} %", spread.hits * 100.0);
    assert!(spread.hits < 0.7, "without affinity the same engines have it for {}", spread.hits);
}

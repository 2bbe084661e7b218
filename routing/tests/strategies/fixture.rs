//! Groups of members by a few words, and luck.

use std::{sync::Arc, time::Duration};

use turnpike_routing::{
    Moment,
    backend::{Live, Traits},
    features::Features,
    filter,
    group::{Group, Member, Strategy},
    hash,
    plan::Turn,
    set::Set,
    strategy,
};

/// A member of this weight that can do everything.
pub(super) fn member(name: &str, weight: u32) -> Member {
    Member {
        key: hash::of(name.as_bytes()),
        deployment: None,
        traits: Arc::new(Traits::default()),
        live: Arc::new(Live::default()),
        weight,
        priority: 0,
        tags: Vec::new(),
        tier: None,
    }
}

/// One of weight 1 with other traits.
pub(super) fn with(name: &str, change: impl FnOnce(&mut Traits)) -> Member {
    let mut traits = Traits::default();
    change(&mut traits);
    Member { traits: Arc::new(traits), ..member(name, 1) }
}

pub(super) fn group(strategy: Strategy, members: impl IntoIterator<Item = Member>) -> Group {
    Group { strategy, members: members.into_iter().collect(), ..Group::default() }
}

/// The `n`th of a sequence of draws, at this time.
pub(super) fn turn(n: u64, now: Moment) -> Turn {
    Turn { now, left: Duration::from_mins(1), draw: hash::both(7, n) }
}

/// Some time after the process began.
pub(super) fn at(seconds: f64) -> Moment {
    Moment::default().after(Duration::from_secs(100)).after(Duration::from_secs_f64(seconds))
}

/// Who serves it; panics where nobody can.
pub(super) fn chosen(group: &Group, features: &Features, turn: Turn) -> usize {
    let candidates = filter::candidates(group, features, &Set::default(), turn.now).unwrap();
    strategy::choose(group, &candidates, features, turn).unwrap()
}

/// How often each member is chosen for so many requests, none of which takes any time.
pub(super) fn tally(group: &Group, requests: u64, features: impl Fn(u64) -> Features) -> Vec<u64> {
    let mut counts = vec![0; group.members.len()];
    for n in 0..requests {
        counts[chosen(group, &features(n), turn(n, at(0.0)))] += 1;
    }
    counts
}

/// Pearson's statistic of counts against shares.
pub(super) fn chi_square(counts: &[u64], weights: &[u32]) -> f64 {
    let (all, weight) = (counts.iter().sum::<u64>() as f64, f64::from(weights.iter().sum::<u32>()));
    let each = counts.iter().zip(weights).map(|(count, own)| {
        let expected = all * f64::from(*own) / weight;
        (*count as f64 - expected).powi(2) / expected
    });
    each.sum()
}

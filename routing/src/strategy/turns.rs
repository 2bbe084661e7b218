//! Smooth weighted round robin without a lock: a counter says how many turns there were, arithmetic whose turn that is.
//!
//! A round has as many turns as all weights together, in lowest terms. Within it, turn `n` goes to the place `n × stride` of
//! that many, and each member has as many places as its weight. A stride without common divisor visits each place once a round:
//! the shares are exact. A stride near the golden section of the round spreads each member's turns over it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Candidate;

/// How many turns a group had.
#[derive(Debug, Default)]
pub struct Turns(AtomicU64);

impl Turns {
    pub(super) fn next<'a>(&self, candidates: impl Iterator<Item = Candidate<'a>> + Clone) -> Option<usize> {
        let turn = self.0.fetch_add(1, Relaxed);
        let unit = candidates.clone().map(|candidate| candidate.weight).fold(0, common_divisor).max(1);
        let places = |candidate: &Candidate<'_>| candidate.weight / unit;
        let round = candidates.clone().map(|candidate| places(&candidate)).fold(0, u64::saturating_add).max(1);
        let mut place = u128::from(turn % round) * u128::from(stride(round)) % u128::from(round);
        let mut all = candidates;
        let whose = all.find(|candidate| {
            let own = u128::from(places(candidate));
            let found = place < own;
            place = place.saturating_sub(own);
            found
        });
        whose.map(|candidate| candidate.index)
    }
}

/// The first number from 0.618 of the round on that has no common divisor with it.
fn stride(round: u64) -> u64 {
    let near = round.saturating_mul(618) / 1000;
    (near.max(1)..=round.max(1)).find(|stride| common_divisor(*stride, round) == 1).unwrap_or(1)
}

fn common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

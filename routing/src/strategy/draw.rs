//! Choices by luck.

use super::Candidate;
use crate::{hash, luck};

/// In proportion to weights.
pub(super) fn weighted<'a>(candidates: impl Iterator<Item = Candidate<'a>> + Clone, draw: u64) -> Option<usize> {
    drawn(candidates, draw).map(|candidate| candidate.index)
}

/// Of two drawn in proportion to weights, the one with fewer requests in flight for its weight. Nearly as even as the least of
/// all, and gateways that cannot see each other's requests do not all choose the same.
pub(super) fn less_busy_of_two<'a>(
    candidates: impl Iterator<Item = Candidate<'a>> + Clone,
    draw: u64,
) -> Option<usize> {
    let one = drawn(candidates.clone(), draw)?;
    let other = drawn(candidates.filter(|candidate| candidate.index != one.index), hash::mix(draw));
    let less = other.filter(|other| busyness(other) < busyness(&one));
    Some(less.unwrap_or(one).index)
}

/// The one with the lowest cost; luck decides among equals, in proportion to nothing.
pub(super) fn lowest<'a, C: Ord>(
    candidates: impl Iterator<Item = Candidate<'a>>,
    draw: u64,
    cost: impl Fn(&Candidate<'a>) -> C,
) -> Option<usize> {
    candidates.min_by_key(|candidate| (cost(candidate), luck(draw, candidate.index))).map(|candidate| candidate.index)
}

/// A member's own luck; not that by which it was let in while it is on its way back, or those let in would win more often.
pub(super) fn luck(draw: u64, index: usize) -> u64 {
    hash::both(!draw, index as u64)
}

/// Requests in flight for the weight, this one included.
pub(super) fn busyness(candidate: &Candidate<'_>) -> u64 {
    let load = candidate.stats.in_flight().saturating_add(1);
    (load << 32) / candidate.weight
}

fn drawn<'a>(mut candidates: impl Iterator<Item = Candidate<'a>> + Clone, draw: u64) -> Option<Candidate<'a>> {
    let total: u64 = candidates.clone().map(|candidate| candidate.weight).fold(0, u64::saturating_add);
    let mut left = luck::below(total, draw);
    candidates.find(|candidate| {
        let found = left < candidate.weight;
        left = left.saturating_sub(candidate.weight);
        found
    })
}

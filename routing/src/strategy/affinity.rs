//! The same beginning of a prompt to the same member, so that an engine finds it in its cache: consistent hashing with bounded
//! loads. Nobody gets more than a quarter above the average of requests in flight for its weight; what is beyond goes to
//! the next in the prefix's own order, which is again the same for all requests of that prefix.

use super::{Candidate, rendezvous::score};

/// The bound over the average, as a fraction: 5/4. Lower spreads hot prefixes sooner, higher keeps them together longer.
const BOUND: (u64, u64) = (5, 4);

/// The highest-ranked member for this prefix that has room.
pub(super) fn bounded<'a>(candidates: impl Iterator<Item = Candidate<'a>> + Clone, prefix: u64) -> Option<usize> {
    let load = |candidate: &Candidate<'_>| candidate.stats.in_flight();
    let total = candidates.clone().map(|candidate| load(&candidate)).fold(1, u64::saturating_add);
    let weights = candidates.clone().map(|candidate| candidate.weight).fold(0, u64::saturating_add);
    let has_room = |candidate: &Candidate<'_>| {
        let share = u128::from(total) * u128::from(candidate.weight) * u128::from(BOUND.0);
        let bound = share.div_ceil(u128::from(weights.max(1)) * u128::from(BOUND.1));
        u128::from(load(candidate)) < bound
    };
    // Not all of them can be above the average, but loads change while they are read.
    let ranked = candidates.map(|candidate| (has_room(&candidate), score(&candidate, prefix), candidate.index));
    let best = ranked.max_by(|one, other| one.0.cmp(&other.0).then(one.1.total_cmp(&other.1)));
    best.map(|(_, _, index)| index)
}

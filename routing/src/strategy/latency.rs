//! The fastest, as the last seconds were.
//!
//! The cost of a member is the square of the time that it is expected to take for this request, by its requests in flight,
//! over its weight. With little to do, the fastest gets everything. With much, each gets requests in flight in proportion to
//! the inverse square of its time: equals share evenly, one twice as slow gets an eighth of the other's requests. One that
//! turns slow fills up at once, before any measurement says so, and gets no more.
//!
//! Nobody starves: a member never measured gets one request to find out, and one not measured for [`crate::stats::STALE`] gets
//! one of the next few, at most one in [`crate::stats::PROBE_EVERY`] until it has answered. Until then a new member gets nothing
//! else as long as others are known, so that no crowd runs to it. Where requests are so rare that nothing is ever fresh, old
//! measurements decide about all but those few.

use super::{Candidate, TYPICAL_OUTPUT, draw};
use crate::{features::Features, hash, luck, plan::Turn};

/// Longer times are all the same; keeps the arithmetic within 128 bits.
const LONGEST: u128 = 1 << 36;
/// Of requests that find a stale member, one in so many goes there.
const LOOK_ONE_IN: u64 = 20;

pub(super) fn fastest<'a>(
    candidates: impl Iterator<Item = Candidate<'a>> + Clone,
    features: &Features,
    turn: Turn,
) -> Option<usize> {
    let stats = |candidate: &Candidate<'a>| candidate.stats;
    let looks = luck::below(LOOK_ONE_IN, hash::both(turn.draw, u64::MAX)) == 0;
    let due = |candidate: &Candidate<'a>| {
        let stats = stats(candidate);
        stats.is_stale(turn.now) && (looks || stats.expected(1).is_none()) && stats.is_probe_due(turn.now)
    };
    let due = candidates.clone().filter(due).min_by_key(|candidate| draw::luck(turn.draw, candidate.index));
    if let Some(due) = due.filter(|due| stats(due).claim_probe(turn.now)) {
        return Some(due.index);
    }
    let output = features.output_tokens.unwrap_or(TYPICAL_OUTPUT).min(TYPICAL_OUTPUT * 16);
    let time =
        |candidate: &Candidate<'a>| stats(candidate).expected(output).map(|time| time.as_micros().clamp(1, LONGEST));
    if !candidates.clone().any(|candidate| time(&candidate).is_some()) {
        return draw::lowest(candidates, turn.draw, draw::busyness);
    }
    draw::lowest(candidates, turn.draw, |candidate| {
        let Some(time) = time(candidate) else { return u128::MAX };
        let load = u128::from(stats(candidate).in_flight()) + 1;
        // Finer, so that large weights leave something of it.
        time.saturating_mul(time).saturating_mul(load).saturating_mul(1 << 32) / u128::from(candidate.weight)
    })
}

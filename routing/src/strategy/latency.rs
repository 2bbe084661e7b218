//! The fastest, as the last seconds were.
//!
//! The cost of a member is the square of the time that it is expected to take for this request, by its requests in flight,
//! over its weight. With little to do, the fastest gets everything. With much, each gets requests in flight in proportion to
//! the inverse square of its time: equals share evenly, one twice as slow gets an eighth of the other's requests. One that
//! turns slow fills up at once, before any measurement says so, and gets no more.
//!
//! Nobody starves: a member never measured, or not for [`crate::stats::STALE`], gets one request to find out, at most one in
//! [`crate::stats::PROBE_EVERY`] until it has answered. Until then it gets nothing else as long as others are known, so that
//! no crowd runs to a new member.

use super::{Candidate, TYPICAL_OUTPUT, draw};
use crate::{features::Features, plan::Turn};

/// Longer times are all the same; keeps the arithmetic within 128 bits.
const LONGEST: u128 = 1 << 36;

pub(super) fn fastest<'a>(
    candidates: impl Iterator<Item = Candidate<'a>> + Clone,
    features: &Features,
    turn: Turn,
) -> Option<usize> {
    let stats = |candidate: &Candidate<'a>| &candidate.member.live.stats;
    let probed = candidates.clone().find(|candidate| {
        let stats = stats(candidate);
        stats.is_stale(turn.now) && stats.claim_probe(turn.now)
    });
    if let Some(probed) = probed {
        return Some(probed.index);
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

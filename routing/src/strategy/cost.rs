//! The least used, and the cheapest.

use super::{Candidate, TYPICAL_OUTPUT, draw};
use crate::{Moment, features::Features, plan::Turn};

/// Parts of a limit.
const WHOLE: u64 = 1_000_000;

/// The one with the largest share of its rates left after this request; where not all have a rate, the one with the fewest tokens
/// of the last minute for its weight, then the fewest requests.
pub(super) fn least_used<'a>(
    candidates: impl Iterator<Item = Candidate<'a>> + Clone,
    features: &Features,
    turn: Turn,
) -> Option<usize> {
    let used = |candidate: &Candidate<'_>| share_used(candidate, features, turn.now);
    if candidates.clone().all(|candidate| used(&candidate).is_some()) {
        return draw::lowest(candidates, turn.draw, used);
    }
    draw::lowest(candidates, turn.draw, |candidate| {
        let stats = candidate.stats;
        let each = |count: u64| (u128::from(count) << 32) / u128::from(candidate.weight);
        (each(stats.tokens(turn.now)), each(stats.requests(turn.now)))
    })
}

/// The larger of its rates' used shares, this request included; `None` = it has no rate.
fn share_used(candidate: &Candidate<'_>, features: &Features, now: Moment) -> Option<u64> {
    let (traits, stats) = (&candidate.member.traits, candidate.stats);
    let share = |used: u64, limit: u64| used.saturating_mul(WHOLE) / limit.max(1);
    let requests = traits.rpm.map(|limit| share(stats.requests(now).saturating_add(1), limit));
    let tokens = traits.tpm.map(|limit| share(stats.tokens(now).saturating_add(features.prompt_tokens), limit));
    requests.max(tokens)
}

/// The one whose prices for this prompt and its expected answer are lowest; one without a price comes last. Among equals, in
/// proportion to weights.
pub(super) fn cheapest<'a>(
    candidates: impl Iterator<Item = Candidate<'a>> + Clone,
    features: &Features,
    turn: Turn,
) -> Option<usize> {
    let output = features.output_tokens.unwrap_or(TYPICAL_OUTPUT);
    let cost = move |candidate: &Candidate<'_>| {
        let (input_price, output_price) = candidate.member.traits.price?;
        let of = |tokens: u64, price: u64| u128::from(tokens) * u128::from(price);
        Some(of(features.prompt_tokens, input_price).saturating_add(of(output, output_price)))
    };
    // `None` sorts first, so what is not known becomes the largest.
    let known = move |candidate: &Candidate<'_>| cost(candidate).unwrap_or(u128::MAX);
    let lowest = candidates.clone().map(|candidate| known(&candidate)).min()?;
    draw::weighted(candidates.filter(move |candidate| known(candidate) == lowest), turn.draw)
}

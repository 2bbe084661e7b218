//! The same sender to the same member, without remembering any: each member has a score for each sender, the highest wins.
//!
//! Scores are drawn so that a member wins as many senders as its weight says. They do not depend on the other members: one that
//! goes takes only its own senders along, one that comes or gains weight takes only those that it wins.

use super::Candidate;
use crate::hash;

/// The member with the highest score for this hash.
pub(super) fn ranked_first<'a>(candidates: impl Iterator<Item = Candidate<'a>>, key: u64) -> Option<usize> {
    let scored = candidates.map(|candidate| (candidate.index, score(&candidate, key)));
    scored.max_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(index, _)| index)
}

/// Weight over an exponentially distributed draw: of several, each is the largest in proportion to its weight.
#[expect(clippy::cast_precision_loss, reason = "53 bits of luck are enough, and weights are far below that")]
pub(super) fn score(candidate: &Candidate<'_>, key: u64) -> f64 {
    let luck = hash::both(key, candidate.key) >> 11;
    let uniform = (luck as f64 + 0.5) / (1_u64 << 53) as f64;
    candidate.weight as f64 / -uniform.ln()
}

//! Who may serve a request, before it is asked who should.

mod able;
mod tags;

pub use able::able;

use crate::{
    Moment,
    backend::{Live, Traits},
    features::Features,
    group::{Group, Member},
    plan::NoMember,
    set::Set,
};

/// Members that could serve a request now and were not tried for it: [`able`], with room within their limits, available.
///
/// # Errors
/// There is none; what stands in the way of the last of them.
pub fn candidates(group: &Group, features: &Features, tried: &Set, now: Moment) -> Result<Set, NoMember> {
    let able = able(group, features)?;
    let now = able.only(|index| {
        let is_free = |member: &Member| has_room(&member.traits, &member.live, features, now);
        !tried.contains(index) && group.members.get(index).is_some_and(is_free)
    });
    if now.is_empty() { Err(NoMember::Busy) } else { Ok(now) }
}

/// Whether the backend's limits leave room for a request. This gateway's own requests are counted, not those of others.
pub fn has_room(traits: &Traits, live: &Live, features: &Features, now: Moment) -> bool {
    let stats = &live.stats;
    let below = |limit: Option<u64>, used: &dyn Fn() -> u64| limit.is_none_or(|limit| used() < limit);
    let tokens_left = traits.tpm.is_none_or(|limit| match stats.tokens(now) {
        // One that is larger than the rate would never go.
        0 => limit > 0,
        used => used.saturating_add(features.prompt_tokens) <= limit,
    });
    below(traits.max_parallel, &|| stats.in_flight()) && below(traits.rpm, &|| stats.requests(now)) && tokens_left
}

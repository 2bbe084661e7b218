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

/// Members that could serve a request and were not tried for it: [`able`], those with room within their limits before all
/// others. Where nobody has room, all stay: what is counted here is a guess, and whoever holds the accounts of the limits
/// refuses or makes the request wait.
///
/// # Errors
/// There is none; what stands in the way of the last of them.
pub fn candidates(group: &Group, features: &Features, tried: &Set, now: Moment) -> Result<Set, NoMember> {
    let left = able(group, features)?.only(|index| !tried.contains(index));
    let free = left.only(|index| {
        let has_room = |member: &Member| has_room(&member.traits, &member.live, features, now);
        group.members.get(index).is_some_and(has_room)
    });
    let found = if free.is_empty() { left } else { free };
    if found.is_empty() { Err(NoMember::Busy) } else { Ok(found) }
}

/// Whether the backend's limits leave room for a request, as far as this gateway's own requests tell.
fn has_room(traits: &Traits, live: &Live, features: &Features, now: Moment) -> bool {
    // Limits are those of the deployment, however many replicas it has.
    let stats = live.deployment();
    let below = |limit: Option<u64>, used: &dyn Fn() -> u64| limit.is_none_or(|limit| used() < limit);
    let tokens_left = traits.tpm.is_none_or(|limit| match stats.tokens(now) {
        // One that is larger than the rate would never go.
        0 => limit > 0,
        used => used.saturating_add(features.prompt_tokens) <= limit,
    });
    below(traits.max_parallel, &|| stats.in_flight()) && below(traits.rpm, &|| stats.requests(now)) && tokens_left
}

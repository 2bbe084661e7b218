//! Who of those that may serve a request does.
//!
//! ```text
//!  candidates ─ tier (Complexity) ─ lowest priority value ─ one left? that one
//!                                                         ─ sticky? by the sender's hash
//!                                                         ─ else as the group's strategy says
//! ```
//! Of what happens elsewhere only [`crate::stats`] is read, which changes with each attempt's begin: so the next request sees
//! what this choice caused, and no crowd runs to who looked best a moment ago.

mod affinity;
mod cost;
mod draw;
mod latency;
mod rendezvous;
mod turns;

pub use turns::Turns;

use crate::{
    complexity,
    features::Features,
    group::{Group, Member, Sticky, Strategy},
    plan::Turn,
    set::Set,
};

/// Output that is reckoned with where a request does not say how much it wants.
pub const TYPICAL_OUTPUT: u64 = 256;

/// A member among the candidates.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    index: usize,
    member: &'a Member,
    /// Its share relative to the other candidates; at least 1.
    weight: u64,
}

/// The choice; `None` = no candidates.
pub fn choose(group: &Group, candidates: &Set, features: &Features, turn: Turn) -> Option<usize> {
    let all = candidates.iter().filter_map(|index| Some((index, group.members.get(index)?)));
    let tier = match group.strategy {
        Strategy::Complexity => complexity::serving(group, all.clone().map(|(_, member)| member.tier), features),
        _ => None,
    };
    let tiered = all.filter(|(_, member)| tier.is_none() || member.tier.is_none() || member.tier == tier);
    let priority = tiered.clone().map(|(_, member)| member.priority).min()?;
    let best = tiered.filter(|(_, member)| member.priority == priority);
    let mut rest = best.clone();
    let (first, _) = rest.next()?;
    if rest.next().is_none() || group.strategy == Strategy::Priority {
        return Some(first);
    }
    let best = best.map(|(index, member)| Candidate { index, member, weight: u64::from(member.weight).max(1) });
    if let (Some(sender), false) = (features.sender, group.sticky == Sticky::None) {
        return rendezvous::ranked_first(best, sender);
    }
    match group.strategy {
        Strategy::Weighted | Strategy::Complexity | Strategy::Priority => draw::weighted(best, turn.draw),
        Strategy::RoundRobin => group.turns.next(best),
        Strategy::LeastBusy => draw::less_busy_of_two(best, turn.draw),
        Strategy::Latency => latency::fastest(best, features, turn),
        Strategy::Usage => cost::least_used(best, features, turn),
        Strategy::LowestCost => cost::cheapest(best, features, turn),
        Strategy::PrefixAffinity => match features.prefix {
            Some(prefix) => affinity::bounded(best, prefix),
            None => draw::less_busy_of_two(best, turn.draw),
        },
    }
}

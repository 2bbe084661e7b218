//! Who of those that may serve a request does.
//!
//! ```text
//!  candidates ─ tier (Complexity) ─ lowest priority value ─ one left? that one
//!                                                         ─ sticky? by the sender's hash
//!                                                         ─ else as the group's strategy says
//! ```
//! Where members are replicas of one deployment, a deployment is chosen first, then a replica of it the same way: so shares are
//! those of deployments, however many replicas each of them has.
//!
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
    hash,
    plan::Turn,
    set::Set,
    stats::Stats,
};

/// Output that is reckoned with where a request does not say how much it wants.
pub const TYPICAL_OUTPUT: u64 = 256;

/// A draw of its own for the choice among replicas: that of the deployment says nothing of it.
const REPLICA: u64 = 4;

/// A deployment or a replica among the candidates.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    index: usize,
    member: &'a Member,
    /// Keeps senders and prefixes on it.
    key: u64,
    /// What was seen of it.
    stats: &'a Stats,
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
    let best: Set = tiered.filter(|(_, member)| member.priority == priority).map(|(index, _)| index).collect();
    let deployments = deployments(group, &best);
    let first = deployments.iter().next()?;
    let chosen = if deployments.len() == 1 || group.strategy == Strategy::Priority {
        first
    } else {
        let candidates = deployments.iter().filter_map(|index| deployment(group, &best, index));
        by(group.strategy, group, candidates, (features, turn))?
    };
    let head = group.members.get(chosen)?;
    if head.deployment.is_none() {
        return Some(chosen);
    }
    let replicas = best.iter().filter_map(|index| replica(group, head, index));
    let turn = Turn { draw: hash::both(turn.draw, REPLICA), ..turn };
    by(among_replicas(group, head, deployments.len() == 1), group, replicas, (features, turn))
}

/// The first member of each deployment: its replicas stand beside each other.
fn deployments(group: &Group, of: &Set) -> Set {
    let mut before: Option<&Member> = None;
    of.only(|index| {
        let member = group.members.get(index);
        let is_other = !matches!((before, member), (Some(before), Some(member)) if before.is_beside(member));
        before = member;
        is_other
    })
}

/// A deployment by the first of its replicas among the candidates. By shares it counts as one, whatever its size; by load each
/// replica carries as much as that of another one.
fn deployment<'a>(group: &'a Group, candidates: &Set, index: usize) -> Option<Candidate<'a>> {
    let member = group.members.get(index)?;
    let mut weight = u64::from(member.weight).max(1);
    let Some(deployment) = &member.deployment else {
        return Some(Candidate { index, member, key: member.key, stats: &member.live.stats, weight });
    };
    match group.strategy {
        Strategy::LeastBusy | Strategy::Latency | Strategy::Usage | Strategy::PrefixAffinity => {
            let is_replica = |index: &usize| group.members.get(*index).is_some_and(|other| other.is_beside(member));
            weight = weight.saturating_mul(candidates.iter().filter(is_replica).count() as u64);
        }
        Strategy::Weighted
        | Strategy::RoundRobin
        | Strategy::LowestCost
        | Strategy::Priority
        | Strategy::Complexity => {}
    }
    Some(Candidate { index, member, key: deployment.key, stats: member.live.deployment(), weight })
}

/// `None` = it is no replica of this deployment.
fn replica<'a>(group: &'a Group, of: &Member, index: usize) -> Option<Candidate<'a>> {
    let member = group.members.get(index).filter(|member| member.is_beside(of))?;
    Some(Candidate { index, member, key: member.key, stats: &member.live.stats, weight: 1 })
}

/// How one of a deployment's replicas is chosen. They differ in what they are doing alone, so strategies that look at nothing of
/// that spread them by it.
fn among_replicas(group: &Group, of: &Member, is_only: bool) -> Strategy {
    let wanted = of.deployment.as_ref().map(|deployment| deployment.strategy);
    match group.strategy {
        _ if wanted == Some(Strategy::PrefixAffinity) => Strategy::PrefixAffinity,
        Strategy::PrefixAffinity => Strategy::PrefixAffinity,
        own @ (Strategy::RoundRobin | Strategy::Latency | Strategy::Usage) if is_only => own,
        _ => Strategy::LeastBusy,
    }
}

fn by<'a>(
    strategy: Strategy,
    group: &Group,
    candidates: impl Iterator<Item = Candidate<'a>> + Clone,
    (features, turn): (&Features, Turn),
) -> Option<usize> {
    if let (Some(sender), false) = (features.sender, group.sticky == Sticky::None) {
        return rendezvous::ranked_first(candidates, sender);
    }
    match strategy {
        Strategy::Weighted | Strategy::Complexity | Strategy::Priority => draw::weighted(candidates, turn.draw),
        Strategy::RoundRobin => group.turns.next(candidates),
        Strategy::LeastBusy => draw::less_busy_of_two(candidates, turn.draw),
        Strategy::Latency => latency::fastest(candidates, features, turn),
        Strategy::Usage => cost::least_used(candidates, features, turn),
        Strategy::LowestCost => cost::cheapest(candidates, features, turn),
        Strategy::PrefixAffinity => match features.prefix {
            Some(prefix) => affinity::bounded(candidates, prefix),
            None => draw::less_busy_of_two(candidates, turn.draw),
        },
    }
}

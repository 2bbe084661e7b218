//! What stands behind one name: the members, and how one of them is chosen.

use std::sync::Arc;

use crate::{
    backend::{Live, Traits},
    failure::Cause,
    strategy::Turns,
    traffic::Traffic,
};

/// The backends of one name.
#[derive(Debug, Default)]
pub struct Group {
    /// `namespace/name` of the `ModelDeployment`s that it is made of: a request comes to none of them a second time.
    pub ids: Box<[Arc<str>]>,
    /// What was seen of it; outlives reloads.
    pub traffic: Arc<Traffic>,
    /// How a member is chosen.
    pub strategy: Strategy,
    /// What keeps a sender on one member.
    pub sticky: Sticky,
    /// Lowest priority value first.
    pub members: Box<[Member]>,
    /// Where requests go that no member answers, in this order.
    pub fallbacks: Box<[Fallback]>,
    /// How often a failed request is tried again.
    pub retry: Retry,
    /// A copy of some requests goes there.
    pub mirror: Option<Mirror>,
    /// A second attempt starts once the first token takes longer than this percentile of recent ones.
    pub hedge: Option<u8>,
    /// Which prompts are simple, which complex.
    pub complexity: Option<Complexity>,
    /// Whose turn it is, where the strategy is [`Strategy::RoundRobin`].
    pub turns: Turns,
    /// Members are on their way: those that would answer have not started yet.
    pub is_cold: bool,
}

/// One of a group's backends.
#[derive(Clone, Debug)]
pub struct Member {
    /// Hash of its name ([`crate::hash::of`]): keeps senders and prefixes on it, whatever its place in the group.
    pub key: u64,
    /// What it shares with the other replicas of its deployment, which stand beside it in the group; `None` = it is a deployment
    /// by itself.
    pub deployment: Option<Arc<Deployment>>,
    /// What is known of it.
    pub traits: Arc<Traits>,
    /// What was seen of it.
    pub live: Arc<Live>,
    /// Share among members of the same priority, for all replicas of a deployment together; 0 = none.
    pub weight: u32,
    /// Lower first.
    pub priority: i32,
    /// It serves only requests with one of these tags; empty = all.
    pub tags: Vec<Box<str>>,
    /// The prompts that it is for, where the strategy is [`Strategy::Complexity`]; `None` = all.
    pub tier: Option<Tier>,
}

/// Several members that are the same thing at several addresses. The group chooses among deployments, then one of these.
#[derive(Debug)]
pub struct Deployment {
    /// Hash of its name: keeps senders and prefixes on it, whichever replicas it has.
    pub key: u64,
    /// How it wants a replica to be chosen. [`Strategy::PrefixAffinity`] holds in every group.
    pub strategy: Strategy,
}

impl Member {
    /// Whether both are replicas of one deployment.
    pub fn is_beside(&self, other: &Self) -> bool {
        match (&self.deployment, &other.deployment) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

/// How a member is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// At random, in proportion to weights.
    #[default]
    Weighted,
    /// In turn, in proportion to weights.
    RoundRobin,
    /// Fewest requests in flight.
    LeastBusy,
    /// Shortest time to first token, and to all of them.
    Latency,
    /// Most headroom below its rates.
    Usage,
    /// Cheapest that can serve the request.
    LowestCost,
    /// The first, by priority and order, that can serve.
    Priority,
    /// The one that served the same beginning of a prompt.
    PrefixAffinity,
    /// By how hard the prompt looks.
    Complexity,
}

/// What keeps a sender on one member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sticky {
    /// Nothing.
    #[default]
    None,
    /// Its key.
    Key,
    /// The request's `user`.
    User,
    /// A header, by its lower-case name.
    Header(Box<str>),
}

/// How hard a prompt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Short, and nothing complex in it.
    Simple,
    /// Neither.
    Medium,
    /// With a word or a need that is complex.
    Complex,
}

/// Which prompts are simple, which complex.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Complexity {
    /// A prompt of fewer words is simple.
    pub simple_below_words: u64,
    /// A prompt with one of these is complex; lower case.
    pub keywords: Vec<Box<str>>,
}

/// Another group that may answer instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// `namespace/name` of its `ModelDeployment`.
    pub target: Arc<str>,
    /// For which failures.
    pub on: Vec<Cause>,
    /// Most of the last hour's requests that may go there, in percent; `None` = all.
    pub max_percent: Option<u8>,
}

/// How often a failed request is tried again on the group's members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Further attempts by cause.
    pub by_cause: Vec<(Cause, u8)>,
}

/// A copy of some requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// `namespace/name` of the `ModelDeployment` that gets it.
    pub target: Arc<str>,
    /// Of a hundred requests.
    pub percent: u8,
}

impl Default for Retry {
    /// Two further attempts where the backend failed or was busy, none where it was slow or refused the request itself.
    fn default() -> Self {
        Self { by_cause: vec![(Cause::ServerError, 2), (Cause::RateLimit, 2), (Cause::ColdStart, 2)] }
    }
}

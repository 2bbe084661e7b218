//! A request's way through one group: the first member, and what comes after each failure.

use std::time::Duration;

use crate::{Moment, failure::Failure, features::Features, filter, group::Group, set::Set, strategy};

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Try this member of the group, after a pause.
    Try {
        /// Index into [`Group::members`].
        member: usize,
        /// Pause before it.
        after: Duration,
    },
    /// Go on in another group.
    Fall {
        /// Index into [`Group::fallbacks`].
        fallback: usize,
    },
    /// The client is told of the failure.
    Stop,
}

/// Why no member can take a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoMember {
    /// None of them can do what the request asks for; the lacking capability.
    Capability(&'static str),
    /// The prompt is larger than every window; the largest.
    ContextWindow(u64),
    /// None has the tags that the request asks for.
    Tags,
    /// All have as much as they are given at most.
    Busy,
    /// There is none, or all have weight 0.
    Empty,
}

/// When a decision is made, and with what luck.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// Now.
    pub now: Moment,
    /// What is left of the request's time.
    pub left: Duration,
    /// Uniform over u64.
    pub draw: u64,
}

/// A request within one group.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    tried: Set,
}

impl Plan {
    /// The member to begin with.
    ///
    /// # Errors
    /// No member can take it.
    pub fn first(&mut self, group: &Group, features: &Features, turn: Turn) -> Result<usize, NoMember> {
        let candidates = filter::candidates(group, features, &self.tried, turn.now)?;
        let chosen = strategy::choose(group, &candidates, features, turn).ok_or(NoMember::Empty)?;
        self.tried.insert(chosen);
        Ok(chosen)
    }

    /// What comes after a failure of the member that was tried last.
    pub fn failed(&mut self, group: &Group, _: &Features, failure: &Failure, _: Turn) -> Next {
        let fits = |fallback: &crate::group::Fallback| fallback.on.contains(&failure.cause);
        group.fallbacks.iter().position(fits).map_or(Next::Stop, |fallback| Next::Fall { fallback })
    }
}

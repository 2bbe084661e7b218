//! A request's way through one group: the first member, and what comes after each failure.

use std::time::Duration;

use crate::{Moment, failure::Failure, features::Features, group::Group};

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
    tried: Vec<usize>,
}

impl Plan {
    /// The member to begin with.
    ///
    /// # Errors
    /// No member can take it.
    pub fn first(&mut self, group: &Group, _: &Features, turn: Turn) -> Result<usize, NoMember> {
        let members = || group.members.iter().enumerate().filter(|(_, member)| member.weight > 0);
        let best = members().map(|(_, member)| member.priority).min().ok_or(NoMember::Empty)?;
        let candidates = || members().filter(|(_, member)| member.priority == best);
        let mut left = turn.draw % candidates().map(|(_, member)| u64::from(member.weight)).sum::<u64>();
        let drawn = candidates().find(|(_, member)| {
            let weight = u64::from(member.weight);
            let chosen = left < weight;
            left = left.saturating_sub(weight);
            chosen
        });
        let (index, _) = drawn.ok_or(NoMember::Empty)?;
        self.tried.push(index);
        Ok(index)
    }

    /// What comes after a failure of the member that was tried last.
    pub fn failed(&mut self, group: &Group, _: &Features, failure: &Failure, _: Turn) -> Next {
        let fits = |fallback: &crate::group::Fallback| fallback.on.contains(&failure.cause);
        group.fallbacks.iter().position(fits).map_or(Next::Stop, |fallback| Next::Fall { fallback })
    }
}

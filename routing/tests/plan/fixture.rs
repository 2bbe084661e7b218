//! Groups and failures in few words.

use std::{sync::Arc, time::Duration};

use turnpike_routing::{
    Moment,
    backend::{Live, Traits},
    failure::{Cause, Failure},
    features::Features,
    group::{Fallback, Group, Member},
    hash,
    plan::{Next, Plan, Turn},
};

pub(super) const ALL: [Cause; 9] = [
    Cause::Client,
    Cause::ContextWindow,
    Cause::ContentPolicy,
    Cause::Authentication,
    Cause::NotFound,
    Cause::RateLimit,
    Cause::Timeout,
    Cause::ServerError,
    Cause::ColdStart,
];

pub(super) fn member(name: &str) -> Member {
    Member {
        key: hash::of(name.as_bytes()),
        deployment: None,
        traits: Arc::new(Traits { allowed_fails: 3, cooldown: Duration::from_mins(1), ..Traits::default() }),
        live: Arc::new(Live::default()),
        weight: 1,
        priority: 0,
        tags: Vec::new(),
        tier: None,
    }
}

/// A group of this name with so many members.
pub(super) fn group(name: &str, members: usize) -> Group {
    Group {
        ids: Box::new([name.into()]),
        members: (0..members).map(|index| member(&format!("{name}/{index}"))).collect(),
        ..Group::default()
    }
}

pub(super) fn falls_to(mut group: Group, targets: &[(&str, &[Cause])]) -> Group {
    let fallback =
        |(target, on): &(&str, &[Cause])| Fallback { target: (*target).into(), on: on.to_vec(), max_percent: None };
    group.fallbacks = targets.iter().map(fallback).collect();
    group
}

pub(super) fn failure(cause: Cause) -> Failure {
    Failure { cause, sent: false, retry_after: None }
}

pub(super) fn at(seconds: u64) -> Moment {
    Moment(1_000_000_000 + seconds * 1_000_000)
}

/// With a minute left and luck that depends on the time.
pub(super) fn turn(now: Moment) -> Turn {
    Turn { now, left: Duration::from_mins(1), draw: hash::both(3, now.0) }
}

pub(super) fn plain() -> Features {
    Features::default()
}

/// The member that is tried, and after what.
pub(super) fn tried(next: &Next) -> (usize, Duration) {
    match next {
        Next::Try { member, after } => (*member, *after),
        other => panic!("{other:?} instead of an attempt"),
    }
}

/// Lets each member fail so often that it is left alone from now on.
pub(super) fn break_down(member: &Member, now: Moment) {
    for _ in 0..4 {
        member.live.health.failed(&member.traits, &failure(Cause::ServerError), (now, now));
    }
}

/// The first attempt in this group.
pub(super) fn entered(group: &Group) -> (Plan, usize) {
    let mut plan = Plan::default();
    let (first, _) = tried(&plan.enter(group, &plain(), turn(at(0))));
    (plan, first)
}

//! A request's way from backend to backend: what the plan decides, put into the terms of the snapshot.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::time::Instant;
use turnpike_routing::{
    Moment,
    failure::{Cause, Failure},
    fallback::Hop,
    features::Features,
    hedge,
    plan::{Next, NoMember, Plan, Turn},
};

use super::{
    features::Source,
    route::{self, Routed},
    wishes::Wishes,
};
use crate::{
    config::snapshot::{Caller, Model, Pool, Snapshot},
    error::Error,
};

/// Now, in routing's terms.
pub fn now() -> Moment {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    let since = BEGAN.get_or_init(Instant::now).elapsed();
    Moment(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// The way of one request.
pub struct Journey<'a> {
    snapshot: &'a Snapshot,
    caller: &'a Caller,
    plan: Plan,
    wishes: Wishes,
    features: Features,
    pool: Arc<Pool>,
    matched: Option<Box<str>>,
    /// Why the last attempt failed.
    cause: Cause,
    limit: Duration,
    deadline: Option<Instant>,
    /// How long it has waited for limits.
    queued: Duration,
    /// The group is one that the request fell to, and none of its members was asked.
    fell: bool,
    /// Attempts since the last one that was made for which there was no room.
    full: Vec<Full>,
}

/// An attempt for which there was no room.
pub struct Full {
    /// It.
    pub step: Step,
    pool: Arc<Pool>,
    matched: Option<Box<str>>,
}

/// The next attempt.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its place in the group.
    pub member: usize,
    /// Who is asked.
    pub model: Arc<Model>,
    /// Its own name of the model; `None` = the gateway answers itself.
    pub upstream_model: Option<Arc<str>>,
    /// Pause before it.
    pub after: Duration,
    /// The first that is made in a group that the request fell to.
    pub is_fallback: bool,
}

/// There is no next attempt.
#[derive(Clone, Copy, Debug)]
pub enum NoStep {
    /// Nobody can take the request.
    Refused(NoMember),
    /// What was tried failed.
    Failed,
}

impl NoStep {
    /// What the client is told where nothing was tried. A name without any backend that takes requests is as good as unknown.
    pub fn error(self, name: &str) -> Error {
        match self {
            Self::Refused(NoMember::Empty) => Error::ModelNotFound(name.chars().take(256).collect()),
            Self::Refused(lacking) => Error::Unable { name: name.chars().take(256).collect(), lacking },
            Self::Failed => Error::Internal,
        }
    }
}

impl<'a> Journey<'a> {
    /// Of a request that was routed to this pool, and may take as long as `limit`.
    pub fn new(
        (snapshot, caller): (&'a Snapshot, &'a Caller),
        Routed { pool, matched }: Routed,
        wishes: Wishes,
        limit: Option<Duration>,
    ) -> Self {
        let limit = limit.map_or(pool.total, |limit| limit.min(pool.total));
        Self {
            snapshot,
            caller,
            plan: Plan::new(wishes.plan()),
            wishes,
            features: Features::default(),
            pool,
            matched,
            cause: Cause::Client,
            limit,
            deadline: None,
            queued: Duration::ZERO,
            fell: false,
            full: Vec::new(),
        }
    }

    /// What is left of the request's time.
    pub fn left(&self) -> Duration {
        self.deadline.map_or(self.limit, |deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// The request has waited since then: that counts against its deadline.
    pub fn waited(&mut self, since: Instant) {
        self.deadline.get_or_insert(since + self.limit);
    }

    /// It has waited since then for limits.
    pub fn queued(&mut self, since: Instant) {
        self.waited(since);
        self.queued = self.queued.saturating_add(since.elapsed());
    }

    /// How long it may still wait for limits, of `most` in all.
    pub fn rest(&self, most: Duration) -> Duration {
        most.saturating_sub(self.queued).min(self.left())
    }

    /// Whether another member, or another group, could take the request.
    pub fn has_others(&self) -> bool {
        self.pool.models.len() > 1
            || !self.pool.group.fallbacks.is_empty()
            || self.wishes.names_fallbacks()
            || !self.full.is_empty()
    }

    /// The group that is being tried.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// What a wildcard matched.
    pub fn matched(&self) -> Option<&str> {
        self.matched.as_deref()
    }

    /// The first attempt.
    ///
    /// # Errors
    /// Nobody can take the request.
    pub fn first(&mut self, source: &Source<'_>) -> Result<Step, NoStep> {
        let next = self.enter(source);
        self.follow(next, source)
    }

    /// The attempt at this member was answered.
    pub fn answered(&mut self, step: &Step) {
        self.plan.succeeded(&self.pool.group, step.member, now());
    }

    /// After which wait a second attempt is worth its cost; `None` = never in this group.
    pub fn hedge_after(&self) -> Option<Duration> {
        hedge::after(&self.pool.group)
    }

    /// A second attempt beside the one that is under way; `None` = no other member should be asked.
    pub fn hedge(&mut self) -> Option<Step> {
        let member = self.plan.hedge(&self.pool.group, &self.features, self.turn())?;
        self.step(member, Duration::ZERO, false)
    }

    /// Of two attempts one failed, at this step, while the other goes on.
    pub fn lost(&mut self, step: &Step, failure: &Failure) {
        self.plan.lost(&self.pool.group, step.member, failure, now());
    }

    /// The attempt failed, and the client has seen nothing of it.
    ///
    /// # Errors
    /// That was the last one.
    pub fn failed(&mut self, failure: &Failure, began: Instant, source: &Source<'_>) -> Result<Step, NoStep> {
        self.deadline.get_or_insert(began + self.limit);
        self.made();
        self.cause = failure.cause;
        if failure.cause != Cause::Client && !self.pool.engines.is_empty() {
            self.pool.want(now(), true);
        }
        // Counted even where no time is left.
        let next = self.plan.failed(&self.pool.group, &self.features, failure, self.turn());
        if self.left().is_zero() {
            return Err(NoStep::Failed);
        }
        self.follow(next, source)
    }

    /// Why the last attempt failed.
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// The attempt was not made: a limit does not let it pass. That says nothing of the backend.
    ///
    /// # Errors
    /// That was the last one.
    pub fn passed_over(&mut self, cause: Cause, source: &Source<'_>) -> Result<Step, NoStep> {
        self.cause = cause;
        let next = self.plan.passed_over(&self.pool.group, &self.features, cause, self.turn());
        self.follow(next, source)
    }

    /// There was no room for this attempt, which would have been the next one.
    pub fn full(&mut self, step: &Step) {
        self.full.push(Full { step: step.clone(), pool: Arc::clone(&self.pool), matched: self.matched.clone() });
    }

    /// All attempts since the last one that was made for which there was no room.
    pub fn take_full(&mut self) -> Vec<Full> {
        std::mem::take(&mut self.full)
    }

    /// There is room for it after all: it is the next one.
    pub fn back_to(&mut self, Full { step, pool, matched }: Full, source: &Source<'_>) -> Step {
        (self.pool, self.matched) = (pool, matched);
        self.features = source.features(&self.pool.group);
        self.plan.back_to(step.member, now());
        step
    }

    /// An attempt was made.
    fn made(&mut self) {
        self.fell = false;
        self.full.clear();
    }

    fn enter(&mut self, source: &Source<'_>) -> Next {
        let group = &self.pool.group;
        if !self.pool.engines.is_empty() {
            self.pool.want(now(), false);
        }
        // One member, nowhere else to go, and no tags to heed: there is nothing to choose.
        let is_plain = group.members.len() == 1
            && group.fallbacks.is_empty()
            && !self.wishes.names_fallbacks()
            && group.members.iter().all(|member| member.tags.is_empty())
            && !source.has_tags();
        if !is_plain {
            self.features = source.features(group);
        }
        self.plan.enter(&self.pool.group, &self.features, self.turn())
    }

    fn turn(&self) -> Turn {
        Turn { now: now(), left: self.left(), draw: rand::random() }
    }

    fn follow(&mut self, mut next: Next, source: &Source<'_>) -> Result<Step, NoStep> {
        loop {
            next = match next {
                Next::Try { member, after } => match self.step(member, after, self.fell) {
                    Some(step) => return Ok(step),
                    None => return Err(NoStep::Failed),
                },
                Next::Fall(hop) => match self.behind(&hop) {
                    None => self.plan.closed(now()),
                    Some(Routed { pool, matched }) => {
                        self.fell = true;
                        self.pool = pool;
                        self.matched = matched.or_else(|| self.matched.take());
                        self.enter(source)
                    }
                },
                Next::Refuse(lacking) => return Err(NoStep::Refused(lacking)),
                Next::Stop => return Err(NoStep::Failed),
            }
        }
    }

    fn step(&self, member: usize, after: Duration, is_fallback: bool) -> Option<Step> {
        // The group has the pool's members, in the same order.
        let model = Arc::clone(&self.pool.members.get(member)?.model);
        let upstream_model = route::upstream_model(&model, self.matched.as_deref());
        Some(Step { member, model, upstream_model, after, is_fallback })
    }

    /// The group that a request falls to. What its own list names must be a model that it may call.
    fn behind(&self, hop: &Hop) -> Option<Routed> {
        match hop {
            Hop::Object(id) => {
                self.snapshot.objects.get(id).map(|pool| Routed { pool: Arc::clone(pool), matched: None })
            }
            Hop::Asked(index) => {
                route::route(self.snapshot, self.caller, self.wishes.fallback(self.cause, *index)?).ok()
            }
        }
    }
}

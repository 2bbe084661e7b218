//! Makes, replaces and revokes keys.
//!
//! ```text
//!  World ─ Tracker ─▶ touched ─▶ plan ─▶ nothing to do: forgotten, or a time to look again
//!                                 └────▶ Queue ─▶ at most 8 at a time: read afresh, plan, one write ─▶ event
//!  Published, Gateways ─────────▶ keys that are being deleted ─▶ revocation ─▶ finalizer removed
//! ```
//! Nothing is remembered that matters: a Secret holds its key and all that is known of the keys before it, written at
//! once. A process that dies between two writes, or a second one that still thinks it leads, can therefore neither lose
//! a key nor replace one twice.

use std::{collections::BTreeMap, time::Duration};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use jiff::Timestamp;
use kube::ResourceExt;
use tokio::{sync::watch::error::RecvError, time::Instant};
use turnpike_bundle::entry::ObjectRef;
use turnpike_crds::VirtualKey;

use crate::{
    context::Context,
    kit::{
        backoff::{Failure, jitter},
        events::EventType,
    },
    virtual_key::{
        act::{Done, Error, Work},
        change::Told,
        plan::{Plan, Step, plan},
        queue::{Outcome, Queue},
        revocation::{Progress, Verdict, progress, verdict},
        track::Tracker,
    },
};

pub mod act;
pub mod change;
pub mod finalizer;
pub mod minted;
pub mod plan;
pub mod queue;
pub mod random;
pub mod revocation;
pub mod track;

/// Objects that are worked on at the same time.
const PARALLEL: usize = 8;
/// Longest sleep towards a time of the wall clock, which may be set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_mins(10);

/// Makes, replaces and revokes keys until what it watches has ended. To be run by the leader only.
pub async fn run(context: Context) {
    run_by(context, Timestamp::now).await;
}

/// As [`run`], by a given wall clock.
pub async fn run_by(context: Context, clock: fn() -> Timestamp) {
    // A watch has ended only where the process is about to.
    if follow(context, clock).await.is_err() {
        tracing::debug!("keys are not looked after any more");
    }
}

async fn follow(mut context: Context, clock: fn() -> Timestamp) -> Result<(), RecvError> {
    // Before the first picture nothing is known, which is not the same as nothing being there.
    context.world.changed().await?;
    context.gateways.changed().await?;
    let mut keys = Keys::new(context.clone(), clock);
    keys.observe();
    let mut running: FuturesUnordered<BoxFuture<'static, (ObjectRef, Result<Done, Error>)>> = FuturesUnordered::new();
    loop {
        while running.len() < PARALLEL
            && let Some(work) = keys.next()
        {
            running.push(work);
        }
        let now = Instant::now();
        let wake = keys.queue.wake(now).filter(|_| running.len() < PARALLEL);
        tokio::select! {
            changed = context.world.changed() => {
                changed?;
                keys.observe();
            }
            changed = context.published.changed() => {
                changed?;
                keys.look_at_deleted();
            }
            changed = context.gateways.changed() => {
                changed?;
                keys.look_at_deleted();
            }
            Some((at, done)) = running.next() => keys.done(at, done),
            () = tokio::time::sleep_until(wake.unwrap_or(now)), if wake.is_some() => {}
        }
    }
}

struct Keys {
    context: Context,
    clock: fn() -> Timestamp,
    finalizer: String,
    tracker: Tracker,
    queue: Queue,
    /// Keys whose Secret's name is taken, by which Secret, told already.
    taken: BTreeMap<ObjectRef, (Option<i64>, String)>,
}

impl Keys {
    fn new(context: Context, clock: fn() -> Timestamp) -> Self {
        let finalizer = context.names.finalizer();
        Self { context, clock, finalizer, tracker: Tracker::default(), queue: Queue::default(), taken: BTreeMap::new() }
    }

    fn observe(&mut self) {
        let now = Instant::now();
        let world = self.context.world.borrow_and_update().clone();
        for at in self.tracker.observe(world, now) {
            self.look_at(at, now);
        }
    }

    fn look_at_deleted(&mut self) {
        let now = Instant::now();
        let deleted: Vec<ObjectRef> = self.tracker.deleting().cloned().collect();
        for at in deleted {
            self.look_at(at, now);
        }
    }

    /// Queues an object if something is to be done about it.
    fn look_at(&mut self, at: ObjectRef, now: Instant) {
        if self.queue.is_running(&at) {
            return self.queue.now(at, now);
        }
        if self.tracker.given_away(&at).is_some() {
            return self.queue.now(at, now);
        }
        let Some(facts) = self.tracker.facts(&at, &self.finalizer, (self.clock)()) else {
            self.queue.forget(&at);
            self.taken.remove(&at);
            return;
        };
        let Plan { step, again } = plan(&facts);
        match step {
            Step::Rest => {
                self.queue.forget(&at);
                self.taken.remove(&at);
                if let Some(again) = again {
                    self.queue.at(at, self.instant(again, now));
                }
            }
            Step::Revoke => match self.verdict(&at, now).1 {
                Verdict::Wait(rest) => self.queue.at(at, now + rest),
                Verdict::Confirmed | Verdict::TimedOut => self.queue.now(at, now),
            },
            // Only its deletion waits for it, so it can wait itself.
            Step::AddFinalizer if facts.object.spec.generate.is_none() => self.queue.some_time(at),
            _ => self.queue.now(at, now),
        }
    }

    fn verdict(&self, at: &ObjectRef, now: Instant) -> (Progress, Verdict) {
        let progress = progress(at, &self.context.published.borrow(), &self.context.gateways.borrow());
        let waited = self.tracker.deleting_since(at).map_or_else(Default::default, |since| now.duration_since(since));
        (progress, verdict(progress, waited, self.context.settings.revocation_timeout))
    }

    /// The next piece of work that is due.
    fn next(&mut self) -> Option<BoxFuture<'static, (ObjectRef, Result<Done, Error>)>> {
        loop {
            let now = Instant::now();
            let at = self.queue.take(now)?;
            // Whose it is now sees to its end; that it is served no more need not be waited for while it goes on to exist.
            if let Some(object) = self.tracker.given_away(&at) {
                return Some(release(self.work(object, false), None).map(|done| (at, done)).boxed());
            }
            let Some(facts) = self.tracker.facts(&at, &self.finalizer, (self.clock)()) else {
                self.queue.done(at, Outcome::Done(None), now, 0.0);
                continue;
            };
            let Plan { step, again } = plan(&facts);
            let object = facts.object.clone();
            let generate = object.spec.generate.clone();
            let elsewhere = facts.elsewhere.clone();
            let work = self.work(object, self.tracker.was_minted(&at));
            let done = match step {
                Step::Rest => Err(Outcome::Done(again.map(|again| self.instant(again, now)))),
                Step::Revoke => match self.verdict(&at, now) {
                    (_, Verdict::Wait(rest)) => Err(Outcome::Done(Some(now + rest))),
                    (progress, verdict) => {
                        Ok(release(work, (verdict == Verdict::TimedOut).then_some(progress)).boxed())
                    }
                },
                Step::AddFinalizer => Ok(hold(work, elsewhere).boxed()),
                _ => match generate {
                    Some(generate) => Ok(async move { work.secret(&generate, elsewhere).await }.boxed()),
                    None => Err(Outcome::Done(None)),
                },
            };
            match done {
                Ok(work) => return Some(work.map(|done| (at, done)).boxed()),
                Err(outcome) => self.queue.done(at, outcome, now, 0.0),
            }
        }
    }

    fn work(&self, object: VirtualKey, was_minted: bool) -> Work {
        Work { context: self.context.clone(), object, was_minted, now: (self.clock)() }
    }

    fn done(&mut self, at: ObjectRef, done: Result<Done, Error>) {
        let now = Instant::now();
        let outcome = match done {
            Ok(Done::Rest(again)) => {
                self.taken.remove(&at);
                Outcome::Done(again.map(|again| self.instant(again, now)))
            }
            Ok(Done::Taken { again, uid }) => {
                self.tell_taken(&at, uid);
                Outcome::Done(again.map(|again| self.instant(again, now)))
            }
            Err(error) => {
                self.tell_failure(&at, &error);
                Outcome::Failed(error.failure())
            }
        };
        self.queue.done(at, outcome, now, jitter());
    }

    /// The moment of a time of the wall clock, or one before it at which to look again.
    fn instant(&self, time: Timestamp, now: Instant) -> Instant {
        let rest = Duration::try_from((self.clock)().duration_until(time)).unwrap_or_default();
        now + rest.min(LONGEST_SLEEP)
    }

    /// Once for each Secret in the way and each edit of the object.
    fn tell_taken(&mut self, at: &ObjectRef, uid: String) {
        let Some(object) = self.tracker.object(at) else { return };
        let taken = (object.metadata.generation, uid);
        if self.taken.get(at) != Some(&taken) {
            let name = object.spec.generate.as_ref().map(|generate| plan::secret_name(object, generate));
            let name = name.unwrap_or_default();
            let note = format!(
                "the Secret {name} exists and was not made for this key; choose another secretName, or delete that Secret"
            );
            self.work(object.as_ref().clone(), false).tell(warning("SecretExists", "Mint", note));
            self.taken.insert(at.clone(), taken);
        }
    }

    /// Once until it succeeds; a conflict is no failure.
    fn tell_failure(&self, at: &ObjectRef, error: &Error) {
        if error.failure() == Failure::Conflict {
            return;
        }
        let told = error.told();
        tracing::warn!(
            namespace = at.namespace,
            name = at.name,
            reason = told,
            "a key could not be brought up to date"
        );
        if let (false, Some(object)) = (self.queue.has_failed(at), self.tracker.object(at)) {
            self.work(object.as_ref().clone(), false).tell(warning("KeyNotUpdated", "Update", told));
        }
    }
}

/// Adds the finalizer and, where a key is generated, goes on without waiting for the watch.
async fn hold(mut work: Work, elsewhere: Option<String>) -> Result<Done, Error> {
    work.object = work.add_finalizer().await?;
    match work.object.spec.generate.clone() {
        Some(generate) => work.secret(&generate, elsewhere).await,
        None => Ok(Done::Rest(None)),
    }
}

/// Lets a deleted object go, with a warning if not every gateway has confirmed.
async fn release(work: Work, unconfirmed: Option<Progress>) -> Result<Done, Error> {
    if let Some(progress) = unconfirmed {
        let name = work.object.name_any();
        tracing::warn!(name, "{progress}; the VirtualKey goes all the same");
        work.tell(warning("RevocationUnconfirmed", "Revoke", progress.to_string()));
    }
    work.remove_finalizer().await.map(|()| Done::Rest(None))
}

fn warning(reason: &'static str, action: &'static str, note: String) -> Told {
    Told { kind: EventType::Warning, reason, action, note }
}

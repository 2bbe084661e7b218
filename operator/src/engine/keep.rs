//! Keeps engines as their models say, while leading.
//!
//! ```text
//!  World, Published, Engines ─▶ what has changed ─▶ plan ─▶ nothing: forgotten
//!                                                    └────▶ Queue ─▶ at most 8 at a time: mint, write ─▶ plan again
//! ```
//! An object is written only once it is compiled as it is, so that what forbids to serve it forbids to run it as well.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use kube::{Resource, core::DynamicObject};
use tokio::{sync::watch::error::RecvError, time::Instant};
use turnpike_bundle::{
    entry::ObjectRef,
    problem::{ObjectId, ObjectKind},
};
use turnpike_crds::ModelDeployment;
use turnpike_engine::state::may_fetch_ahead;

use crate::{
    context::Context,
    engine::{
        Report,
        desired::desired,
        kind::Kind,
        known::Known,
        mint::{self, Minted},
        plan::{Facts, Step, plan},
        write::{Done, Work},
    },
    kit::{
        apply::is_terminating,
        backoff::{Failure, jitter},
        events::EventType,
    },
    publish::Compiled,
    virtual_key::queue::{Outcome, Queue},
};

/// Engines that are worked on at the same time.
const PARALLEL: usize = 8;
/// How long a Secret may take to be seen by the watch.
const SEEN_SOON: Duration = Duration::from_secs(5);

/// Keeps engines until what it watches has ended.
pub async fn run(context: Context) {
    // A watch has ended only where the process is about to.
    if follow(context).await.is_err() {
        tracing::debug!("engines are not looked after any more");
    }
}

async fn follow(mut context: Context) -> Result<(), RecvError> {
    // Before the first pictures nothing is known, which is not the same as nothing being there.
    context.world.wait_for(|world| world.inputs > 0).await?;
    context.engines.wait_for(|engines| engines.is_known()).await?;
    let mut keeper = Keeper::new(context.clone());
    keeper.look_at_all();
    let mut running: FuturesUnordered<BoxFuture<'static, (ObjectRef, Ended)>> = FuturesUnordered::new();
    loop {
        while running.len() < PARALLEL
            && let Some(work) = keeper.next()
        {
            running.push(work);
        }
        let now = Instant::now();
        let wake = keeper.queue.wake(now).filter(|_| running.len() < PARALLEL);
        tokio::select! {
            changed = context.world.changed() => { changed?; keeper.look_at_all(); }
            changed = context.published.changed() => { changed?; keeper.look_at_all(); }
            changed = context.engines.changed() => { changed?; keeper.look_at_all(); }
            Some((at, ended)) = running.next() => keeper.done(at, ended),
            () = tokio::time::sleep_until(wake.unwrap_or(now)), if wake.is_some() => {}
        }
    }
}

/// What came of a piece of work.
enum Ended {
    Minted(Result<Minted, mint::Error>),
    Written(Done),
}

/// What there is to be done.
enum Task {
    Mint,
    Write(BTreeMap<Kind, DynamicObject>, Vec<Step>),
}

struct Keeper {
    context: Context,
    queue: Queue,
    known: BTreeMap<ObjectRef, Known>,
    /// Keys that were made, until the world has them.
    minted: BTreeMap<ObjectRef, Instant>,
    /// What people were told last of each engine.
    told: BTreeMap<ObjectRef, String>,
    /// What was looked at when there was nothing to be done.
    rested: BTreeMap<ObjectRef, (Arc<ModelDeployment>, Option<Compiled>)>,
    /// Generations whose last attempt failed.
    failed: BTreeMap<ObjectRef, Option<i64>>,
}

impl Keeper {
    fn new(context: Context) -> Self {
        Self {
            context,
            queue: Queue::default(),
            known: BTreeMap::new(),
            minted: BTreeMap::new(),
            told: BTreeMap::new(),
            rested: BTreeMap::new(),
            failed: BTreeMap::new(),
        }
    }

    fn look_at_all(&mut self) {
        let now = Instant::now();
        let world = self.context.world.borrow_and_update().clone();
        let engines = self.context.engines.borrow_and_update().clone();
        let mut concerned: BTreeSet<ObjectRef> = engines.made().cloned().collect();
        let runs = world.models.iter().filter(|(_, model)| model.spec.vllm.is_some());
        concerned.extend(runs.map(|(at, _)| at.clone()));
        self.known.retain(|at, _| concerned.contains(at));
        self.minted.retain(|at, _| concerned.contains(at));
        self.rested.retain(|at, _| concerned.contains(at));
        self.failed.retain(|at, _| concerned.contains(at));
        let gone: Vec<ObjectRef> = self.told.keys().filter(|at| !concerned.contains(at)).cloned().collect();
        for at in gone {
            self.heal(&at);
        }
        for at in concerned {
            if self.known.entry(at.clone()).or_default().observe(&engines, &at, now) {
                self.rested.remove(&at);
            }
            self.look_at(at, now);
        }
    }

    /// Queues an engine if something is to be done about it.
    fn look_at(&mut self, at: ObjectRef, now: Instant) {
        let is_running = self.queue.is_running(&at);
        if !is_running && self.rests(&at) {
            return;
        }
        if is_running || self.task(&at, now).is_some() {
            // What has failed waits for its time, unless it has been edited.
            let generation = self.model(&at).and_then(|model| model.metadata.generation);
            if !self.queue.has_failed(&at) || self.failed.get(&at).is_some_and(|failed| *failed != generation) {
                self.queue.now(at, now);
            }
        } else {
            self.queue.forget(&at);
            if let Some(model) = self.model(&at) {
                self.rested.insert(at.clone(), (model, self.compiled(&at)));
            }
            if let Some(again) = self.known.get(&at).and_then(|known| known.awaits(now)) {
                self.queue.at(at, again);
            }
        }
    }

    /// Whether nothing has changed since nothing was to be done.
    fn rests(&self, at: &ObjectRef) -> bool {
        let Some((model, compiled)) = self.rested.get(at) else { return false };
        self.model(at).is_some_and(|now| Arc::ptr_eq(&now, model) && !self.needs_key(&now))
            && self.compiled(at) == *compiled
    }

    fn needs_key(&self, model: &ModelDeployment) -> bool {
        mint::is_wanted(model, &self.context.world.borrow().secrets)
    }

    fn compiled(&self, at: &ObjectRef) -> Option<Compiled> {
        let id = ObjectId { kind: ObjectKind::ModelDeployment, object: at.clone() };
        self.context.published.borrow().objects.get(&id).cloned()
    }

    fn model(&self, at: &ObjectRef) -> Option<Arc<ModelDeployment>> {
        let world = self.context.world.borrow();
        let is_ending = world.namespaces.get(&at.namespace).is_some_and(|namespace| namespace.terminating);
        let model = world.models.get(at).filter(|model| model.metadata.deletion_timestamp.is_none());
        model.filter(|_| !is_ending).cloned()
    }

    fn task(&self, at: &ObjectRef, now: Instant) -> Option<Task> {
        let model = self.model(at)?;
        if self.needs_key(&model) {
            let is_fresh = self.minted.get(at).is_some_and(|minted| now < *minted + SEEN_SOON);
            return (!is_fresh).then_some(Task::Mint);
        }
        let compiled = self.compiled(at)?;
        let is_current = Some(compiled.generation) == model.metadata.generation;
        // What is no engine any more may go even where it cannot be served.
        if !is_current || (model.spec.vllm.is_some() && compiled.digest.is_none()) {
            return None;
        }
        let desired = desired(&model, &self.context.settings.engine, compiled.credential.as_deref());
        let mut desired =
            desired.inspect_err(|error| tracing::error!(%error, "an engine cannot be written as JSON")).ok()?;
        let known = self.known.get(at)?;
        if !known.seen().contains_key(&Kind::Fetch) && !self.may_fetch_ahead(at, &model) {
            desired.remove(&Kind::Fetch);
        }
        let manager = self.context.names.field_manager();
        let facts =
            Facts { model: &model, desired: &desired, seen: known.seen(), applied: known.applied(), manager: &manager };
        let left_alone =
            |kind: &Kind| desired.get(kind).is_some_and(|desired| known.is_left_alone(*kind, desired, now));
        let mut steps = plan(facts);
        steps.retain(|step| !matches!(step, Step::Make(kind) | Step::Apply(kind) if left_alone(kind)));
        (!steps.is_empty()).then_some(Task::Write(desired, steps))
    }

    fn may_fetch_ahead(&self, at: &ObjectRef, model: &ModelDeployment) -> bool {
        let engines = self.context.engines.borrow();
        let spec = model.spec.vllm.as_ref();
        spec.zip(engines.get(at)).is_some_and(|(spec, observed)| may_fetch_ahead(spec, observed))
    }

    /// The next piece of work that is due.
    fn next(&mut self) -> Option<BoxFuture<'static, (ObjectRef, Ended)>> {
        loop {
            let now = Instant::now();
            let at = self.queue.take(now)?;
            if let Some(known) = self.known.get_mut(&at) {
                known.settle(now);
            }
            let (Some(model), Some(task)) = (self.model(&at), self.task(&at, now)) else {
                self.queue.done(at, Outcome::Done(None), now, 0.0);
                continue;
            };
            let context = self.context.clone();
            let work = match task {
                Task::Mint => async move { Ended::Minted(mint::mint(&context, &model).await) }.boxed(),
                Task::Write(desired, steps) => {
                    let seen = self.known.get(&at).map(|known| known.seen().clone()).unwrap_or_default();
                    let work = Work { context, at: at.clone(), model, desired, seen };
                    work.run(steps).map(Ended::Written).boxed()
                }
            };
            return Some(work.map(|ended| (at, ended)).boxed());
        }
    }

    fn done(&mut self, at: ObjectRef, ended: Ended) {
        let now = Instant::now();
        let outcome = match ended {
            Ended::Minted(minted) => self.minted(&at, minted, now),
            Ended::Written(done) => self.written(&at, done, now),
        };
        self.queue.done(at.clone(), outcome, now, jitter());
        // One write may have been the condition of the next.
        if matches!(outcome, Outcome::Done(None)) {
            self.look_at(at, now);
        }
    }

    fn minted(&mut self, at: &ObjectRef, minted: Result<Minted, mint::Error>, now: Instant) -> Outcome {
        match minted {
            Ok(Minted::Done) => {
                self.minted.insert(at.clone(), now);
                self.heal(at);
                Outcome::Done(Some(now + SEEN_SOON))
            }
            Ok(Minted::Again) => Outcome::Failed(Failure::Conflict),
            Ok(Minted::Taken) => {
                let name = turnpike_engine::names::key_secret(&at.name);
                self.tell(at, format!("the Secret {name} exists and was not made for this model; rename or delete it"));
                self.failed.insert(at.clone(), self.model(at).and_then(|model| model.metadata.generation));
                Outcome::Failed(Failure::Error)
            }
            Err(mint::Error::Api(error)) if is_terminating(&error) => Outcome::Done(None),
            Err(error) => {
                // Nothing that was sent is quoted: it holds the key.
                let words = match &error {
                    mint::Error::Api(kube::Error::Api(status)) if status.code == 403 => status.message.clone(),
                    mint::Error::Api(kube::Error::Api(status)) => format!("{} ({})", status.reason, status.code),
                    mint::Error::Api(_) => "the apiserver cannot be reached".to_owned(),
                    mint::Error::NoRandom(_) => error.to_string(),
                };
                self.fail(
                    at,
                    &words,
                    matches!(&error, mint::Error::Api(kube::Error::Api(status)) if status.code == 403),
                );
                let conflict = matches!(&error, mint::Error::Api(error) if Failure::of(error) == Failure::Conflict);
                Outcome::Failed(if conflict { Failure::Conflict } else { Failure::Error })
            }
        }
    }

    fn written(&mut self, at: &ObjectRef, done: Done, now: Instant) -> Outcome {
        let known = self.known.entry(at.clone()).or_default();
        for (kind, sent, answer) in done.written {
            known.wrote(kind, sent, answer, now);
        }
        for kind in done.deleted {
            known.deleted(kind);
        }
        if done.failed.is_some() || done.refused.is_some() {
            self.failed.insert(at.clone(), self.model(at).and_then(|model| model.metadata.generation));
        }
        match (done.failed, done.refused) {
            (Some((failure, words)), refused) => {
                self.fail(at, &words, false);
                if let Some(words) = refused {
                    self.tell(at, words);
                }
                Outcome::Failed(failure)
            }
            (None, Some(words)) => {
                self.tell(at, words);
                Outcome::Failed(Failure::Error)
            }
            (None, None) => {
                self.heal(at);
                Outcome::Done(None)
            }
        }
    }

    fn fail(&mut self, at: &ObjectRef, words: &str, is_refused: bool) {
        tracing::warn!(namespace = at.namespace, name = at.name, words, "an engine could not be brought up to date");
        if is_refused {
            self.tell(at, words.to_owned());
        }
    }

    /// Tells in status and, once, by an event that the apiserver has refused something.
    fn tell(&mut self, at: &ObjectRef, words: String) {
        if self.told.get(at) == Some(&words) {
            return;
        }
        if let Some(model) = self.model(at) {
            let events = &self.context.events;
            events.publish(model.object_ref(&()), EventType::Warning, "EngineRefused", "Apply", words.clone());
        }
        self.context.engine_reports.tell(at, Report::Refused(Some(words.clone())));
        self.told.insert(at.clone(), words);
    }

    fn heal(&mut self, at: &ObjectRef) {
        if self.told.remove(at).is_some() {
            self.context.engine_reports.tell(at, Report::Refused(None));
        }
    }
}

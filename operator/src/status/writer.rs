//! Writes statuses and events, few at a time; what and when is decided in [`super::survey`] and [`super::plan`].

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Resource, ResourceExt, api::ObjectMeta};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use turnpike_bundle::problem::{ObjectId, ObjectKind};
use turnpike_crds::{API_VERSION, Budget, ModelDeployment, Reason, VirtualKey};

use super::{
    View,
    event::{Side, events},
    fleet::Fleet,
    message,
    plan::{Group, Plan},
    survey::{Draft, Known, Survey, Written, survey},
};
use crate::{
    context::Context,
    kit::{
        apply::{Namespaced, apply_status},
        backoff::{Failure, Retries, jitter},
        events::EventType,
    },
    world::World,
};

/// Most writes at a time.
const IN_FLIGHT: usize = 16;
/// Most of them that are part of a mass.
const MASS_IN_FLIGHT: usize = 8;
/// Between two writes of a mass: 10,000 statuses take two minutes, and nobody else waits for the apiserver.
const MASS_PAUSE: Duration = Duration::from_millis(10);
/// Between two writes of figures: 20 a second.
const FIGURES_PAUSE: Duration = Duration::from_millis(50);
/// Least time between two looks.
const PAUSE: Duration = Duration::from_millis(10);
/// The same in durations of a look, so that looking never takes more than a fifth of a core.
const PAUSE_FACTOR: u32 = 4;
/// Longest time without a look, in case the clock was set.
const LONGEST: Duration = Duration::from_mins(10);

/// Keeps every status true until cancelled.
pub async fn run(context: Context) {
    Writer::new(context).run().await;
}

/// A write that has ended.
struct Done {
    id: ObjectId,
    group: Group,
    draft: Draft,
    result: kube::Result<Option<u64>>,
}

struct Writer {
    context: Context,
    plan: Plan,
    survey: Survey,
    /// The most urgent last.
    queue: Vec<(Group, ObjectId)>,
    known: Known,
    retries: Retries<ObjectId>,
    writes: JoinSet<Done>,
    in_flight: BTreeMap<ObjectId, Group>,
    /// What was told of objects that cannot be read.
    unreadable: BTreeMap<ObjectId, String>,
    look_at: Instant,
    earliest_look: Instant,
    next_mass: Instant,
    next_figures: Instant,
    /// The last write failed.
    failing: bool,
}

impl Writer {
    fn new(context: Context) -> Self {
        let now = Instant::now();
        Self {
            context,
            plan: Plan::default(),
            survey: Survey::default(),
            queue: Vec::new(),
            known: Known::new(),
            retries: Retries::default(),
            writes: JoinSet::new(),
            in_flight: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            look_at: now,
            earliest_look: now,
            next_mass: now,
            next_figures: now,
            failing: false,
        }
    }

    async fn run(mut self) {
        loop {
            if Instant::now() >= self.look_at {
                self.look();
            }
            let wake = self.start().into_iter().chain([self.look_at]).min().unwrap_or(self.look_at);
            let changed = tokio::select! {
                changed = self.context.world.changed() => changed,
                changed = self.context.published.changed() => changed,
                changed = self.context.gateways.changed() => changed,
                changed = self.context.spend.changed() => changed,
                changed = self.context.engines.changed() => changed,
                Some(done) = self.writes.join_next() => {
                    // A write never panics, and is cancelled only with this task.
                    if let Ok(done) = done {
                        self.finish(done);
                    }
                    continue;
                }
                () = sleep_until(wake) => continue,
            };
            if changed.is_err() {
                // The watchers are gone, so the process ends.
                return;
            }
            self.look_soon();
        }
    }

    /// Changes that come close upon one another are looked at once.
    fn look_soon(&mut self) {
        self.look_by(self.earliest_look);
    }

    fn look_by(&mut self, at: Instant) {
        self.look_at = self.look_at.min(at);
    }

    /// Finds what differs and puts it in order.
    fn look(&mut self) {
        let start = Instant::now();
        let world = Arc::clone(&self.context.world.borrow_and_update());
        let published = Arc::clone(&self.context.published.borrow_and_update());
        let gateways = Arc::clone(&self.context.gateways.borrow_and_update());
        let spend = Arc::clone(&self.context.spend.borrow_and_update());
        let engines = Arc::clone(&self.context.engines.borrow_and_update());
        let clock = Timestamp::now();
        let settings = Arc::clone(&self.context.settings);
        let view = View {
            world: &world,
            published: &published,
            spend: &spend,
            engines: &engines,
            fleet: &Fleet::new(&gateways),
            gateway_url: settings.gateway_url.as_deref(),
            now: Timestamp::from_second(clock.as_second()).unwrap_or(clock),
        };
        self.known.retain(|id, written| meta(&world, id).is_some_and(|metadata| written.is_ahead_of(metadata)));
        self.survey = survey(view, &self.known);
        self.tell_unreadable(&world);
        self.plan.note(&self.survey.drafts, start);
        let (due, held) = self.plan.due(start);
        self.queue = due
            .into_iter()
            .rev()
            .filter(|(_, id)| !self.in_flight.contains_key(id) && !self.retries.waits(id, start))
            .collect();
        for id in self.retries.due(start) {
            if !self.survey.drafts.contains_key(&id) {
                self.retries.forget(&id);
            }
        }
        let end = Instant::now();
        self.earliest_look = end + PAUSE.max((end - start) * PAUSE_FACTOR);
        self.look_at = end + LONGEST;
        let later = self
            .survey
            .next
            .and_then(|next| next.duration_since(clock).try_into().ok())
            .map(|wait: Duration| start + wait);
        // One that is due already is in the queue or in flight, and its end has another look.
        let retry = self.retries.next().filter(|at| *at > start);
        for at in later.into_iter().chain(held).chain(retry) {
            self.look_by(at.max(self.earliest_look));
        }
    }

    /// Begins as many writes as there may be, and says when the next of a mass may begin.
    fn start(&mut self) -> Option<Instant> {
        while self.in_flight.len() < IN_FLIGHT {
            let now = Instant::now();
            let mass = self.in_flight.values().filter(|group| **group == Group::Mass).count();
            let (mass, figures) = (mass < MASS_IN_FLIGHT && now >= self.next_mass, now >= self.next_figures);
            let may = |(group, _): &(Group, ObjectId)| match group {
                Group::Few => true,
                Group::BudgetFigures | Group::KeyFigures => figures,
                Group::Mass => mass,
            };
            let Some(at) = self.queue.iter().rposition(may) else {
                // What waits for its pace only.
                let figures = self.queue.iter().any(|(group, _)| group.is_figures()).then_some(self.next_figures);
                let mass = self.queue.first().filter(|(group, _)| *group == Group::Mass).map(|_| self.next_mass);
                return figures.into_iter().chain(mass).filter(|at| *at > now).min();
            };
            let (group, id) = self.queue.remove(at);
            match group {
                Group::Few => {}
                Group::Mass => self.next_mass = now + MASS_PAUSE,
                Group::BudgetFigures | Group::KeyFigures => self.next_figures = now + FIGURES_PAUSE,
            }
            let Some(draft) = self.survey.drafts.remove(&id) else { continue };
            self.in_flight.insert(id.clone(), group);
            let context = self.context.clone();
            self.writes.spawn(async move {
                let result = write(&context, &id, &draft).await;
                Done { id, group, draft, result }
            });
        }
        None
    }

    fn finish(&mut self, done: Done) {
        let Done { id, group, draft, result } = done;
        self.in_flight.remove(&id);
        if self.survey.drafts.contains_key(&id) {
            // It was looked at while it was being written.
            self.look_soon();
        }
        match result {
            Ok(version) => {
                self.failing = false;
                self.retries.forget(&id);
                self.plan.close(&id);
                self.tell(&id, group, &draft);
                if let Some(version) = version {
                    self.known.insert(id, Written { version, uid: draft.uid, status: draft.after });
                }
            }
            // Deleted meanwhile; the watch will say so, and if not, there is no hurry.
            Err(kube::Error::Api(status)) if status.is_not_found() => self.again(id, Failure::Error),
            Err(error) => {
                let failure = Failure::of(&error);
                if failure == Failure::Error && !self.failing {
                    tracing::warn!(object = %id, error = %error, "a status could not be written; further failures are only counted");
                    self.failing = true;
                }
                self.again(id, failure);
            }
        }
    }

    fn again(&mut self, id: ObjectId, failure: Failure) {
        let due = self.retries.fail(id, failure, Instant::now(), jitter());
        self.look_by(due);
    }

    fn tell(&self, id: &ObjectId, group: Group, draft: &Draft) {
        let before = draft.before.as_ref().map_or_else(Side::default, |before| before.side());
        for event in events(before, draft.after.side(), &draft.compiled) {
            // That all is well need not be said of ten thousand objects.
            if group == Group::Mass && event.kind == EventType::Normal {
                continue;
            }
            let regarding = regarding(id, draft.uid.clone());
            self.context.events.publish(regarding, event.kind, event.reason, event.action, event.note);
        }
    }

    /// An object that cannot be read has no status that could say so.
    fn tell_unreadable(&mut self, world: &World) {
        for (id, why) in &world.unreadable {
            if self.unreadable.get(id) != Some(why) {
                let uid = meta(world, id).and_then(|metadata| metadata.uid.clone());
                let note = format!(
                    "The object cannot be read: {why}; correct it, what was last read of it is in use until then"
                );
                let (kind, reason) = (EventType::Warning, Reason::Invalid.as_str());
                self.context.events.publish(regarding(id, uid), kind, reason, "Read", message::bounded(note));
            }
        }
        self.unreadable.clone_from(&world.unreadable);
    }
}

fn regarding(id: &ObjectId, uid: Option<String>) -> ObjectReference {
    ObjectReference {
        api_version: Some(API_VERSION.to_owned()),
        kind: Some(id.kind.as_str().to_owned()),
        namespace: Some(id.object.namespace.clone()),
        name: Some(id.object.name.clone()),
        uid,
        ..ObjectReference::default()
    }
}

fn meta<'a>(world: &'a World, id: &ObjectId) -> Option<&'a ObjectMeta> {
    match id.kind {
        ObjectKind::ModelDeployment => world.models.get(&id.object).map(|object| object.meta()),
        ObjectKind::VirtualKey => world.keys.get(&id.object).map(|object| object.meta()),
        ObjectKind::Budget => world.budgets.get(&id.object).map(|object| object.meta()),
        ObjectKind::Secret | ObjectKind::File => None,
    }
}

/// Writes the status; the resourceVersion that it made, where it made one that can be compared.
async fn write(context: &Context, id: &ObjectId, draft: &Draft) -> kube::Result<Option<u64>> {
    match id.kind {
        ObjectKind::ModelDeployment => apply::<ModelDeployment>(context, id, draft).await,
        ObjectKind::VirtualKey => apply::<VirtualKey>(context, id, draft).await,
        ObjectKind::Budget => apply::<Budget>(context, id, draft).await,
        ObjectKind::Secret | ObjectKind::File => Ok(None),
    }
}

async fn apply<K: Namespaced + Default>(context: &Context, id: &ObjectId, draft: &Draft) -> kube::Result<Option<u64>> {
    let mut object = K::default();
    *object.meta_mut() = ObjectMeta {
        namespace: Some(id.object.namespace.clone()),
        name: Some(id.object.name.clone()),
        uid: draft.uid.clone(),
        ..ObjectMeta::default()
    };
    let written = apply_status(context, &object, &draft.after).await?;
    Ok(written.resource_version().and_then(|version| version.parse().ok()))
}

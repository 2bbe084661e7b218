//! Loads `LoRA` adapters into running engines, and unloads those that are not wanted any more.
//!
//! ```text
//!  ready pod ─ GET /v1/models ─▶ what it has ─ changes ─▶ POST unload, load ─▶ Report::Adapters
//!     ▲                                                        │
//!     └──── other adapters, another container, a minute later ─┴─ failure: later each time
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use k8s_openapi::api::core::v1::Pod;
use kube::{Resource, ResourceExt};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, sleep_until};
use turnpike_bundle::{
    entry::ObjectRef,
    problem::{ObjectId, ObjectKind},
};
use turnpike_crds::{
    ModelDeployment,
    model_deployment::{Engine, Vllm},
};
use turnpike_engine::{children::lora_path, names, state::is_ready};

use crate::{
    context::Context,
    engine::{
        Report,
        ask::{Question, address, ask, key},
    },
    kit::{
        ask::AskError,
        backoff::{Failure, Retries, jitter},
        events::EventType,
    },
    world::World,
};

/// A pod that has all is asked again after this: it may have been restarted without a trace.
const EVERY: Duration = Duration::from_mins(1);
/// A list is told at once.
const LIST: Duration = Duration::from_secs(5);
/// An adapter is downloaded first.
const LOAD: Duration = Duration::from_mins(10);
/// Pods that are worked on at the same time.
const PARALLEL: usize = 16;

/// Names and paths.
pub type Adapters = BTreeMap<String, String>;

/// One change of a pod's adapters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The adapter of this name goes.
    Unload(String),
    /// The adapter of this name comes from this path.
    Load(String, String),
}

/// What has to change. One that lies elsewhere now goes before it comes.
pub fn changes(wanted: &Adapters, loaded: &Adapters) -> Vec<Change> {
    let stale = loaded.iter().filter(|(name, path)| wanted.get(*name) != Some(path));
    let missing = wanted.iter().filter(|(name, path)| loaded.get(*name) != Some(path));
    stale
        .map(|(name, _)| Change::Unload(name.clone()))
        .chain(missing.map(|(name, path)| Change::Load(name.clone(), path.clone())))
        .collect()
}

/// The adapters among the models that an engine lists: those that have a parent.
///
/// # Errors
/// It is no list of models.
pub fn loaded(body: &[u8]) -> serde_json::Result<Adapters> {
    #[derive(Deserialize)]
    struct List {
        data: Vec<Model>,
    }
    #[derive(Deserialize)]
    struct Model {
        id: String,
        root: Option<String>,
        parent: Option<String>,
    }
    let list: List = serde_json::from_slice(body)?;
    let adapters = list.data.into_iter().filter(|model| model.parent.is_some());
    Ok(adapters.map(|model| (model.id, model.root.unwrap_or_default())).collect())
}

/// The adapters that a model wants in every pod; `None` = it takes none at run time.
fn wanted(spec: &Vllm) -> Option<Adapters> {
    let lora = spec.lora.as_ref().filter(|_| spec.engine == Engine::Vllm)?;
    let adapters = lora.adapters.iter();
    Some(adapters.filter_map(|adapter| Some((adapter.name.clone(), lora_path(&adapter.source)?))).collect())
}

/// What a pod should have, and how it is told so.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    model: ObjectRef,
    pod: String,
    address: SocketAddr,
    key: String,
    adapters: Adapters,
    /// Uid and restarts: another container has none.
    life: (String, i32),
}

/// Why a pod does not have what it should.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It did not answer as it should.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// It lists its models in another way.
    #[error("its list of models cannot be read: {0}")]
    List(#[from] serde_json::Error),
}

/// What came of one pod.
#[derive(Debug)]
pub struct Brought {
    /// What it has now; `None` = it did not say.
    pub has: Option<Adapters>,
    /// What went wrong first, and with which adapter.
    pub failed: Option<(Option<String>, Error)>,
}

/// A pod by its model and name.
type Name = (ObjectRef, String);

/// Loads and unloads until the watches have ended.
pub async fn run(mut context: Context) {
    let mut keeper = Keeper::default();
    let mut running: FuturesUnordered<BoxFuture<'static, (Target, Brought)>> = FuturesUnordered::new();
    loop {
        let now = Instant::now();
        let targets = targets(&context);
        for target in keeper.due(&context, targets, now, PARALLEL.saturating_sub(running.len())) {
            running.push(
                async move {
                    let brought = bring(target.address, &target.key, &target.adapters).await;
                    (target, brought)
                }
                .boxed(),
            );
        }
        let wake = keeper.wake().unwrap_or(now + EVERY).max(now + Duration::from_secs(1));
        tokio::select! {
            changed = context.engines.changed() => if changed.is_err() { return },
            changed = context.world.changed() => if changed.is_err() { return },
            Some((target, brought)) = running.next() => keeper.done(&context, target, brought, Instant::now()),
            () = sleep_until(wake) => {}
        }
    }
}

#[derive(Default)]
struct Keeper {
    running: BTreeSet<Name>,
    /// What each pod was brought to, and until when that is believed.
    done: BTreeMap<Name, (Target, Instant)>,
    retries: Retries<Name>,
    told: BTreeMap<Name, String>,
}

impl Keeper {
    /// The pods to be worked on now, at most so many.
    fn due(&mut self, context: &Context, targets: BTreeMap<Name, Target>, now: Instant, most: usize) -> Vec<Target> {
        let gone: Vec<Name> = self.done.keys().filter(|name| !targets.contains_key(name)).cloned().collect();
        for name in gone {
            context.engine_reports.tell(&name.0, Report::Adapters(name.1.clone(), None));
            self.done.remove(&name);
            self.told.remove(&name);
        }
        for name in self.retries.due(now) {
            if !targets.contains_key(&name) {
                self.retries.forget(&name);
            }
        }
        let is_due = |(name, target): &(Name, Target)| {
            let is_done = self.done.get(name).is_some_and(|(done, until)| done == target && now < *until);
            !is_done && !self.running.contains(name) && !self.retries.waits(name, now)
        };
        let due: Vec<(Name, Target)> = targets.into_iter().filter(is_due).take(most).collect();
        self.running.extend(due.iter().map(|(name, _)| name.clone()));
        due.into_iter().map(|(_, target)| target).collect()
    }

    fn wake(&self) -> Option<Instant> {
        let idle = |name: &Name| !self.running.contains(name);
        let done = self.done.iter().filter(|(name, _)| idle(name)).map(|(_, (_, until))| *until).min();
        done.into_iter().chain(self.retries.next()).min()
    }

    fn done(&mut self, context: &Context, target: Target, brought: Brought, now: Instant) {
        let Brought { has, failed } = brought;
        let name = (target.model.clone(), target.pod.clone());
        self.running.remove(&name);
        if let Some(has) = has {
            let names = has.into_keys().collect();
            context.engine_reports.tell(&name.0, Report::Adapters(name.1.clone(), Some(names)));
        }
        match failed {
            None => {
                self.retries.forget(&name);
                self.told.remove(&name);
                self.done.insert(name, (target, now + EVERY));
            }
            Some((adapter, error)) => {
                self.tell(context, &name, adapter, &error);
                self.retries.fail(name.clone(), Failure::Error, now, jitter());
                self.done.insert(name, (target, now));
            }
        }
    }

    /// Once for each thing that goes wrong in a row.
    fn tell(&mut self, context: &Context, name: &Name, adapter: Option<String>, error: &Error) {
        let Some(adapter) = adapter else {
            tracing::debug!(model = %name.0, pod = name.1, %error, "the adapters of a pod are not known");
            return;
        };
        let note = format!("the adapter {adapter} could not be loaded or unloaded in pod {}: {error}", name.1);
        if self.told.insert(name.clone(), note.clone()).as_ref() != Some(&note)
            && let Some(model) = context.world.borrow().models.get(&name.0)
        {
            context.events.publish(model.object_ref(&()), EventType::Warning, "AdapterFailed", "LoadAdapter", note);
        }
    }
}

/// Every ready pod of a served model that takes adapters.
fn targets(context: &Context) -> BTreeMap<Name, Target> {
    let (world, engines) = (context.world.borrow().clone(), context.engines.borrow().clone());
    let published = context.published.borrow().clone();
    let mut targets = BTreeMap::new();
    for (at, engine) in engines.iter() {
        let id = ObjectId { kind: ObjectKind::ModelDeployment, object: at.clone() };
        // Also that says that the key may be used.
        let is_served = published.objects.get(&id).is_some_and(|compiled| compiled.digest.is_some());
        let model = world.models.get(at).filter(|model| is_served && model.metadata.deletion_timestamp.is_none());
        let Some((adapters, key)) = model.and_then(|model| needs(&world, at, model)) else { continue };
        for (pod, object) in engine.pods.iter().filter(|(_, pod)| is_ready(pod)) {
            let Some(address) = address(object, names::PORT) else { continue };
            let (model, pod, life) = (at.clone(), pod.clone(), life(object));
            let target =
                Target { model, pod: pod.clone(), address, key: key.clone(), adapters: adapters.clone(), life };
            targets.insert((at.clone(), pod), target);
        }
    }
    targets
}

fn needs(world: &World, at: &ObjectRef, model: &Arc<ModelDeployment>) -> Option<(Adapters, String)> {
    let spec = model.spec.vllm.as_ref()?;
    let adapters = wanted(spec)?;
    Some((adapters, key(world, at, spec)?))
}

fn life(pod: &Pod) -> (String, i32) {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    (pod.uid().unwrap_or_default(), statuses.iter().map(|status| status.restart_count).sum())
}

/// Brings a pod to what it should have. One adapter that fails does not hold up the others.
pub async fn bring(address: SocketAddr, key: &str, wanted: &Adapters) -> Brought {
    let send = async |path, body, patience| ask(Question { address, body, path, key: Some(key), patience }).await;
    let listed = match send("/v1/models", None, LIST).await {
        Ok(body) => loaded(&body).map_err(Error::from),
        Err(error) => Err(error.into()),
    };
    let mut has = match listed {
        Ok(listed) => listed,
        Err(error) => return Brought { has: None, failed: Some((None, error)) },
    };
    let mut failed = None;
    for change in changes(wanted, &has) {
        let (path, name, body) = match &change {
            Change::Unload(name) => ("/v1/unload_lora_adapter", name, json!({ "lora_name": name })),
            Change::Load(name, from) => {
                ("/v1/load_lora_adapter", name, json!({ "lora_name": name, "lora_path": from }))
            }
        };
        match (send(path, Some(body), LOAD).await, &change) {
            (Ok(_), Change::Unload(name)) => drop(has.remove(name)),
            (Ok(_), Change::Load(name, from)) => drop(has.insert(name.clone(), from.clone())),
            (Err(error), _) => failed = failed.or(Some((Some(name.clone()), error.into()))),
        }
    }
    Brought { has: Some(has), failed }
}

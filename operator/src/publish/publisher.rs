//! Keeps the cluster's bundle what the world is: the one task that writes it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Instant, sleep, sleep_until},
};
use turnpike_bundle::{Bundle, layout::MANIFEST};

mod done;
mod mending;
mod moved;
mod overtake;

use crate::{
    context::Context,
    kit::backoff::{Backoff, Failure, brief, jitter},
    publish::{
        Published,
        compile::{Compilation, Compiler, Picture},
        endpoints::Endpoints,
        format::TooOld,
        mint,
        own::{self, Seen},
        plan::{Observed, Write, plan},
        previous::Previous,
        settle::settle,
        store::Store,
        touch::Target,
        verdict::Foreign,
    },
    world::World,
};

/// Requests side by side.
const PARALLEL: usize = 16;
/// Longest pause after a failure: gateways wait for what is not published.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often the tokens' age is looked at.
const TOKENS_EVERY: Duration = Duration::from_hours(1);

/// Why a publication did not come about.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("{}", brief(.0))]
    Kube(#[from] kube::Error),
    #[error("the bundle could not be compiled: {0}")]
    Compile(#[from] tokio::task::JoinError),
    #[error(transparent)]
    Foreign(#[from] Foreign),
}

/// What is published, and what of the cluster is known.
pub(super) struct Publisher {
    context: Context,
    store: Store,
    sender: watch::Sender<Arc<Published>>,
    target: watch::Sender<Arc<Target>>,
    world: watch::Receiver<Arc<World>>,
    /// Where engines' pods are; `None` = not known yet.
    endpoints: watch::Receiver<Option<Endpoints>>,
    /// [`World::inputs`] of what was last published.
    inputs: u64,
    previous: Arc<Previous>,
    compiler: Compiler,
    observed: Observed,
    /// resourceVersions of this process' own writes, by part, that the watch has not shown yet.
    unseen: BTreeMap<String, BTreeSet<String>>,
    /// What was compiled of which picture and not published yet: tried again as it is, so that nothing is written twice.
    pending: Option<(Arc<World>, Compilation)>,
    /// Above every version that was compiled.
    floor: u64,
    /// Hashes of manifests that were tried to be written since the last one that certainly was.
    tried: BTreeSet<String>,
    backoff: Backoff,
    /// Something may have to be written, and since when.
    dirty: Option<Instant>,
    /// Not before.
    pause: Option<Instant>,
    /// Gateways that could not read what would be written; `None` = all could.
    too_old: Option<TooOld>,
}

impl Publisher {
    pub(super) fn new(
        context: Context,
        endpoints: watch::Receiver<Option<Endpoints>>,
        sender: watch::Sender<Arc<Published>>,
        target: watch::Sender<Arc<Target>>,
    ) -> Self {
        Self {
            store: Store::new(context.clone()),
            world: context.world.clone(),
            endpoints,
            inputs: 0,
            context,
            sender,
            target,
            previous: Arc::default(),
            compiler: Compiler::default(),
            observed: Observed::new(),
            unseen: BTreeMap::new(),
            pending: None,
            floor: 0,
            tried: BTreeSet::new(),
            backoff: Backoff::default(),
            dirty: None,
            pause: None,
            too_old: None,
        }
    }

    /// Works until another process has published something newer.
    pub(super) async fn run(mut self) -> Foreign {
        // Without tokens nobody could ask gateways what they have loaded.
        let mut tokens_due = self.mint().await;
        while let Err(fault) = self.read_all().await {
            self.wait_after(&fault);
            sleep_until(self.pause.unwrap_or_else(Instant::now)).await;
        }
        (self.backoff, self.pause) = (Backoff::default(), None);
        // The first picture is complete; before it there is nothing to publish.
        if self.world.changed().await.is_err() {
            return std::future::pending().await;
        }
        self.dirty = Some(Instant::now());
        let mut seeing = own::watch(&self.context);
        let mut gateways = self.context.gateways.clone();
        loop {
            let step = self.next_step();
            let outcome = tokio::select! {
                Some(seen) = seeing.next() => {
                    if seen == Seen::Tokens {
                        tokens_due = Instant::now();
                    }
                    self.look(seen).await
                }
                Ok(()) = self.world.changed() => {
                    let first = Instant::now();
                    settle(&mut self.world, first).await;
                    // A status alone changes nothing of what is served.
                    if self.world.borrow_and_update().inputs != self.inputs {
                        self.dirty.get_or_insert(first);
                    }
                    Ok(())
                }
                Ok(()) = gateways.changed() => {
                    self.overtake();
                    self.reformat();
                    Ok(())
                }
                Ok(()) = self.endpoints.changed() => {
                    self.relocate();
                    Ok(())
                }
                () = sleep_until(tokens_due) => {
                    tokens_due = self.mint().await;
                    Ok(())
                }
                () = sleep_until(step.unwrap_or_else(Instant::now)), if step.is_some() => self.publish().await,
            };
            match outcome {
                Ok(()) => {}
                Err(Fault::Foreign(foreign)) => return foreign,
                Err(fault) => self.wait_after(&fault),
            }
        }
    }

    /// When to publish; `None` = there is nothing to.
    fn next_step(&self) -> Option<Instant> {
        let since = self.dirty?;
        let blocked = self.too_old.as_ref().is_some_and(|too_old| self.format().as_ref() == Err(too_old));
        (!blocked).then(|| self.pause.unwrap_or(since))
    }

    /// Makes the tokens, as often as it takes. The answer: when to look at them again.
    async fn mint(&mut self) -> Instant {
        let mut backoff = Backoff::default();
        loop {
            match mint::ensure(&self.context, Timestamp::now()).await {
                Ok(due) => {
                    let left = due.and_then(|due| Duration::try_from(due.duration_since(Timestamp::now())).ok());
                    // A second more, so that it is due by then.
                    return Instant::now() + left.unwrap_or_default().min(TOKENS_EVERY) + Duration::from_secs(1);
                }
                Err(error) => {
                    tracing::warn!(%error, "the gateways' tokens cannot be made yet");
                    sleep(backoff.fail(Failure::Error, jitter()).min(LONGEST_PAUSE)).await;
                }
            }
        }
    }

    /// Reads what the leader before has published.
    async fn read_all(&mut self) -> Result<(), Fault> {
        let manifest = self.store.read(MANIFEST).await?;
        let bytes = manifest.as_ref().and_then(|part| part.bytes(MANIFEST)).map(<[u8]>::to_vec);
        let listed = bytes.as_deref().and_then(|bytes| turnpike_bundle::Manifest::from_bytes(bytes).ok());
        let names: Vec<String> =
            listed.iter().flat_map(|manifest| &manifest.shards).map(|shard| shard.name.clone()).collect();
        let store = &self.store;
        let read = async |name: String| store.read(&name).await.map(|part| part.map(|part| (name, part)));
        let mut found: Vec<_> = stream::iter(names)
            .map(read)
            .buffer_unordered(PARALLEL)
            .try_filter_map(async |part| Ok(part))
            .try_collect()
            .await?;
        let shards = found.iter().filter_map(|(name, part)| Some((name.clone(), part.bytes(name)?.to_vec()))).collect();
        let now = now_ms();
        let previous = spawn_blocking(move || Previous::read(bytes.as_deref(), &shards, now)).await?;
        found.extend(manifest.map(|part| (MANIFEST.to_owned(), part)));
        self.observed = found.into_iter().map(|(name, part)| (name.clone(), self.store.lying(&name, &part))).collect();
        self.previous = Arc::new(previous);
        self.tried.clear();
        Ok(())
    }

    /// Compiles the world as it is and writes what differs.
    async fn publish(&mut self) -> Result<(), Fault> {
        let since = self.dirty.take().unwrap_or_else(Instant::now);
        let published = self.try_publish(since).await;
        if published.is_ok() {
            (self.backoff, self.pause) = (Backoff::default(), None);
        } else {
            self.dirty.get_or_insert(since);
        }
        published
    }

    async fn try_publish(&mut self, since: Instant) -> Result<(), Fault> {
        let format = match self.format() {
            Ok(format) => format,
            Err(too_old) => {
                self.tell_too_old(too_old);
                self.dirty.get_or_insert(since);
                return Ok(());
            }
        };
        self.too_old = None;
        let world = Arc::clone(&self.world.borrow_and_update());
        let endpoints = self.endpoints();
        let is_same = |(of, compiled): &(Arc<World>, Compilation)| {
            let manifest = &compiled.bundle.manifest;
            Arc::ptr_eq(of, &world) && compiled.endpoints == endpoints && manifest.format == format
        };
        let compiled = match self.pending.take().filter(is_same) {
            Some((_, compiled)) => compiled,
            None => self.compile(Arc::clone(&world), endpoints, format).await?,
        };
        let stages = plan(&compiled.bundle, &self.observed, &self.previous.credentials);
        let (deletes, applies): (Vec<_>, Vec<_>) =
            stages.into_iter().partition(|stage| stage.iter().any(|write| matches!(write, Write::Delete(_))));
        let wrote = !applies.is_empty();
        for stage in applies {
            if let Err(fault) = self.write(stage, &compiled.bundle).await {
                self.pending = Some((world, compiled));
                return Err(fault);
            }
        }
        self.done(compiled, wrote.then_some(since));
        self.inputs = world.inputs;
        for stage in deletes {
            self.delete(stage).await?;
        }
        Ok(())
    }

    async fn compile(&mut self, world: Arc<World>, endpoints: Endpoints, format: u32) -> Result<Compilation, Fault> {
        let (settings, previous) = (Arc::clone(&self.context.settings), Arc::clone(&self.previous));
        // One that panics forgets what it knows.
        let (floor, mut compiler) = (self.floor, std::mem::take(&mut self.compiler));
        let work = move || {
            let picture = Picture { world: &world, endpoints: &endpoints, format };
            let compiled = compiler.compile(picture, &settings.bundle, &previous, now_ms().max(floor));
            (compiled, compiler)
        };
        let (compiled, compiler) = spawn_blocking(work).await?;
        self.compiler = compiler;
        // Another picture never gets the version of one that was perhaps written in part.
        self.floor = compiled.bundle.manifest.version.saturating_add(1);
        Ok(compiled)
    }

    /// One stage: all of it is tried, then the first fault counts.
    async fn write(&mut self, stage: Vec<Write>, bundle: &Bundle) -> Result<(), Fault> {
        let parts = stage.into_iter().filter_map(|write| match write {
            Write::Apply(part) => Some((bytes(bundle, &part), part)),
            Write::Delete(_) => None,
        });
        let (store, observed) = (&self.store, &self.observed);
        let write = async |(bytes, part): (Vec<u8>, String)| {
            let written = store.write(&part, &bytes, observed.get(&part)).await;
            (part, written)
        };
        if self.previous.manifest.as_ref() != Some(&bundle.manifest) {
            self.tried.insert(bundle.manifest.hash.clone());
        }
        let written: Vec<_> = stream::iter(parts).map(write).buffer_unordered(PARALLEL).collect().await;
        let mut outcome = Ok(());
        for (part, written) in written {
            match written {
                Ok(lying) => {
                    self.unseen.entry(part.clone()).or_default().insert(lying.resource_version.clone());
                    self.observed.insert(part, lying);
                }
                Err(error) => {
                    // Whatever is there now was written by somebody else, or by us without knowing.
                    self.reread(&part).await?;
                    if outcome.is_ok() {
                        outcome = Err(Fault::Kube(error));
                    }
                }
            }
        }
        outcome
    }

    async fn delete(&mut self, stage: Vec<Write>) -> Result<(), Fault> {
        for write in stage {
            let (Write::Delete(part) | Write::Apply(part)) = write;
            let Some(lying) = self.observed.get(&part) else { continue };
            if let Err(error) = self.store.delete(&part, lying).await {
                self.reread(&part).await?;
                return Err(error.into());
            }
            self.observed.remove(&part);
        }
        Ok(())
    }

    fn wait_after(&mut self, fault: &Fault) {
        let failure = match fault {
            Fault::Kube(error) => Failure::of(error),
            Fault::Compile(_) | Fault::Foreign(_) => Failure::Error,
        };
        let pause = self.backoff.fail(failure, jitter()).min(LONGEST_PAUSE);
        tracing::warn!(%fault, pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX), "publishing failed; trying again");
        let now = Instant::now();
        self.pause = Some(now + pause);
        self.dirty.get_or_insert(now);
    }
}

fn bytes(bundle: &Bundle, part: &str) -> Vec<u8> {
    if part == MANIFEST {
        return bundle.manifest.to_bytes();
    }
    bundle.shards.iter().find(|shard| shard.name == part).map(|shard| shard.bytes.clone()).unwrap_or_default()
}

fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default()
}

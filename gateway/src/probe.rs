//! Asks backends whether they are there, and tells how all of them stand.
//!
//! ```text
//!  snapshot ─▶ targets: one for each URL, due in its interval ─▶ ask ─▶ health of the models behind it (routing)
//!  every half second: health of each model ─▶ watch ─▶ log, metrics, /health/readiness, report to the operator
//! ```
//! One task in a process does all of it, however many runtimes serve. A backend that is dead is found before a request is
//! sent to it, and one that is back is tried within an interval; what requests say outweighs what probes say.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::watch as channel,
    task::{AbortHandle, JoinSet},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use turnpike_bundle::report::{BackendState, UnhealthyBackend};
use turnpike_routing::Moment;

use self::{
    target::{Fault, Found, Key, Targets, Verdict},
    watch::{News, Sight, Watch, outage, sight},
};
use crate::{
    app::App,
    config::snapshot::{Backend, Engine, Model, Snapshot},
    pipeline::journey::now as moment,
    upstream::connect::Connector,
};

mod ask;
pub mod target;
pub mod watch;

/// How often it is looked at how backends stand.
const TICK: Duration = Duration::from_millis(500);
/// Most probes under way at once.
const MOST: usize = 16;

/// The backends that take no requests, for whoever wants to know.
#[derive(Debug, Default)]
pub struct Unhealthy(channel::Sender<Arc<Vec<UnhealthyBackend>>>);

impl Unhealthy {
    /// All of them, by model.
    pub fn all(&self) -> Arc<Vec<UnhealthyBackend>> {
        Arc::clone(&self.0.borrow())
    }

    /// Calls `tell` whenever there are others, until it is aborted. Needs a runtime.
    pub fn tell(&self, tell: impl Fn(&[UnhealthyBackend]) + Send + 'static) -> AbortHandle {
        let mut changes = self.0.subscribe();
        let telling = async move {
            while changes.changed().await.is_ok() {
                let all = Arc::clone(&changes.borrow_and_update());
                tell(&all);
            }
        };
        tokio::spawn(telling).abort_handle()
    }

    fn set(&self, all: Vec<UnhealthyBackend>) {
        self.0.send_replace(Arc::new(all));
    }
}

/// When each backend was probed last, and why that failed, for whoever wants to know.
#[derive(Debug, Default)]
pub struct Probed(Mutex<BTreeMap<Arc<str>, Last>>);

/// When, in seconds since the epoch, and why it failed.
type Last = (i64, Option<Fault>);

impl Probed {
    /// The last probe of a model: seconds since the epoch, and `None` = it was answered.
    pub fn last(&self, model: &str) -> Option<Last> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(model).copied()
    }

    fn set(&self, model: &Arc<str>, at: i64, fault: Option<Fault>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(Arc::clone(model), (at, fault));
    }

    fn retain(&self, snapshot: &Snapshot) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|id, _| snapshot.models.iter().any(|model| model.id == *id));
    }
}

/// The task; it ends when this is dropped.
pub struct Probing(AbortHandle);

impl Drop for Probing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Begins to probe the backends of whatever is in force.
pub fn start(app: &Arc<App>, connector: &Connector) -> Probing {
    let prober = Prober {
        app: Arc::clone(app),
        connector: connector.clone(),
        snapshot: Arc::default(),
        targets: Targets::default(),
        watches: BTreeMap::new(),
        asking: JoinSet::new(),
    };
    Probing(tokio::spawn(prober.run()).abort_handle())
}

struct Prober {
    app: Arc<App>,
    connector: Connector,
    snapshot: Arc<Snapshot>,
    targets: Targets,
    watches: BTreeMap<Arc<str>, Watch>,
    asking: JoinSet<(Key, Found)>,
}

impl Prober {
    async fn run(mut self) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.ask();
            let next = self.targets.next().filter(|_| self.asking.len() < MOST);
            tokio::select! {
                _ = ticks.tick() => {
                    self.follow();
                    self.look();
                }
                // A probe never panics, and is cancelled only with this task.
                Some(Ok((key, found))) = self.asking.join_next() => self.take(&key, found),
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
        }
    }

    /// Takes over another snapshot.
    fn follow(&mut self) {
        let snapshot = self.app.live.load();
        if snapshot.generation != self.snapshot.generation {
            self.targets.follow(&snapshot, Instant::now(), rand::random);
            self.app.probed.retain(&snapshot);
            self.watches.retain(|id, _| snapshot.models.iter().any(|model| model.id == *id));
            self.snapshot = snapshot;
        }
    }

    fn ask(&mut self) {
        for (key, target) in self.targets.due(Instant::now(), MOST.saturating_sub(self.asking.len())) {
            let connector = self.connector.clone();
            self.asking.spawn(async move { (key, ask::ask(&connector, &target).await) });
        }
    }

    fn take(&mut self, key: &Key, found: Found) {
        let Some((target, verdict)) = self.targets.answered(key, found, Instant::now(), rand::random()) else { return };
        let fault = match found {
            Found::Down(fault) => Some(fault),
            Found::Up | Found::Nothing => None,
        };
        for model in &target.models {
            match verdict {
                Verdict::Up => model.live.health.probe_answered(moment()),
                Verdict::Missed => model.live.health.probe_missed(&model.traits, moment()),
                Verdict::Elsewhere => continue,
            }
            self.app.probed.set(&model.id, jiff::Timestamp::now().as_second(), fault);
        }
    }

    /// How all backends stand.
    fn look(&mut self) {
        let (now, moment, wall) = (Instant::now(), moment(), jiff::Timestamp::now().as_second());
        let faults = self.targets.faults();
        let mut changed = false;
        for model in self.snapshot.models.iter().filter(|model| matches!(model.backend, Backend::Provider(_))) {
            let engine = self.snapshot.engines.iter().find(|engine| Arc::ptr_eq(&engine.model, model));
            let (sight, outage) = if let Some(engine) = engine {
                of_engine(engine, moment)
            } else {
                let standing = model.live.health.standing(moment);
                let sight = sight(standing, faults.get(&*model.id).copied());
                (sight, outage(standing, sight))
            };
            if !self.watches.contains_key(&model.id) {
                self.watches.insert(Arc::clone(&model.id), Watch::default());
            }
            let Some(watch) = self.watches.get_mut(&model.id) else { continue };
            let News { told, cooled } = watch.look(sight, now, wall);
            self.app.metrics.deployment(model, outage, cooled);
            if told {
                changed = true;
                say(model, watch);
            }
        }
        let known = self.app.unhealthy.all();
        if changed || known.iter().any(|known| !self.watches.contains_key(&*known.model)) {
            self.app.unhealthy.set(self.unhealthy());
        }
    }

    fn unhealthy(&self) -> Vec<UnhealthyBackend> {
        let told = self.watches.iter().filter_map(|(id, watch)| Some((id, watch.told()?)));
        told.map(|(id, told)| UnhealthyBackend {
            model: id.to_string(),
            state: told.state,
            since: told.since,
            reason: told.reason.clone(),
        })
        .collect()
    }
}

/// How an engine stands, by its replicas: it takes requests as long as one of them does. That it has none is no news of this gateway.
fn of_engine(engine: &Engine, now: Moment) -> (Sight, i64) {
    let standings = engine.replicas.iter().map(|replica| replica.live.health.standing(now));
    let seen: Vec<(Sight, i64)> = standings
        .map(|standing| {
            let sight = sight(standing, None);
            (sight, outage(standing, sight))
        })
        .collect();
    let is_well = seen.is_empty() || seen.iter().any(|(sight, _)| *sight == Sight::Well);
    let outages = || seen.iter().map(|(_, outage)| *outage);
    let outage = match (outages().min(), outages().max()) {
        (Some(0), Some(0)) => 0,
        (Some(2), _) => 2,
        (Some(_), _) => 1,
        (None, _) if engine.entry.is_scaled => 0,
        (None, _) => 2,
    };
    (if is_well { Sight::Well } else { Sight::Cooling }, outage)
}

/// One line for each change.
fn say(model: &Model, watch: &Watch) {
    match watch.told() {
        Some(told) if told.state == BackendState::Down => {
            tracing::warn!(model = %model.id, reason = told.reason, "a backend is down; requests go elsewhere");
        }
        Some(told) => {
            tracing::warn!(model = %model.id, reason = told.reason, "a backend is left alone for a while");
        }
        None => tracing::info!(model = %model.id, "a backend takes requests again"),
    }
}

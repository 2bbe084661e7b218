//! Finds the replicas of engines in this cluster, so that requests are balanced over them and not by a Service.
//!
//! ```text
//!  snapshot ─▶ engines: their names resolved, each address asked which models it serves   engines/addresses.rs, engines/ask.rs
//!  bundle's hints ─▲ │                                 ▲
//!                ▼ verified addresses changed          │ a request could not connect, or met another server
//!              config::reload ─▶ the next snapshot: a member for each address ─▶ requests
//! ```
//! One task in a process does all of it, however many runtimes serve. An address gets requests only while it lists the
//! engine's model and takes the engine's key: one that was given to another pod never sees them.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, JoinSet},
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};
use turnpike_bundle::entry::{EndpointEntry, ObjectRef};

use self::addresses::{Addresses, Answer, Change, Engines as State, Question, Unresolved};
use self::hints::Hints;
use crate::{
    app::App,
    config::{reload::Reload, snapshot::Snapshot},
    pipeline::journey::now as moment,
    upstream::connect::Connector,
};

pub mod addresses;
mod ask;
pub mod hints;

pub use ask::{Find, Resolver};

/// How often it is looked whether another snapshot is in force.
const TICK: Duration = Duration::from_millis(200);
/// Most names being looked up at once: each may keep a thread for seconds.
const MOST_NAMES: usize = 8;
/// Most questions under way at once.
const MOST_QUESTIONS: usize = 32;
/// Between two snapshots for the sake of addresses: many that come together need one.
const QUIET: Duration = Duration::from_millis(50);
/// How long a gateway that starts waits for its engines.
const LOOKING: Duration = Duration::from_secs(5);
/// Until what is due is looked at again, where it has no place among what is under way.
const PAUSE: Duration = Duration::from_millis(10);
/// Suspicions that wait to be looked at; what is beyond is suspected again by the next request.
const SUSPICIONS: usize = 256;

/// What is known of engines' addresses, for whoever compiles snapshots and sends requests.
pub struct Engines {
    addresses: ArcSwap<Addresses>,
    counts: Mutex<Vec<(ObjectRef, [usize; 2])>>,
    /// The engines of the first configuration were looked for.
    settled: watch::Sender<bool>,
    hints: watch::Sender<Hints>,
    suspected: mpsc::Sender<(ObjectRef, SocketAddr)>,
    suspicions: Mutex<Option<mpsc::Receiver<(ObjectRef, SocketAddr)>>>,
}

impl Default for Engines {
    fn default() -> Self {
        let (suspected, suspicions) = mpsc::channel(SUSPICIONS);
        Self {
            addresses: ArcSwap::default(),
            counts: Mutex::default(),
            settled: watch::Sender::new(false),
            hints: watch::Sender::default(),
            suspected,
            suspicions: Mutex::new(Some(suspicions)),
        }
    }
}

impl Engines {
    /// Those that may be sent requests.
    pub fn addresses(&self) -> Arc<Addresses> {
        self.addresses.load_full()
    }

    /// Returns once the engines of this first configuration were looked for, or after a few seconds: a gateway that has just
    /// started would refuse what they could answer.
    pub async fn looked_for(&self, snapshot: &Snapshot) {
        if !snapshot.engines.is_empty() {
            // Late, or gone with its task: requests then meet what is known.
            let _ = timeout(LOOKING, self.settled.subscribe().wait_for(|settled| *settled)).await;
        }
    }

    /// The operator has just said that pods are ready there. Each is asked before it gets requests, like those of DNS.
    pub fn hint(&self, endpoints: &[EndpointEntry]) {
        self.hints.send_replace(Hints { endpoints: endpoints.to_vec(), received: Some(Instant::now()) });
    }

    /// A request found nobody at this address, or somebody else. Never waits.
    pub fn suspect(&self, object: &ObjectRef, address: SocketAddr) {
        // Full: the next request that fails says it again.
        let _ = self.suspected.try_send((object.clone(), address));
    }

    /// How many addresses each engine has, and how many of them are verified.
    pub fn counts(&self) -> Vec<(ObjectRef, [usize; 2])> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The task; it ends when this is dropped.
pub struct Finding(AbortHandle);

impl Drop for Finding {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Begins to find the replicas of the engines of whatever is in force. To be called once.
pub fn start(app: &Arc<App>, reload: Arc<Reload>, connector: &Connector, resolver: Resolver) -> Finding {
    let suspicions = app.engines.suspicions.lock().unwrap_or_else(PoisonError::into_inner).take();
    let finder = Finder {
        app: Arc::clone(app),
        reload,
        connector: connector.clone(),
        resolver: Arc::new(resolver),
        snapshot: Arc::default(),
        state: State::default(),
        tasks: JoinSet::new(),
        names: 0,
        published: None,
    };
    Finding(tokio::spawn(finder.run(suspicions)).abort_handle())
}

/// What a task under way brings.
enum Found {
    Name((ObjectRef, Box<str>), Result<Vec<SocketAddr>, Unresolved>),
    Answer(Box<Question>, Answer),
}

struct Finder {
    app: Arc<App>,
    reload: Arc<Reload>,
    connector: Connector,
    resolver: Arc<Resolver>,
    snapshot: Arc<Snapshot>,
    state: State,
    tasks: JoinSet<Found>,
    /// How many of the tasks look a name up.
    names: usize,
    /// When the last snapshot was made for the sake of addresses.
    published: Option<Instant>,
}

impl Finder {
    async fn run(mut self, suspicions: Option<mpsc::Receiver<(ObjectRef, SocketAddr)>>) {
        let Some(mut suspicions) = suspicions else { return };
        let mut hints = self.app.engines.hints.subscribe();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.publish().await;
            self.begin();
            let next = self.wake();
            tokio::select! {
                _ = ticks.tick() => self.follow(),
                // Nothing in there panics, and it is cancelled only with this task.
                Some(Ok(found)) = self.tasks.join_next() => self.take(found),
                Some((object, address)) = suspicions.recv() => self.suspect(&object, address),
                Ok(()) = hints.changed() => self.state.hint(hints.borrow_and_update().clone(), Instant::now()),
                () = sleep_until(next) => {}
            }
        }
    }

    /// When there is something to do at the latest.
    fn wake(&self) -> Instant {
        let now = Instant::now();
        // What is due and has no place yet is looked at again soon.
        let next = self.state.next().map_or(now + TICK, |next| next.max(now + PAUSE));
        let quiet = self.published.map(|published| published + QUIET).filter(|end| *end > now);
        quiet.map_or(next, |end| next.min(end))
    }

    /// Takes over another snapshot.
    fn follow(&mut self) {
        let snapshot = self.app.live.load();
        if !Arc::ptr_eq(&snapshot, &self.snapshot) {
            self.state.follow(&snapshot, Instant::now());
            self.snapshot = snapshot;
        }
    }

    fn begin(&mut self) {
        let now = Instant::now();
        for (object, host, port) in self.state.to_resolve(now, MOST_NAMES.saturating_sub(self.names)) {
            self.names += 1;
            let resolver = Arc::clone(&self.resolver);
            self.tasks.spawn(async move {
                let found = resolver.resolve(&host, port).await;
                Found::Name((object, host), found)
            });
        }
        let asking = self.tasks.len().saturating_sub(self.names);
        for question in self.state.to_ask(now, MOST_QUESTIONS.saturating_sub(asking)) {
            let connector = self.connector.clone();
            self.tasks.spawn(async move {
                let answer = ask::ask(&connector, &question).await;
                Found::Answer(Box::new(question), answer)
            });
        }
    }

    fn take(&mut self, found: Found) {
        let (now, luck) = (Instant::now(), rand::random());
        match found {
            Found::Name((object, host), found) => {
                self.names = self.names.saturating_sub(1);
                self.state.resolved((&object, &host), found, now, luck);
            }
            Found::Answer(question, answer) => {
                let change = self.state.answered(&question, answer, now, luck);
                self.tell(&question, change);
            }
        }
    }

    /// What an answer says of a replica's health, and of its place.
    fn tell(&self, question: &Question, change: Change) {
        let (model, address) = (&question.object, question.address);
        if change == Change::Lost {
            tracing::warn!(%model, %address, "an address no longer serves the engine's model; it gets no more requests");
        }
        let engine = self.snapshot.engines.iter().find(|engine| engine.model.entry.object == *model);
        let replica = engine.and_then(|engine| engine.replicas.iter().find(|replica| replica.address == Some(address)));
        let Some(replica) = replica else { return };
        match change {
            Change::Verified => replica.live.health.probe_answered(moment()),
            Change::Silent => replica.live.health.probe_missed(&replica.traits, moment()),
            Change::Lost | Change::None => {}
        }
    }

    fn suspect(&mut self, object: &ObjectRef, address: SocketAddr) {
        if self.state.suspect(object, address, Instant::now()) {
            // At once, whatever came just before.
            self.published = None;
            tracing::warn!(model = %object, %address, "requests to an address fail; it gets no more until it answers again");
        }
    }

    /// Puts another snapshot in force where the addresses are others. The first change is told at once, many in a row now and then.
    async fn publish(&mut self) {
        let now = Instant::now();
        if self.published.is_some_and(|published| now < published + QUIET) {
            return;
        }
        let addresses = self.state.verified(now);
        if addresses != **self.app.engines.addresses.load() {
            self.app.engines.addresses.store(Arc::new(addresses));
            let reload = Arc::clone(&self.reload);
            // A panic in there was told by the panic hook; the next change is another try.
            let _ = tokio::task::spawn_blocking(move || reload.readdress()).await;
            self.published = Some(Instant::now());
            self.follow();
        }
        // Last: whoever sees a verified address may rely on it.
        *self.app.engines.counts.lock().unwrap_or_else(PoisonError::into_inner) = self.state.counts();
        if !self.snapshot.engines.is_empty() && self.state.is_settled() {
            self.app.engines.settled.send_replace(true);
        }
    }
}

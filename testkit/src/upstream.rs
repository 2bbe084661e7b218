//! A scripted provider that speaks `OpenAI`'s dialect or another one, refuses what the real one refuses and records what it
//! saw.
//!
//! A request is answered by, in this order: the script queued for its model, the next queued script, the standing
//! script of its model, a natural answer to its route.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, AtomicU64, Ordering},
    },
};

use rustls::ServerConfig;
use serde_json::Value;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use crate::{
    provider::{Dialect, OpenAi},
    tls::Authority,
    wait::within,
};

pub(crate) mod answer;
mod record;
mod script;
mod serve;
pub(crate) mod strict;
mod wire;

pub(crate) use answer::vector;
pub use answer::{Parts, Say, Usage};
pub use record::{Handshake, Outcome, Recorded};
pub use script::{Cut, Gate, Script};
pub use strict::Refusal;

/// The running upstream; stops when dropped.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    state: Arc<State>,
    _accepting: JoinSet<()>,
}

/// What connections share.
#[derive(Debug)]
struct State {
    /// `host:port` as its clients must name it.
    authority: String,
    tls: Option<Arc<ServerConfig>>,
    api_key: Option<String>,
    dialect: &'static dyn Dialect,
    models: Option<Vec<String>>,
    queues: Mutex<Queues>,
    log: watch::Sender<Vec<Recorded>>,
    close_idle: watch::Sender<u64>,
    connections: AtomicU64,
    /// Status of `GET /health` and of the list of models; 0 = no answer.
    health: [AtomicU16; 2],
}

#[derive(Debug, Default)]
struct Queues {
    any: VecDeque<Script>,
    by_model: HashMap<String, VecDeque<Script>>,
    standing: HashMap<String, Standing>,
}

/// What is answered while nothing is queued, by what is asked.
struct Standing(Box<dyn Fn(&Value) -> Script + Send>);

impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Standing")
    }
}

/// What the upstream insists on.
#[derive(Clone, Debug)]
pub struct Demands {
    api_key: Option<String>,
    dialect: &'static dyn Dialect,
    models: Option<Vec<String>>,
    host: Option<String>,
    tls: Option<Arc<ServerConfig>>,
    address: SocketAddr,
}

impl Default for Demands {
    fn default() -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { api_key: None, dialect: &OpenAi, models: None, host: None, tls: None, address }
    }
}

impl Demands {
    /// Speaks this instead of `OpenAI`'s dialect.
    #[must_use]
    pub fn speaks(mut self, dialect: &'static dyn Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// Serves TLS, with a certificate for these names and addresses.
    #[must_use]
    pub fn tls(mut self, authority: &Authority, names: &[&str]) -> Self {
        self.tls = Some(authority.server(names));
        self
    }

    /// Goes by this name, in its URL and in the `Host` header of its clients, instead of by its address.
    #[must_use]
    pub fn host(mut self, name: &str) -> Self {
        self.host = Some(name.to_owned());
        self
    }

    /// Listens here: where another one did before.
    #[must_use]
    pub fn at(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Answers 401 to any other key, wherever the dialect has it.
    #[must_use]
    pub fn api_key(mut self, key: &str) -> Self {
        self.api_key = Some(key.to_owned());
        self
    }

    /// Answers 404 to any other model.
    #[must_use]
    pub fn models(mut self, models: &[&str]) -> Self {
        self.models = Some(models.iter().map(|model| (*model).to_owned()).collect());
        self
    }

    /// Starts listening, on a free port of 127.0.0.1 where nothing else was said.
    pub async fn start(self) -> Upstream {
        let listener = TcpListener::bind(self.address).await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let host = self.host.unwrap_or_else(|| address.ip().to_string());
        let state = Arc::new(State {
            authority: format!("{host}:{}", address.port()),
            tls: self.tls,
            api_key: self.api_key,
            dialect: self.dialect,
            models: self.models,
            queues: Mutex::default(),
            log: watch::Sender::new(Vec::new()),
            close_idle: watch::Sender::new(0),
            connections: AtomicU64::new(0),
            health: [AtomicU16::new(200), AtomicU16::new(200)],
        });
        let mut accepting = JoinSet::new();
        accepting.spawn(serve::accept(listener, Arc::clone(&state)));
        Upstream { address, state, _accepting: accepting }
    }
}

impl Upstream {
    /// An upstream without demands beyond the dialect's own.
    pub async fn start() -> Self {
        Demands::default().start().await
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL of its API, with `/v1`.
    pub fn url(&self) -> String {
        format!("{}/v1", self.root())
    }

    /// Host and port as in its URL.
    pub fn authority(&self) -> &str {
        &self.state.authority
    }

    /// Its root, as Azure's base URLs are written.
    pub fn root(&self) -> String {
        let scheme = if self.state.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.state.authority)
    }

    /// Answers the next request, whatever it is, with this.
    pub fn next(&self, script: Script) {
        self.state.queues().any.push_back(script);
    }

    /// Answers the next request for this model with this.
    pub fn next_for(&self, model: &str, script: Script) {
        self.state.queues().by_model.entry(model.to_owned()).or_default().push_back(script);
    }

    /// Answers every request for this model with this, unless one is queued.
    pub fn always(&self, model: &str, script: Script) {
        self.decide(model, move |_| script.clone());
    }

    /// Answers every request for this model, unless a script is queued, as `choose` says of its body.
    pub fn decide(&self, model: &str, choose: impl Fn(&Value) -> Script + Send + 'static) {
        self.state.queues().standing.insert(model.to_owned(), Standing(Box::new(choose)));
    }

    /// All requests so far, in the order in which their heads came.
    pub fn log(&self) -> Vec<Recorded> {
        self.state.log.borrow().clone()
    }

    /// The only request so far.
    pub fn only(&self) -> Recorded {
        let log = self.log();
        match <[Recorded; 1]>::try_from(log) {
            Ok([one]) => one,
            Err(log) => panic!("one request expected, saw {}: {log:#?}", log.len()),
        }
    }

    /// Waits until the log satisfies `condition` and returns it.
    pub async fn wait_for(&self, what: &str, mut condition: impl FnMut(&[Recorded]) -> bool) -> Vec<Recorded> {
        let mut log = self.state.log.subscribe();
        let found = within(what, log.wait_for(|log| condition(log))).await;
        found.expect("the log lives as long as the upstream").clone()
    }

    /// Answers `GET /health`, and the list of models, with these statuses from now on; 0 = not at all.
    pub fn health(&self, health: u16, models: u16) {
        for (place, status) in self.state.health.iter().zip([health, models]) {
            place.store(status, Ordering::Relaxed);
        }
    }

    /// Paths of the GETs so far: probes.
    pub fn probes(&self) -> Vec<String> {
        self.log().into_iter().filter(|asked| asked.method == http::Method::GET).map(|asked| asked.target).collect()
    }

    /// Requests so far that are no probes.
    pub fn calls(&self) -> usize {
        self.log().iter().filter(|asked| asked.method == http::Method::POST).count()
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Closes every connection that has no request in progress, as servers do whose keep-alive ran out.
    pub fn close_idle(&self) {
        self.state.close_idle.send_modify(|round| *round += 1);
    }
}

impl State {
    fn queues(&self) -> std::sync::MutexGuard<'_, Queues> {
        self.queues.lock().expect("no test panics while it holds the queues")
    }

    fn script_for(&self, model: &str, asked: &Value) -> Script {
        let mut queues = self.queues();
        let queued = queues.by_model.get_mut(model).and_then(VecDeque::pop_front);
        let next = queued.or_else(|| queues.any.pop_front());
        next.or_else(|| queues.standing.get(model).map(|standing| standing.0(asked))).unwrap_or_default()
    }
}

/// A base URL on which nothing listens: connecting is refused.
pub async fn refused_url() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound address");
    format!("http://{address}/v1")
}

//! The internal listener: metrics, health in detail and the loaded configuration, for probes, scrapers and the operator.
//!
//! It names models and their problems, so it listens where clients do not reach.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use arc_swap::ArcSwapOption;
use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header};
use serde::Serialize;
use turnpike_bundle::Problem;
use turnpike_ledger::spend_log::{SpendSink, SpendStatus};

use crate::metrics::Metrics;

/// What probes are told. Written by the one task that loads configuration, and by shutdown.
#[derive(Default)]
pub struct Health {
    loaded: ArcSwapOption<Loaded>,
    rejected: ArcSwapOption<String>,
    closing: AtomicBool,
}

/// The configuration in force.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Loaded {
    /// Generation of the snapshot.
    pub generation: u64,
    /// Hash of its bundle.
    pub hash: String,
    /// Seconds since the epoch.
    pub loaded_at: i64,
    /// Objects that could not be used in full.
    pub problems: Vec<Problem>,
}

impl Health {
    /// A snapshot is in force from now on.
    pub fn loaded(&self, loaded: Loaded) {
        self.rejected.store(None);
        self.loaded.store(Some(Arc::new(loaded)));
    }

    /// New configuration could not be used at all; the last good one goes on. `reason` must hold no secret.
    pub fn rejected(&self, reason: String) {
        self.rejected.store(Some(Arc::new(reason)));
    }

    /// Shutdown has begun: probes fail, so that no new traffic is sent here. Requests that still come are served.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// There is a snapshot to serve from.
    pub fn is_ready(&self) -> bool {
        self.loaded.load().is_some()
    }

    /// Answer of the public readiness probe: no names, only whether and how many problems there are.
    pub fn summary(&self) -> Response {
        let readiness = self.readiness();
        let problems = self.loaded.load().as_ref().map_or(0, |loaded| loaded.problems.len());
        // `db` is what LiteLLM's users test for; spend is always stored, or requests are refused.
        let body = Summary { status: readiness.word(), db: "connected", problems };
        json(readiness.status(), &body)
    }

    /// Answer of the internal readiness probe.
    pub fn detail(&self, spend: &SpendStatus) -> Response {
        let readiness = self.readiness();
        let (config, rejected) = (self.loaded.load_full(), self.rejected.load_full());
        let SpendStatus { backlog, free, written, ref failure } = *spend;
        let body = Detail {
            status: readiness.word(),
            config: config.as_deref(),
            rejected: rejected.as_deref().map(String::as_str),
            spend: Spend { backlog, free, written, failure: failure.as_deref() },
        };
        json(readiness.status(), &body)
    }

    fn readiness(&self) -> Readiness {
        match (self.closing.load(Ordering::Relaxed), self.is_ready()) {
            (true, _) => Readiness::Closing,
            (false, true) => Readiness::Healthy,
            (false, false) => Readiness::Starting,
        }
    }
}

#[derive(Clone, Copy)]
enum Readiness {
    Starting,
    Healthy,
    Closing,
}

impl Readiness {
    fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Closing => "shutting down",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::Healthy => StatusCode::OK,
            Self::Starting | Self::Closing => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

#[derive(Serialize)]
struct Summary {
    status: &'static str,
    db: &'static str,
    problems: usize,
}

#[derive(Serialize)]
struct Detail<'a> {
    status: &'static str,
    config: Option<&'a Loaded>,
    rejected: Option<&'a str>,
    spend: Spend<'a>,
}

#[derive(Serialize)]
struct Spend<'a> {
    backlog: usize,
    free: usize,
    written: u64,
    failure: Option<&'a str>,
}

#[derive(Serialize)]
struct BundleState<'a> {
    hash: &'a str,
    generation: u64,
    loaded_at: i64,
}

/// What the internal listener reads.
#[derive(Clone)]
pub struct Internal {
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Health.
    pub health: Arc<Health>,
    /// The spend log.
    pub spend: SpendSink,
}

/// Every internal route.
pub fn router(internal: Internal) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/health/liveness", get(alive))
        .route("/health/readiness", get(readiness))
        .route("/bundle", get(bundle))
        .with_state(internal)
}

/// Prometheus' text format, rendered on a thread of its own: with thousands of keys it takes a while.
pub async fn scrape(metrics: Arc<Metrics>) -> Response {
    match tokio::task::spawn_blocking(move || metrics.render()).await {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The process answers: all that a liveness probe should know. The text is `LiteLLM`'s.
pub async fn alive() -> Response {
    json(StatusCode::OK, "I'm alive!")
}

async fn metrics(State(internal): State<Internal>) -> Response {
    scrape(internal.metrics).await
}

async fn readiness(State(internal): State<Internal>) -> Response {
    internal.health.detail(&internal.spend.status())
}

async fn bundle(State(internal): State<Internal>) -> Response {
    match internal.health.loaded.load().as_deref() {
        Some(Loaded { generation, hash, loaded_at, .. }) => {
            json(StatusCode::OK, &BundleState { hash, generation: *generation, loaded_at: *loaded_at })
        }
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

fn json(status: StatusCode, body: &(impl Serialize + ?Sized)) -> Response {
    match serde_json::to_string(body) {
        Ok(text) => (status, [(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "health cannot be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

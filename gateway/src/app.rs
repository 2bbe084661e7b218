//! What all runtimes share, and the public routes.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    extract::{Request, State},
    middleware,
    response::Response,
    routing::{get, post},
};
use turnpike_ledger::spend_log::{SpendSink, SpendSlot};
use turnpike_llm::provider::Operation;

use crate::{
    config::Live,
    internal::Health,
    metrics::Metrics,
    pipeline::{admit::Budget, authenticate::AdminKey, body::BodyLimits},
    record::Record,
    routes, spend, telemetry,
    upstream::pool::Pool,
};

/// Shared by all runtimes; immutable but for atomics.
pub struct App {
    /// The snapshot in force.
    pub live: Live,
    /// The admin key's hash.
    pub admin: AdminKey,
    /// Requests in flight.
    pub in_flight: Budget,
    /// Requests that have ended but whose tokens are still being counted.
    pub settling: Budget,
    /// Limits on request bodies.
    pub bodies: BodyLimits,
    /// Takes spend rows.
    pub spend: SpendSink,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// What probes are told.
    pub health: Arc<Health>,
    /// The requested model of requests that name none.
    pub nameless: Arc<str>,
}

impl App {
    /// Stands for a model's name where there is none.
    pub fn no_name(&self) -> &Arc<str> {
        &self.nameless
    }

    /// Books a request that has ended.
    pub fn settle(&self, record: &Record, slot: SpendSlot) {
        self.metrics.observe(record);
        telemetry::access(record);
        let event = slot.event();
        slot.submit(spend::row(record, event));
    }
}

/// One runtime's own part.
pub struct Worker {
    /// What is shared.
    pub app: Arc<App>,
    /// This runtime's connections to upstreams.
    pub pool: Pool,
    /// Model requests that this runtime has under way, for the acceptor's choice.
    pub busy: Arc<AtomicUsize>,
}

/// Counts a request in [`Worker::busy`] while it lives.
pub struct Busy(Arc<AtomicUsize>);

impl Busy {
    /// One more.
    pub fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Every public route. Those of the API exist with and without `/v1`.
pub fn router(worker: Arc<Worker>) -> Router {
    let mut listing = Router::new().route("/openai/models", get(routes::models::list));
    let mut calls = Router::new().route("/openai/deployments/{*rest}", post(routes::deployments::call));
    for prefix in ["", "/v1"] {
        listing = listing
            .route(&format!("{prefix}/models"), get(routes::models::list))
            .route(&format!("{prefix}/models/{{*id}}"), get(routes::models::show));
        calls = calls
            .route(&format!("{prefix}/chat/completions"), post(chat))
            .route(&format!("{prefix}/completions"), post(completions))
            .route(&format!("{prefix}/embeddings"), post(embeddings));
    }
    Router::new()
        .route("/health", get(routes::health::plain))
        .route("/health/liveliness", get(routes::health::liveness))
        .route("/health/liveness", get(routes::health::liveness))
        .route("/health/readiness", get(routes::health::readiness))
        .route("/metrics", get(routes::metrics::render))
        .merge(listing.route_layer(middleware::from_fn(routes::identify)))
        .merge(calls)
        .fallback(routes::unknown)
        .method_not_allowed_fallback(routes::wrong_method)
        .with_state(worker)
}

// Boxed: the framework moves a handler's future from layer to layer, and this one is large.

async fn chat(State(worker): State<Arc<Worker>>, request: Request) -> Response {
    Box::pin(routes::generate::serve(worker, Operation::Chat, None, request)).await
}

async fn completions(State(worker): State<Arc<Worker>>, request: Request) -> Response {
    Box::pin(routes::generate::serve(worker, Operation::Completions, None, request)).await
}

async fn embeddings(State(worker): State<Arc<Worker>>, request: Request) -> Response {
    Box::pin(routes::generate::serve(worker, Operation::Embeddings, None, request)).await
}

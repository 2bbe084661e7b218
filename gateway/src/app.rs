//! What all runtimes share, and the public routes.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    middleware,
    response::Response,
    routing::{any, get, post},
};
use futures_util::{FutureExt, TryFutureExt};
use http::{HeaderValue, Method, Version, header};
use hyper::{body::Incoming, service::Service};
use tower::ServiceExt;
use turnpike_console::store::ResourceStore;
use turnpike_ledger::{
    engine::{Hold, Ledger, Settled, Used},
    limits::EndUsers,
    spend_log::{Posting, Role, SpendRow, SpendSink, SpendSlot},
    wal::{Wal, WalError, WalWriter},
};
use turnpike_llm::provider::Operation;

use crate::{
    cache::{Cache, recorder::Recorder},
    config::{Live, backends::Backends},
    console::{self, Console},
    engines::Engines,
    internal::Health,
    metrics::Metrics,
    pipeline::{admit::Budget, authenticate::AdminKey, body::BodyLimits},
    probe::{Probed, Unhealthy},
    record::Record,
    responses::{Responses, saver::Saver},
    routes::{self, generate::Named, pass_through::PassThrough},
    spend, telemetry,
    upstream::{credentials::Credentials, fetch::Fetcher, pool::Pool},
};

/// Shared by all runtimes; immutable but for atomics.
pub struct App {
    /// The snapshot in force.
    pub live: Live,
    /// The admin key's hash.
    pub admin: AdminKey,
    /// Requests in flight.
    pub in_flight: Budget,
    /// How long a request waits for limits that others have used up.
    pub queue_wait: Duration,
    /// Requests that have ended but whose tokens are still being counted.
    pub settling: Budget,
    /// Limits on request bodies.
    pub bodies: BodyLimits,
    /// Takes spend rows.
    pub spend: SpendSink,
    /// Holds what requests may use.
    pub ledger: Ledger,
    /// The end users that have pots of their own.
    pub end_users: EndUsers,
    /// HTTP status of an exhausted budget.
    pub exhausted: u16,
    /// Records attempts before they are sent.
    pub wal: Arc<Wal>,
    /// Fetches media that clients give by URL.
    pub media: Fetcher,
    /// Answers that are given again.
    pub cache: Arc<Cache>,
    /// Answers that clients may go on from; `None` = none are kept.
    pub responses: Option<Responses>,
    /// What was seen of models' backends.
    pub backends: Backends,
    /// Where engines in this cluster are.
    pub engines: Arc<Engines>,
    /// The identities that models use in clouds.
    pub credentials: Arc<Credentials>,
    /// The backends that take no requests.
    pub unhealthy: Arc<Unhealthy>,
    /// What active probes last found.
    pub probed: Arc<Probed>,
    /// The console's part; `None` = the operator serves it.
    pub console: Option<Arc<Console>>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// What probes are told.
    pub health: Arc<Health>,
    /// The requested model of requests that name none.
    pub nameless: Arc<str>,
    /// What the admin API works on, once it is there; never = there is no admin API.
    pub resources: OnceLock<Arc<dyn ResourceStore>>,
    /// The providers whose own APIs clients may call.
    pub pass_through: Box<[PassThrough]>,
}

impl App {
    /// Stands for a model's name where there is none.
    pub fn no_name(&self) -> &Arc<str> {
        &self.nameless
    }

    /// Books an attempt that has ended. What is left of what it held is free at once.
    pub fn settle(&self, record: &Record, ended: Ended) {
        self.metrics.observe(record);
        if record.attempt.role == Role::Answer {
            telemetry::access(record);
        }
        let Ended { slot, hold, recorded, refused, counted, kept, saver } = ended;
        let settled = match spend::used(record).or(counted.then(Used::default)) {
            // Refused, or never sent: dropping the hold gives all of it back.
            None => Settled { postings: refused.into_iter().collect(), ..Settled::default() },
            Some(used) => hold.settle(used),
        };
        self.metrics.bound_exceeded(settled.exceeded);
        let postings = settled.postings.into();
        let row = match recorded {
            None => spend::row(record, slot.event(), postings),
            Some((wal, mut row)) => {
                spend::end(&mut row, record, postings);
                if let Err(error) = wal.close(&row) {
                    self.unrecorded(&error);
                }
                row
            }
        };
        slot.submit(row);
        if let Some(kept) = kept {
            kept.keep(record);
        }
        if let Some(saver) = saver {
            saver.keep(record);
        }
    }

    /// Something could not be written ahead.
    pub fn unrecorded(&self, error: &WalError) {
        self.metrics.unrecorded(|| {
            let source = std::error::Error::source(error).map(ToString::to_string);
            tracing::error!(%error, source, "spend cannot be recorded on disk; a crash now would lose it");
        });
    }
}

/// What a request that has ended leaves behind.
pub struct Ended {
    /// The place of its row.
    pub slot: SpendSlot,
    /// What it held.
    pub hold: Hold,
    /// Its row as recorded before it was sent, and where its end must be recorded; `None` = it was not sent.
    pub recorded: Option<(Arc<WalWriter>, SpendRow)>,
    /// What the books are told of it where a limit refused it.
    pub refused: Option<Posting>,
    /// The request counts, whatever this attempt used.
    pub counted: bool,
    /// Its answer, which may be given again.
    pub kept: Option<Box<Recorder>>,
    /// Its answer, which may be gone on from.
    pub saver: Option<Box<Saver>>,
}

/// One runtime's own part.
pub struct Worker {
    /// What is shared.
    pub app: Arc<App>,
    /// This runtime's connections to upstreams.
    pub pool: Pool,
    /// This runtime's own write-ahead file.
    pub wal: Arc<WalWriter>,
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

/// Where Cohere's own clients look for it.
const COHERE_RERANK: &str = "/v2/rerank";

type BoxedAnswer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Every public route. Those of the API exist with and without `/v1`, Gemini's under `/v1beta` too.
fn router(worker: Arc<Worker>) -> Router {
    let mut listing = Router::new().route("/openai/models", get(routes::models::list));
    let stored = get(routes::responses::show).delete(routes::responses::delete);
    let mut calls = Router::new().route("/openai/deployments/{*rest}", post(routes::deployments::call));
    calls = calls.route("/v1beta/models/{*id}", post(routes::gemini::call));
    for prefix in ["", "/v1"] {
        listing = listing
            .route(&format!("{prefix}/models"), get(routes::models::list))
            .route(&format!("{prefix}/models/{{*id}}"), get(routes::models::show))
            .route(&format!("{prefix}/responses/{{id}}"), stored.clone())
            .route(&format!("{prefix}/responses/{{id}}/input_items"), get(routes::responses::items));
        calls = calls.route(&format!("{prefix}/models/{{*id}}"), post(routes::gemini::call));
        for (path, operation) in Operation::PATHS {
            let call = move |State(worker), request| answer(worker, operation, request);
            calls = calls.route(&format!("{prefix}{path}"), post(call));
        }
    }
    let mut passing = Router::new();
    for provider in &worker.app.pass_through {
        let (provider, path) = (*provider, format!("/{}/{{*rest}}", provider.name));
        let pass = move |State(worker), request| Box::pin(routes::pass_through::call(worker, provider, request));
        passing = passing.route(&path, any(pass));
    }
    let rerank = |State(worker), request| answer(worker, Operation::Rerank, request);
    Router::new()
        .route(COHERE_RERANK, post(rerank))
        .route("/health", get(routes::health::plain))
        .route("/health/liveliness", get(routes::health::liveness))
        .route("/health/liveness", get(routes::health::liveness))
        .route("/health/readiness", get(routes::health::readiness))
        .route("/metrics", get(routes::metrics::render))
        .merge(listing.route_layer(middleware::from_fn(routes::identify)))
        .merge(calls)
        .merge(passing)
        .merge(routes::admin::routes(&worker.app))
        .merge(console::routes(&worker.app))
        .fallback(routes::unknown)
        .method_not_allowed_fallback(routes::wrong_method)
        .with_state(worker)
}

/// The public routes as a service for connections.
#[derive(Clone)]
pub struct Routes {
    worker: Arc<Worker>,
    router: Router,
}

impl Routes {
    /// For one runtime.
    pub fn new(worker: Arc<Worker>) -> Self {
        Self { router: router(Arc::clone(&worker)), worker }
    }
}

impl Service<Request<Incoming>> for Routes {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxedAnswer<Result<Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let app = Arc::clone(&self.worker.app);
        let is_http1 = request.version() <= Version::HTTP_11;
        let closed = move |mut answer: Response| {
            // An idle connection that is closed may just be sent a request; one that was told so is not.
            if is_http1 && app.health.is_closing() {
                answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            answer
        };
        // Nearly every request is one of these; the framework's way to the same function costs a twentieth of it.
        if let (&Method::POST, Some(operation)) = (request.method(), operation(request.uri().path())) {
            let answer =
                routes::generate::serve(Arc::clone(&self.worker), operation, Named::default(), request.map(Body::new));
            return Box::pin(answer.map(closed).map(Ok));
        }
        Box::pin(self.router.clone().oneshot(request).map_ok(closed))
    }
}

fn operation(path: &str) -> Option<Operation> {
    if path == COHERE_RERANK {
        return Some(Operation::Rerank);
    }
    let path = path.strip_prefix("/v1").unwrap_or(path);
    Operation::PATHS.iter().find(|(known, _)| *known == path).map(|(_, operation)| *operation)
}

/// Boxed: the framework moves a handler's future from layer to layer, and this one is large.
fn answer(worker: Arc<Worker>, operation: Operation, request: Request) -> BoxedAnswer<Response> {
    Box::pin(routes::generate::serve(worker, operation, Named::default(), request))
}

//! Liveness, readiness and why: from the start until the end.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use arc_swap::{ArcSwap, ArcSwapOption};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use turnpike_bundle::{
    Problem,
    report::{FailingCredential, Rejected, UnhealthyBackend},
};
use turnpike_ledger::spend_log::SpendStatus;

use super::json;

/// What probes are told. Written by the one task that loads configuration, and by shutdown.
#[derive(Default)]
pub struct Health {
    loaded: ArcSwapOption<Loaded>,
    rejected: ArcSwap<Vec<Rejected>>,
    failing: ArcSwap<Vec<FailingCredential>>,
    open: AtomicBool,
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
        self.loaded.store(Some(Arc::new(loaded)));
    }

    /// The configuration in force; `None` = none yet.
    pub fn configuration(&self) -> Option<Arc<Loaded>> {
        self.loaded.load_full()
    }

    /// These parts of a bundle were offered and not taken; none = all is as it was published.
    pub fn rejected(&self, rejected: Vec<Rejected>) {
        self.rejected.store(Arc::new(rejected));
    }

    /// These credentials cannot be renewed; none = all can.
    pub fn failing(&self, failing: Vec<FailingCredential>) {
        self.failing.store(Arc::new(failing));
    }

    /// The listener for clients is open.
    pub fn open(&self) {
        self.open.store(true, Ordering::Relaxed);
    }

    /// Shutdown has begun: probes fail, so that no new traffic is sent here. Requests that still come are served.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Whether shutdown has begun.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
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
    pub fn detail(&self, spend: &SpendStatus, unhealthy: &[UnhealthyBackend]) -> Response {
        let readiness = self.readiness();
        let (config, rejected, failing) = (self.loaded.load_full(), self.rejected.load(), self.failing.load());
        let SpendStatus { backlog, free, written, ref failure } = *spend;
        let body = Detail {
            status: readiness.word(),
            config: config.as_deref(),
            rejected: &rejected,
            failing_credentials: &failing,
            unhealthy_backends: unhealthy,
            spend: Spend { backlog, free, written, failure: failure.as_deref() },
        };
        json(readiness.status(), &body)
    }

    fn readiness(&self) -> Readiness {
        match (self.is_closing(), self.is_ready() && self.open.load(Ordering::Relaxed)) {
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
    rejected: &'a [Rejected],
    failing_credentials: &'a [FailingCredential],
    unhealthy_backends: &'a [UnhealthyBackend],
    spend: Spend<'a>,
}

#[derive(Serialize)]
struct Spend<'a> {
    backlog: usize,
    free: usize,
    written: u64,
    failure: Option<&'a str>,
}

//! Health and metrics for probes and scrapers, on every replica, leading or not.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header};
use tokio::sync::watch;

use crate::metrics::Metrics;

/// What `/readyz` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Readiness {
    /// The apiserver has not been reached yet.
    #[default]
    Starting,
    /// Leads, or could at any time.
    Ready,
    /// Something forbids to lead.
    Blocked(String),
}

/// What the listener shows.
#[derive(Clone)]
pub struct Health {
    /// Readiness as it is now.
    pub readiness: watch::Receiver<Readiness>,
    /// Counters and gauges.
    pub metrics: Arc<Metrics>,
}

/// `/healthz`, `/readyz` and `/metrics`.
pub fn router(health: Health) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(health)
}

async fn ready(State(health): State<Health>) -> Response {
    let readiness = health.readiness.borrow().clone();
    match readiness {
        Readiness::Ready => "ok\n".into_response(),
        Readiness::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response(),
        Readiness::Blocked(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn metrics(State(health): State<Health>) -> Response {
    match health.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

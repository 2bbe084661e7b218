//! The internal listener: metrics, health in detail and the loaded configuration, for probes, scrapers and the operator.
//!
//! It names models and their problems, so it listens where clients do not reach.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header};
use serde::Serialize;
use turnpike_ledger::spend_log::SpendSink;

use crate::{metrics::Metrics, probe::Unhealthy};

mod authorized;
mod demand;
mod health;
mod long_poll;

pub use health::{Health, Loaded};
pub use long_poll::Reports;

/// What the internal listener reads.
#[derive(Clone)]
pub struct Internal {
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Health.
    pub health: Arc<Health>,
    /// The spend log.
    pub spend: SpendSink,
    /// The backends that take no requests.
    pub unhealthy: Arc<Unhealthy>,
}

/// Every internal route; those for the operator only where a bundle is what the gateway serves from.
pub fn router(internal: Internal, reports: Option<Reports>) -> Router {
    let of_operator = reports.map(|reports| {
        let routes = Router::new().route("/bundle", get(long_poll::answer)).route("/demand", get(demand::answer));
        let auth = Arc::clone(&reports.auth);
        routes.with_state(reports).route_layer(middleware::from_fn_with_state(auth, authorized::check))
    });
    Router::new()
        .route("/metrics", get(metrics))
        .route("/health/liveness", get(alive))
        .route("/health/readiness", get(readiness))
        .with_state(internal)
        .merge(of_operator.unwrap_or_default())
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
    internal.health.detail(&internal.spend.status(), &internal.unhealthy.all())
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

//! What probes see on the public listener: no authentication, so no detail.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::StatusCode;

use crate::{app::Worker, internal};

/// `GET /health`: answers, for health checks that only look at the status.
pub async fn plain() -> StatusCode {
    StatusCode::OK
}

/// `GET /health/liveliness` and `/health/liveness`.
pub async fn liveness() -> Response {
    internal::alive().await
}

/// `GET /health/readiness`: 503 before the first snapshot and from the beginning of shutdown.
pub async fn readiness(State(worker): State<Arc<Worker>>) -> Response {
    worker.app.health.summary()
}

//! `GET /metrics` on the public listener: for the admin key only, as it names keys and models.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::HeaderMap;

use crate::{app::Worker, error::Error, internal, pipeline::authenticate::authenticate};

/// Prometheus text.
pub async fn render(State(worker): State<Arc<Worker>>, headers: HeaderMap) -> Response {
    let app = &worker.app;
    match authenticate(&headers, &app.live.load(), &app.admin, jiff::Timestamp::now().as_second()) {
        Ok(caller) if caller.object.is_none() => internal::scrape(Arc::clone(&app.metrics)).await,
        Ok(_) => Error::AdminOnly.into_response(),
        Err(error) => error.into_response(),
    }
}

//! The public routes, a file for each noun of the URL, and the answers to what is no route.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, Method, Uri};
use turnpike_llm::provider::Dialect;

use crate::{app::Worker, error::Error, pipeline::deliver};

pub mod admin;
pub mod deployments;
pub mod gemini;
pub mod generate;
pub mod health;
pub mod metrics;
pub mod models;
pub mod pass_through;
pub mod responses;

/// The answer to a path that there is not.
pub async fn unknown(State(worker): State<Arc<Worker>>, uri: Uri, headers: HeaderMap) -> Response {
    let absent = admin::absent(&worker.app, uri.path());
    let error = absent.unwrap_or_else(|| Error::NoRoute(uri.path().chars().take(256).collect()));
    refuse(error, &uri, &headers)
}

/// The answer to a method that a path does not take.
pub async fn wrong_method(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    refuse(Error::MethodNotAllowed(method), &uri, &headers)
}

/// Gives the answers of a route that makes no model call their ids.
pub async fn identify(request: Request, next: Next) -> Response {
    let id = deliver::request_id(request.headers());
    let mut response = next.run(request).await;
    deliver::identify(&mut response, Dialect::OpenAi, &id);
    response
}

fn refuse(error: Error, uri: &Uri, headers: &HeaderMap) -> Response {
    let id = deliver::request_id(headers);
    // Whoever asks for something beside Anthropic's routes reads Anthropic's errors.
    let mut segments = uri.path().split('/').skip(1);
    let dialect = match segments.next() {
        // Nobody else's version is called so.
        Some("v1beta") => Dialect::Gemini,
        first if first.into_iter().chain(segments).any(|segment| segment == "messages") => Dialect::Anthropic,
        _ => Dialect::OpenAi,
    };
    let mut response = error.answer(dialect, &id);
    deliver::identify(&mut response, dialect, &id);
    response
}

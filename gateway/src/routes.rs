//! The public routes, a file for each noun of the URL, and the answers to what is no route.

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, Method, Uri};

use crate::{error::Error, pipeline::deliver};

pub mod deployments;
pub mod generate;
pub mod health;
pub mod metrics;
pub mod models;

/// The answer to a path that there is not.
pub async fn unknown(uri: Uri, headers: HeaderMap) -> Response {
    refuse(Error::NoRoute(uri.path().chars().take(256).collect()), &headers)
}

/// The answer to a method that a path does not take.
pub async fn wrong_method(method: Method, headers: HeaderMap) -> Response {
    refuse(Error::MethodNotAllowed(method), &headers)
}

/// Gives the answers of a route that makes no model call their ids.
pub async fn identify(request: Request, next: Next) -> Response {
    let id = deliver::request_id(request.headers());
    let mut response = next.run(request).await;
    deliver::identify(&mut response, &id);
    response
}

fn refuse(error: Error, headers: &HeaderMap) -> Response {
    let mut response = error.into_response();
    deliver::identify(&mut response, &deliver::request_id(headers));
    response
}

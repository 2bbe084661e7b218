//! Errors of Anthropic's: `{"type":"error","error":{"type":"overloaded_error","message":"..."},"request_id":"..."}`.

use http::{HeaderMap, StatusCode};

use crate::{
    error::{ErrorClass, UpstreamError},
    provider::upstream_error,
};

/// Comes as a bad request, though the request is none the worse.
const NO_CREDIT: &str = "credit balance is too low";

/// Reads a non-2xx answer.
pub(super) fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> UpstreamError {
    let error = upstream_error(status, headers, body);
    // The type says more than a status that a proxy in front may have changed.
    let class = match (error.class, error.kind.as_deref()) {
        (ErrorClass::BadRequest, _) if error.message.contains(NO_CREDIT) => ErrorClass::RateLimit,
        (ErrorClass::BadRequest, Some(kind)) => class_of(kind).unwrap_or(ErrorClass::BadRequest),
        (class, _) => class,
    };
    UpstreamError { class, ..error }
}

/// Reads an error within an answer that began well.
pub(super) fn within(body: &[u8]) -> UpstreamError {
    let error = upstream_error(StatusCode::INTERNAL_SERVER_ERROR, &HeaderMap::new(), body);
    let class = match error.class {
        ErrorClass::ServerError => error.kind.as_deref().and_then(class_of).unwrap_or(ErrorClass::ServerError),
        class => class,
    };
    UpstreamError { class, status: 0, ..error }
}

fn class_of(kind: &str) -> Option<ErrorClass> {
    Some(match kind {
        "invalid_request_error" => ErrorClass::BadRequest,
        "authentication_error" | "permission_error" => ErrorClass::Authentication,
        "not_found_error" => ErrorClass::NotFound,
        "rate_limit_error" => ErrorClass::RateLimit,
        "timeout_error" => ErrorClass::Timeout,
        "api_error" | "overloaded_error" | "billing_error" => ErrorClass::ServerError,
        _ => return None,
    })
}

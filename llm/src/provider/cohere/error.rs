//! Cohere's error answers: `{"message":"..."}`.

use http::{HeaderMap, StatusCode};

use crate::{
    error::{ErrorClass, UpstreamError},
    provider::upstream_error,
};

/// Reads one.
pub(super) fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> UpstreamError {
    let error = upstream_error(status, headers, body);
    let class = match status.as_u16() {
        // The request or the answer holds words that are blocked.
        498 => ErrorClass::ContentPolicy,
        // "too many tokens: max tokens must be less than or equal to 4096, the maximum output for this model".
        400 if error.message.contains("max tokens must be") => ErrorClass::BadRequest,
        _ => error.class,
    };
    UpstreamError { class, ..error }
}

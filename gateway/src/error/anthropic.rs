//! Errors as Anthropic's clients read them. Statuses and what is said about trying again are those of the one table.

use bytes::Bytes;
use turnpike_llm::json;

use super::Error;

/// `{"type":"error","error":{"type","message"},"request_id"}`.
pub(super) fn json(error: &Error, request_id: &str) -> Bytes {
    let mut out = Vec::with_capacity(256);
    let mut member = |start: &str, text: &str| {
        out.extend_from_slice(start.as_bytes());
        json::escape_into(text, &mut out);
    };
    member(r#"{"type":"error","error":{"type":""#, kind(error.status().as_u16()));
    member(r#"","message":""#, &error.message());
    member(r#""},"request_id":""#, request_id);
    out.extend_from_slice(br#""}"#);
    Bytes::from(out)
}

/// Anthropic's type of error by status, as its API reference pairs them.
fn kind(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        400..500 => "invalid_request_error",
        503 | 529 => "overloaded_error",
        504 => "timeout_error",
        _ => "api_error",
    }
}

//! Errors as Gemini's clients read them. Statuses and what is said about trying again are those of the one table.

use bytes::Bytes;
use turnpike_llm::json;

use super::Error;

/// `{"error":{"code","message","status","details"}}`; the gateway's own word is the reason of the one detail.
pub(super) fn json(error: &Error) -> Bytes {
    let code = error.status().as_u16();
    let mut out = Vec::from(format!("{{\"error\":{{\"code\":{code},\"message\":\""));
    json::escape_into(&error.message(), &mut out);
    let rest = format!(
        "\",\"status\":\"{}\",\"details\":[{{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":\"{}\",\
         \"domain\":\"turnpike\"}}]}}}}",
        word(code),
        error.code()
    );
    out.extend_from_slice(rest.as_bytes());
    Bytes::from(out)
}

/// Google's word by status (`google.rpc.Code`).
fn word(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        402 | 403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        408 | 504 => "DEADLINE_EXCEEDED",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        501 => "UNIMPLEMENTED",
        502 | 503 | 529 => "UNAVAILABLE",
        400..=499 => "INVALID_ARGUMENT",
        _ => "INTERNAL",
    }
}

//! What AWS services say when they fail: exceptions with a name, in answers and within streams.

use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::{classify, shape::Words, told};
use crate::error::{ErrorClass, UpstreamError};

/// The status by which an exception is classed where it came within a stream or under another status.
const STATUS: &[(&str, StatusCode)] = &[
    ("AccessDeniedException", StatusCode::FORBIDDEN),
    ("ExpiredTokenException", StatusCode::FORBIDDEN),
    ("IncompleteSignatureException", StatusCode::FORBIDDEN),
    ("InvalidSignatureException", StatusCode::FORBIDDEN),
    ("MissingAuthenticationTokenException", StatusCode::FORBIDDEN),
    ("UnrecognizedClientException", StatusCode::FORBIDDEN),
    ("ResourceNotFoundException", StatusCode::NOT_FOUND),
    ("UnknownOperationException", StatusCode::NOT_FOUND),
    ("ModelTimeoutException", StatusCode::REQUEST_TIMEOUT),
    ("ModelNotReadyException", StatusCode::TOO_MANY_REQUESTS),
    ("ServiceQuotaExceededException", StatusCode::TOO_MANY_REQUESTS),
    ("ThrottlingException", StatusCode::TOO_MANY_REQUESTS),
    ("TooManyRequestsException", StatusCode::TOO_MANY_REQUESTS),
    ("InternalFailure", StatusCode::INTERNAL_SERVER_ERROR),
    ("InternalServerException", StatusCode::INTERNAL_SERVER_ERROR),
    // 424, which blames the caller: it is the model that failed.
    ("ModelErrorException", StatusCode::INTERNAL_SERVER_ERROR),
    ("ModelStreamErrorException", StatusCode::INTERNAL_SERVER_ERROR),
    ("ServiceUnavailable", StatusCode::SERVICE_UNAVAILABLE),
    ("ServiceUnavailableException", StatusCode::SERVICE_UNAVAILABLE),
    ("ValidationException", StatusCode::BAD_REQUEST),
];

/// Any of these (in lower case) in a validation's message: it is the model's name that is wrong.
const NO_SUCH_MODEL: &[&str] = &["the provided model identifier is invalid", "the model id is invalid"];

/// Reads a non-2xx answer. The exception's name is in the header `x-amzn-errortype` or the body's `__type`.
pub(crate) fn aws_error(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> UpstreamError {
    #[derive(Deserialize)]
    struct Named {
        #[serde(rename = "__type")]
        name: Option<String>,
    }
    let header = headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok());
    let named = || serde_json::from_slice::<Named>(body).ok()?.name;
    let name = header.map(ToOwned::to_owned).or_else(named);
    classed(name.as_deref().map(bare), status, headers, body)
}

/// An exception within a stream, or a code with a text where the service does not describe its failure.
pub(crate) fn aws_exception(name: &str, payload: &[u8]) -> UpstreamError {
    let error = classed(Some(name), StatusCode::INTERNAL_SERVER_ERROR, &HeaderMap::new(), payload);
    UpstreamError { status: 0, ..error }
}

fn classed(name: Option<&str>, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> UpstreamError {
    let mut words = Words::of(body);
    let known = name.and_then(|name| STATUS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)));
    let by = known.map_or(status, |(_, status)| *status);
    let text = words.message.to_lowercase();
    let class = if by == StatusCode::BAD_REQUEST && NO_SUCH_MODEL.iter().any(|part| text.contains(part)) {
        ErrorClass::NotFound
    } else {
        classify::class(by, &words)
    };
    words.kind = name.map(ToOwned::to_owned).or(words.kind);
    told(status, headers, words, class)
}

/// `com.amazon.coral.service#ThrottlingException:http://internal.amazon.com/coral/...` without what is around the name.
fn bare(name: &str) -> &str {
    let name = name.split(':').next().unwrap_or(name);
    name.rsplit('#').next().unwrap_or(name)
}

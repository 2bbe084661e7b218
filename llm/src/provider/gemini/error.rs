//! Google's errors: `{"error":{"code","message","status","details":[{"@type",...}]}}`, at times in an array.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use crate::{
    error::{ErrorClass, UpstreamError},
    json,
    provider::{failure::MAX_RETRY_AFTER, upstream_error},
    response::bad_answer,
};

#[derive(Deserialize)]
struct Body {
    error: Failure,
}

#[derive(Default, Deserialize)]
struct Failure {
    #[serde(default)]
    code: u16,
    #[serde(default)]
    status: String,
    #[serde(default)]
    details: Vec<Detail>,
}

/// Of several types: `ErrorInfo` has a reason, `RetryInfo` a delay.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    reason: Option<String>,
    retry_delay: Option<String>,
}

/// Reads a non-2xx answer.
pub(super) fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> UpstreamError {
    let failure = parse(body).unwrap_or_default();
    let mut error = upstream_error(status, headers, body);
    error.class = class(&failure, error.class);
    let reason = failure.details.iter().find_map(|detail| detail.reason.clone());
    // Google's own `code` is the status once more.
    error.code = reason.or(error.code.filter(|code| code.parse::<u16>().is_err()));
    let delay = failure.details.iter().find_map(|detail| seconds(detail.retry_delay.as_deref()?));
    error.retry_after = error.retry_after.or(delay);
    error
}

/// An error under a 2xx status, or an answer without what it should hold.
#[cold]
pub(super) fn within(body: &[u8], wanted: &str) -> UpstreamError {
    match parse(body) {
        None => match json::scan(body) {
            Err(error) => bad_answer(&error),
            Ok(_) => bad_answer(&format_args!("it holds no '{wanted}'")),
        },
        Some(failure) => {
            let status = StatusCode::from_u16(failure.code).ok().filter(|status| status.as_u16() >= 400);
            let error = read(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &HeaderMap::new(), body);
            UpstreamError { status: 0, ..error }
        }
    }
}

fn parse(body: &[u8]) -> Option<Failure> {
    let one = || serde_json::from_slice::<Body>(body).ok();
    let first = || serde_json::from_slice::<Vec<Body>>(body).ok()?.into_iter().next();
    Some(one().or_else(first)?.error)
}

/// What Google's own words say, where they say more than the status and the text.
fn class(failure: &Failure, plain: ErrorClass) -> ErrorClass {
    let has = |word: &str| failure.details.iter().any(|detail| detail.reason.as_deref() == Some(word));
    if has("API_KEY_INVALID") || has("API_KEY_SERVICE_BLOCKED") {
        return ErrorClass::Authentication;
    }
    match (failure.status.as_str(), plain) {
        ("RESOURCE_EXHAUSTED", _) => ErrorClass::RateLimit,
        ("DEADLINE_EXCEEDED", ErrorClass::ServerError) => ErrorClass::Timeout,
        (_, plain) => plain,
    }
}

/// `34.07s`.
fn seconds(delay: &str) -> Option<Duration> {
    let seconds: f64 = delay.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok().map(|wait| wait.min(MAX_RETRY_AFTER))
}

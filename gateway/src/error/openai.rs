//! The one table from errors to HTTP answers, in OpenAI's shape where the client speaks no other, and how a record names
//! them.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use turnpike_ledger::engine::{Cause, Refusal};
use turnpike_llm::{
    error::{ErrorClass, UpstreamError},
    json,
    provider::Dialect,
};
use turnpike_routing::plan::NoMember;

use super::{Error, anthropic, gemini};
use crate::record::End;

/// Official SDKs retry 408, 409, 429 and every 5xx unless this header says `false`.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
/// Milliseconds; the SDKs prefer it to Retry-After.
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
/// When an exhausted budget starts again, RFC 3339.
const RESET_AT: HeaderName = HeaderName::from_static("x-turnpike-reset-at");
/// What SDKs are told where nothing better is known.
const SHORTLY: Duration = Duration::from_secs(1);

/// What SDKs are told of a model that is starting: they try again twice, and it takes a minute at least.
const STARTING: Duration = Duration::from_secs(20);

/// One row of the table.
struct Wire {
    status: u16,
    kind: &'static str,
    code: &'static str,
    param: Option<&'static str>,
    retry: Retry,
}

/// What the client is told about trying again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Retry {
    /// The SDK's own rule for the status.
    Default,
    /// `x-should-retry: false`.
    Never,
    /// Retry-After.
    After(Duration),
}

const INVALID: &str = "invalid_request_error";
const SERVER: &str = "server_error";

impl Wire {
    const fn new(status: u16, kind: &'static str, code: &'static str) -> Self {
        Self { status, kind, code, param: None, retry: Retry::Default }
    }

    const fn param(mut self, param: &'static str) -> Self {
        self.param = Some(param);
        self
    }

    const fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }
}

impl Error {
    fn wire(&self) -> Wire {
        match self {
            Self::KeyMissing | Self::KeyMalformed | Self::KeyConflict | Self::KeyUnknown => {
                Wire::new(401, INVALID, "invalid_api_key")
            }
            Self::KeyExpired => Wire::new(401, INVALID, "expired_api_key"),
            Self::KeySuspended => Wire::new(401, INVALID, "suspended_api_key"),
            Self::AdminOnly => Wire::new(403, INVALID, "admin_key_required"),
            Self::ModelNotFound(_) => Wire::new(404, INVALID, "model_not_found").param("model"),
            Self::ResponseNotFound(_) => Wire::new(404, INVALID, "response_not_found"),
            Self::PreviousNotFound(_) => {
                Wire::new(400, INVALID, "previous_response_not_found").param("previous_response_id")
            }
            Self::ModelMissing => Wire::new(400, INVALID, "missing_required_parameter").param("model"),
            Self::Scan(error) => Wire::new(400, INVALID, error.code),
            Self::Encode(error) => Wire::new(400, INVALID, error.code),
            Self::Invalid { param, .. } => {
                let wire = Wire::new(400, INVALID, "invalid_value");
                param.map_or(wire, |param| Wire::new(400, INVALID, "invalid_value").param(param))
            }
            Self::BodyTooLarge { .. } => Wire::new(413, INVALID, "request_too_large"),
            Self::EncodingUnsupported(_) => Wire::new(415, INVALID, "unsupported_content_encoding"),
            Self::BodyTimeout => Wire::new(408, INVALID, "request_timeout").retry(Retry::Never),
            Self::BodyIncomplete => Wire::new(400, INVALID, "incomplete_body"),
            Self::Busy(_) | Self::NotReady => Wire::new(503, SERVER, "overloaded").retry(Retry::After(SHORTLY)),
            Self::Limited { refusal, exhausted } => limited(refusal, *exhausted),
            Self::NotPriced(_) => Wire::new(400, INVALID, "model_not_priced").param("model"),
            Self::NoProvider(_) => Wire::new(404, INVALID, "no_model_of_provider"),
            Self::AllModelsOnly => Wire::new(403, INVALID, "all_models_required"),
            Self::Unbounded => Wire::new(400, INVALID, "cost_not_bounded"),
            Self::Upstream(error) | Self::Answered { error, .. } => upstream(error),
            Self::Connect(_) => Wire::new(503, SERVER, "backend_unreachable").retry(Retry::After(SHORTLY)),
            Self::Unauthenticated => {
                Wire::new(503, SERVER, "backend_credential_unavailable").retry(Retry::After(SHORTLY))
            }
            Self::Broken => Wire::new(502, SERVER, "backend_closed"),
            Self::Timeout { .. } => Wire::new(504, SERVER, "timeout"),
            Self::Unable { lacking, .. } => unable(*lacking),
            Self::OverBudget(original) => Wire { code: "fallback_over_budget", ..original.wire() },
            Self::NoRoute(_) => Wire::new(404, INVALID, "unknown_url"),
            Self::NoAdminApi => Wire::new(404, INVALID, "no_admin_api"),
            Self::MethodNotAllowed(_) => Wire::new(405, INVALID, "method_not_allowed"),
            Self::Internal => Wire::new(500, SERVER, "internal_error"),
        }
    }

    /// HTTP status of the answer.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.wire().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// OpenAI's `code`.
    pub fn code(&self) -> &'static str {
        self.wire().code
    }

    /// How a request that ends with this error is recorded.
    pub fn end(&self) -> End {
        match self {
            Self::Upstream(error) | Self::Answered { error, .. } => End::Upstream(error.class),
            Self::Unauthenticated => End::Upstream(ErrorClass::Authentication),
            Self::Connect(_) | Self::Broken => End::Upstream(ErrorClass::ServerError),
            Self::Timeout { .. } => End::Upstream(ErrorClass::Timeout),
            Self::OverBudget(original) => original.end(),
            other => End::Refused(other.code()),
        }
    }

    /// `{"error":{"message","type","param","code"}}`.
    fn json(&self) -> Bytes {
        let mut out = Vec::from(*b"{\"error\":{");
        self.members(&mut out);
        out.extend_from_slice(b"}}");
        Bytes::from(out)
    }

    /// `"message","type","param","code"`.
    fn members(&self, out: &mut Vec<u8>) {
        let wire = self.wire();
        let (kind, param, code) = match self {
            Self::Upstream(error) | Self::Answered { error, .. } if keeps_upstream_words(error) => (
                error.kind.as_deref().unwrap_or(wire.kind),
                error.param.as_deref(),
                error.code.as_deref().unwrap_or(wire.code),
            ),
            Self::Encode(error) => (wire.kind, error.param.as_deref(), wire.code),
            Self::Scan(error) => (wire.kind, error.param, wire.code),
            _ => (wire.kind, wire.param, wire.code),
        };
        let mut member = |start: &str, text: Option<&str>| {
            out.extend_from_slice(start.as_bytes());
            match text {
                Some(text) => {
                    out.push(b'"');
                    json::escape_into(text, out);
                    out.push(b'"');
                }
                None => out.extend_from_slice(b"null"),
            }
        };
        member("\"message\":", Some(&self.message()));
        member(",\"type\":", Some(kind));
        member(",\"param\":", param);
        member(",\"code\":", Some(code));
    }

    /// What the caller reads. The upstream's words about our credentials are not for the caller: they may quote them.
    pub(super) fn message(&self) -> String {
        match self {
            Self::OverBudget(original) => original.message(),
            Self::Upstream(error) | Self::Answered { error, .. } if error.class == ErrorClass::Authentication => {
                format!(
                    "The model's provider refused the gateway's own credentials (HTTP {}); whoever runs the gateway must \
                 correct them.",
                    error.status
                )
            }
            other => other.to_string(),
        }
    }

    /// The event that ends a stream which failed after its 200.
    pub fn event(&self, dialect: Dialect, request_id: &str) -> Bytes {
        let mut out = Vec::with_capacity(256);
        match dialect {
            Dialect::OpenAi => {
                out.extend_from_slice(b"data: ");
                out.extend_from_slice(&self.json());
            }
            Dialect::Anthropic => {
                out.extend_from_slice(b"event: error\ndata: ");
                out.extend_from_slice(&anthropic::json(self, request_id));
            }
            Dialect::Gemini => {
                out.extend_from_slice(b"data: ");
                out.extend_from_slice(&gemini::json(self));
            }
            // SDKs look for `error`; its type is what tells the event from others.
            Dialect::Responses => {
                out.extend_from_slice(b"event: error\ndata: {\"type\":\"error\",\"error\":{");
                self.members(&mut out);
                out.extend_from_slice(b"}}");
            }
        }
        out.extend_from_slice(b"\n\n");
        Bytes::from(out)
    }

    /// The answer as this client reads it.
    pub fn answer(self, dialect: Dialect, request_id: &str) -> Response {
        let body = match dialect {
            Dialect::OpenAi | Dialect::Responses => self.json(),
            Dialect::Anthropic => anthropic::json(&self, request_id),
            Dialect::Gemini => gemini::json(&self),
        };
        self.with_body(body)
    }

    fn with_body(self, body: Bytes) -> Response {
        let mut response = Response::new(axum::body::Body::from(body));
        *response.status_mut() = self.status();
        let retry = self.wire().retry;
        let shown = match self {
            Self::OverBudget(original) => *original,
            shown => shown,
        };
        match shown {
            Self::Answered { headers, .. } => *response.headers_mut() = *headers,
            Self::Limited { refusal, .. } => {
                let reset = refusal.resets_at.and_then(|at| Timestamp::from_microsecond(at).ok());
                if let Some(at) = reset.filter(|_| !refusal.account.is_rate()) {
                    // Digits and signs of a time are always a header's value.
                    let at = HeaderValue::try_from(format!("{at:.0}"));
                    response.headers_mut().insert(RESET_AT, at.unwrap_or(HeaderValue::from_static("")));
                }
            }
            _ => {}
        }
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match retry {
            Retry::Default => {}
            Retry::Never => {
                headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
            }
            Retry::After(after) => {
                let seconds = after.as_millis().div_ceil(1000);
                headers.insert(header::RETRY_AFTER, HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX)));
                headers.insert(RETRY_AFTER_MS, HeaderValue::from(u64::try_from(after.as_millis()).unwrap_or(u64::MAX)));
            }
        }
        response
    }
}

/// The client's own fault keeps the upstream's type, param and code; what concerns only us and the upstream does not.
fn keeps_upstream_words(error: &UpstreamError) -> bool {
    match error.class {
        ErrorClass::BadRequest
        | ErrorClass::ContextWindow
        | ErrorClass::ContentPolicy
        | ErrorClass::RateLimit
        | ErrorClass::NotFound => true,
        ErrorClass::Authentication | ErrorClass::Timeout | ErrorClass::ServerError | ErrorClass::BadAnswer => false,
    }
}

fn unable(lacking: NoMember) -> Wire {
    match lacking {
        NoMember::Capability(_) => Wire::new(400, INVALID, "unsupported_by_model").param("model"),
        NoMember::ContextWindow(_) => Wire::new(400, INVALID, "context_length_exceeded"),
        NoMember::Tags => Wire::new(400, INVALID, "no_backend_with_tags").param("tags"),
        NoMember::Cold => Wire::new(503, SERVER, "model_starting").retry(Retry::After(STARTING)),
        NoMember::Busy | NoMember::Cooling | NoMember::Empty => {
            Wire::new(503, SERVER, "overloaded").retry(Retry::After(SHORTLY))
        }
    }
}

fn limited(refusal: &Refusal, exhausted: u16) -> Wire {
    match refusal.cause {
        // It can never pass: not a matter of time.
        Cause::TooLarge => Wire::new(400, INVALID, "request_exceeds_limit").retry(Retry::Never),
        Cause::Unavailable => Wire::new(503, SERVER, "budget_unavailable").retry(Retry::After(SHORTLY)),
        Cause::Exhausted if refusal.account.is_rate() => Wire::new(429, "rate_limit_error", "rate_limit_exceeded")
            .retry(Retry::After(refusal.retry_after.unwrap_or(SHORTLY))),
        // Money does not come back in the seconds that an SDK would wait.
        Cause::Exhausted => Wire::new(exhausted, "budget_exceeded", "insufficient_quota").retry(Retry::Never),
    }
}

fn upstream(error: &UpstreamError) -> Wire {
    match error.class {
        ErrorClass::BadRequest => {
            let status = if (400..500).contains(&error.status) { error.status } else { 400 };
            Wire::new(status, INVALID, "bad_request")
        }
        ErrorClass::ContextWindow => Wire::new(400, INVALID, "context_length_exceeded"),
        ErrorClass::ContentPolicy => Wire::new(400, INVALID, "content_policy_violation"),
        // The caller's key is fine, ours is not: nothing that a retry could mend.
        ErrorClass::Authentication => Wire::new(502, SERVER, "backend_authentication_failed").retry(Retry::Never),
        ErrorClass::NotFound => Wire::new(404, INVALID, "not_found"),
        ErrorClass::RateLimit => Wire::new(429, "rate_limit_error", "rate_limit_exceeded")
            .retry(error.retry_after.map_or(Retry::Default, Retry::After)),
        ErrorClass::Timeout => Wire::new(504, SERVER, "timeout"),
        ErrorClass::ServerError => {
            let status = if (500..600).contains(&error.status) { error.status } else { 502 };
            Wire::new(status, SERVER, "backend_error").retry(error.retry_after.map_or(Retry::Default, Retry::After))
        }
        ErrorClass::BadAnswer => Wire::new(502, SERVER, "bad_backend_answer"),
    }
}

impl IntoResponse for Error {
    /// For routes that answer in OpenAI's dialect only.
    fn into_response(self) -> Response {
        let body = self.json();
        self.with_body(body)
    }
}

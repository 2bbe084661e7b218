//! What can go wrong, split by whose fault it is.

use std::{borrow::Cow, time::Duration};

/// The client's request cannot be sent to this provider (HTTP 400). `Display` is for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EncodeError {
    /// For the caller, with the remedy.
    pub message: Cow<'static, str>,
    /// The offending field of the request.
    pub param: Option<Cow<'static, str>>,
    /// OpenAI's `code`.
    pub code: &'static str,
}

/// Why an upstream failed, by what may be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The request is wrong (400, 413, 422): repeating it is pointless.
    BadRequest,
    /// The prompt is larger than the model takes: a larger model may do.
    ContextWindow,
    /// Refused by the provider's safety system.
    ContentPolicy,
    /// Our credentials were refused (401, 403).
    Authentication,
    /// Nothing there under this name (404).
    NotFound,
    /// Too many requests or tokens, or no quota left (429).
    RateLimit,
    /// The provider gave up waiting (408, 504, 524).
    Timeout,
    /// Any other failure of theirs (5xx, 529, 402).
    ServerError,
    /// An answer that is not what it should be.
    BadAnswer,
}

/// An upstream's failure. `Display` is for the caller: it never holds our credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct UpstreamError {
    /// What may be done about it.
    pub class: ErrorClass,
    /// The upstream's status; 0 where it answered 2xx and failed later.
    pub status: u16,
    /// The upstream's own words, at most 4 KiB.
    pub message: String,
    /// The upstream's `error.type`.
    pub kind: Option<String>,
    /// The upstream's `error.param`.
    pub param: Option<String>,
    /// The upstream's `error.code`, as a string.
    pub code: Option<String>,
    /// From Retry-After, retry-after-ms or the provider's own header.
    pub retry_after: Option<Duration>,
}

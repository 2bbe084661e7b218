//! Why an attempt failed, as far as it decides what comes next.

use std::time::Duration;

/// What may be done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The client's own fault, or a limit of ours: nobody else would answer otherwise.
    Client,
    /// The prompt is larger than the model takes.
    ContextWindow,
    /// Refused by the provider's safety system.
    ContentPolicy,
    /// Our credentials were refused.
    Authentication,
    /// The backend does not know the model.
    NotFound,
    /// Too many requests or tokens for the backend.
    RateLimit,
    /// One of our time limits, or the backend's own.
    Timeout,
    /// The backend failed, could not be reached, or answered with something that is no answer.
    ServerError,
    /// The backend has no replica yet.
    ColdStart,
}

/// A failed attempt of which the client has seen nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub cause: Cause,
    /// The backend may have worked for it, so that it may cost something.
    pub sent: bool,
    /// When the backend says that it may be asked again.
    pub retry_after: Option<Duration>,
}

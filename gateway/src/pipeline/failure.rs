//! What a failed attempt means to the choice of the next one.

use turnpike_ledger::{
    account::OwnerKind,
    engine::{self, Refusal},
};
use turnpike_llm::error::ErrorClass;
use turnpike_routing::failure::{Cause, Failure};

use crate::error::Error;

/// Why it failed, whether the backend may have worked for it, and when it may be asked again.
pub fn of(error: &Error) -> Failure {
    let (cause, sent, retry_after) = match error {
        // An answer, but not one that can be used; what it cost is owed.
        Error::Upstream(error) => (cause(error.class), true, error.retry_after),
        Error::Answered { error, .. } => (cause(error.class), false, error.retry_after),
        Error::Connect(_) | Error::Timeout { what: "connect", .. } => (Cause::ServerError, false, None),
        Error::Unauthenticated => (Cause::Authentication, false, None),
        Error::Broken => (Cause::ServerError, true, None),
        Error::Timeout { .. } => (Cause::Timeout, true, None),
        Error::Limited { refusal, .. } if is_models_own(refusal) => (Cause::RateLimit, false, refusal.retry_after),
        // The client's own fault, a limit of its key, or no room here: no other backend would change that.
        _ => (Cause::Client, false, None),
    };
    Failure { cause, sent, retry_after }
}

/// Whether an engine is not where it was: nobody is there, or a server that has another key or not this model.
pub fn is_elsewhere(error: &Error, upstream_model: &str) -> bool {
    match error {
        Error::Connect(_) | Error::Timeout { what: "connect", .. } => true,
        Error::Answered { error, .. } => match error.class {
            ErrorClass::Authentication => true,
            // A path that the engine has not is no other engine: its answer does not name the model.
            ErrorClass::NotFound => error.message.contains(upstream_model),
            _ => false,
        },
        _ => false,
    }
}

/// Whether a limit of the backend refused, not one of who asks.
pub fn is_models_own(refusal: &Refusal) -> bool {
    refusal.account.owner.kind == OwnerKind::ModelDeployment
}

/// Whether a limit of the backend has no room for it now.
pub fn is_full(error: &Error) -> bool {
    matches!(error, Error::Limited { refusal, .. } if is_models_own(refusal) && refusal.cause == engine::Cause::Exhausted)
}

/// Why an upstream's error of this class makes an attempt fail.
pub fn cause(class: ErrorClass) -> Cause {
    match class {
        ErrorClass::BadRequest => Cause::Client,
        ErrorClass::ContextWindow => Cause::ContextWindow,
        ErrorClass::ContentPolicy => Cause::ContentPolicy,
        ErrorClass::Authentication => Cause::Authentication,
        ErrorClass::NotFound => Cause::NotFound,
        ErrorClass::RateLimit => Cause::RateLimit,
        ErrorClass::Timeout => Cause::Timeout,
        ErrorClass::ServerError | ErrorClass::BadAnswer => Cause::ServerError,
    }
}

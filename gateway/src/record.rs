//! What is known about a request when it ends: the one source of its spend row, metrics and access-log line.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use turnpike_ledger::spend_log::Attempt;
use turnpike_llm::{error::ErrorClass, provider::Operation, usage::Usage};

use crate::config::snapshot::{Caller, Model, Pool};

/// Everything about one attempt of a model request, and, of the attempt that answered, about the request. Built once, when
/// its last byte went out or it failed.
#[derive(Clone, Debug)]
pub struct Record {
    /// Ours, also sent as `x-litellm-call-id` and `x-request-id`.
    pub request_id: Arc<str>,
    /// Wall clock at arrival, microseconds since the epoch.
    pub started_at_us: i64,
    /// Which attempt it is, and whether the client saw how it ended.
    pub attempt: Attempt,
    /// Further attempts within the group of models that was being tried.
    pub retries: u16,
    /// Further attempts in other groups.
    pub fallbacks: u16,
    /// What was called.
    pub operation: Operation,
    /// Who called.
    pub caller: Arc<Caller>,
    /// The name in the request; empty where the body had none.
    pub requested_model: Arc<str>,
    /// What that name led to; `None` = to nothing that the caller may use.
    pub pool: Option<Arc<Pool>>,
    /// The backend that served or failed it; `None` = refused before one was chosen.
    pub model: Option<Arc<Model>>,
    /// Upstream's model name that was used.
    pub upstream_model: Option<Arc<str>>,
    /// The answer was streamed.
    pub stream: bool,
    /// Status sent to the client, or that would have been had no other attempt followed; 499 = the client left before it.
    pub status: StatusCode,
    /// How it ended.
    pub end: End,
    /// Tokens; `None` = nothing was used.
    pub usage: Option<Usage>,
    /// nano-USD; `None` = the model has no known price.
    pub cost: Option<i64>,
    /// Arrival to the first byte of the answer's body sent.
    pub first_byte: Option<Duration>,
    /// Arrival to the end.
    pub total: Duration,
    /// Request sent upstream to its answer's end (streams: to the end of the stream); `None` = nothing was sent.
    pub upstream: Option<Duration>,
    /// The request's `user`.
    pub end_user: Option<Box<str>>,
    /// Tags of the request (`tags`, `metadata.tags`, header `x-litellm-tags`).
    pub tags: Vec<Box<str>>,
    /// The request's `metadata`, raw JSON.
    pub metadata: Option<bytes::Bytes>,
    /// What kept answers had to do with it.
    pub cache: CacheUse,
}

/// What kept answers had to do with a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CacheUse {
    /// Nothing.
    #[default]
    None,
    /// One was looked for and not found.
    Miss,
    /// It was answered by one.
    Hit,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// Answered in full.
    Success,
    /// The client left before the end.
    Cancelled,
    /// Refused or failed here; OpenAI's error code as in `error/openai.rs`.
    Refused(&'static str),
    /// The upstream failed, before or during the answer.
    Upstream(ErrorClass),
}

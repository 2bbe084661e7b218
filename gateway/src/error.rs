//! Why a request is refused or failed: one enum, `Display` for the caller. Only [`openai`] makes HTTP of it, with the
//! words of the client's dialect.

use std::{borrow::Cow, time::Duration};

use turnpike_ledger::engine::Refusal;
use turnpike_llm::error::{EncodeError, UpstreamError};
use turnpike_routing::plan::NoMember;

mod anthropic;
mod gemini;
mod limited;
pub mod openai;
mod unable;

/// A refusal or failure of one request.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No key in any of the four headers.
    #[error(
        "No API key was given. Send it as `Authorization: Bearer <key>` (or x-api-key, api-key, x-goog-api-key, x-litellm-api-key)."
    )]
    KeyMissing,
    /// The Authorization header is not `Bearer <key>`.
    #[error("Malformed Authorization header. Send `Authorization: Bearer <key>`.")]
    KeyMalformed,
    /// Two headers carry different keys.
    #[error("Two different API keys were given in one request. Send one.")]
    KeyConflict,
    /// Nobody has this key.
    #[error("Incorrect API key provided. Check the key, or ask who issued it for a new one.")]
    KeyUnknown,
    /// Past `expiresAt`, or rotated out.
    #[error("This API key has expired. Ask who issued it for a new one.")]
    KeyExpired,
    /// `spec.suspended`.
    #[error("This API key is suspended. Ask who issued it to resume it.")]
    KeySuspended,
    /// Only the admin key may do this.
    #[error("This needs the admin key.")]
    AdminOnly,
    /// Unknown, invisible or not allowed: one answer, so that nothing is revealed.
    #[error(
        "The model `{0}` does not exist or you do not have access to it. GET /v1/models lists the models that this key may call."
    )]
    ModelNotFound(Box<str>),
    /// No answer of this id is kept for this key.
    #[error("Response with id '{0}' not found.")]
    ResponseNotFound(Box<str>),
    /// Nor one to go on from.
    #[error(
        "Previous response with id '{0}' not found. It may be too old, have been deleted or made with another key or with store: false; send the whole conversation in 'input'."
    )]
    PreviousNotFound(Box<str>),
    /// The request names no model.
    #[error("Missing required parameter: 'model'.")]
    ModelMissing,
    /// Not JSON, or JSON of the wrong shape.
    #[error(transparent)]
    Scan(#[from] turnpike_llm::request::ScanError),
    /// This backend cannot take the request.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// A field is wrong.
    #[error("{message}")]
    Invalid {
        /// With the remedy.
        message: Cow<'static, str>,
        /// The field.
        param: Option<&'static str>,
    },
    /// Larger than the limit.
    #[error("The request body is larger than {limit} bytes, the limit of this gateway.")]
    BodyTooLarge {
        /// Bytes.
        limit: usize,
    },
    /// A Content-Encoding other than identity and gzip.
    #[error("Content-Encoding `{0}` is not supported. Send the body unencoded, or as gzip.")]
    EncodingUnsupported(Box<str>),
    /// The client went silent within its own request.
    #[error("The request body did not arrive in time.")]
    BodyTimeout,
    /// The client's connection broke within its own request.
    #[error("The request body was cut short.")]
    BodyIncomplete,
    /// No room: in flight, buffered bytes, or spend rows not yet written.
    #[error("The gateway is at capacity ({0}). Try again shortly.")]
    Busy(&'static str),
    /// A budget or rate does not let it pass.
    #[error("{}", limited::message(refusal))]
    Limited {
        /// Which, and why.
        refusal: Box<Refusal>,
        /// HTTP status of an exhausted budget, as this gateway is told to have it.
        exhausted: u16,
    },
    /// A limit in USD holds, and what the model costs is not known.
    #[error(
        "The model `{0}` has no price, and a limit in USD applies to this key. Whoever runs the model must set spec.price (zeros where it is free)."
    )]
    NotPriced(Box<str>),
    /// A pass-through that no model of the key's leads to.
    #[error(
        "No model of the provider `{0}` is there for this key. A pass-through uses the credential of a ModelDeployment of that provider that the key may call."
    )]
    NoProvider(&'static str),
    /// A pass-through that is no known model call, by a key that may not call every model.
    #[error(
        "This key may only call certain models, and this path does not say which model it uses. Such paths need a key that may call every model (allowedModels: [\"*\"])."
    )]
    AllModelsOnly,
    /// A pass-through under a limit in USD or tokens, and what it uses cannot be told before.
    #[error(
        "What this request may cost cannot be told beforehand, and a budget applies to this key. Use a key without budgets for it, or a route of which the cost is known."
    )]
    Unbounded,
    /// No configuration yet, or shutting down.
    #[error("The gateway is not ready.")]
    NotReady,
    /// The upstream did not answer as it should.
    #[error(transparent)]
    Upstream(Box<UpstreamError>),
    /// The upstream answered with an error.
    #[error("{error}")]
    Answered {
        /// Its error.
        error: Box<UpstreamError>,
        /// Those of its headers that the client is shown.
        headers: Box<http::HeaderMap>,
    },
    /// No connection to the upstream. The text never holds addresses or credentials.
    #[error("Could not connect to the model's backend: {0}.")]
    Connect(&'static str),
    /// No valid token or key of the gateway for the upstream. Why is for whoever runs the gateway.
    #[error(
        "The gateway has no valid credential for the model's provider: its renewal fails. Whoever runs the gateway finds the reason in its log and in the model's status."
    )]
    Unauthenticated,
    /// The upstream closed or reset before it answered.
    #[error("The model's backend closed the connection before it answered.")]
    Broken,
    /// One of our own time limits.
    #[error("The model's backend did not answer in time ({what} timeout of {after:?}).")]
    Timeout {
        /// Which limit: connect, firstByte, idle or total.
        what: &'static str,
        /// The limit.
        after: Duration,
    },
    /// None of the backends behind the name can take the request.
    #[error("{}", unable::message(.name, *.lacking))]
    Unable {
        /// The name that was asked for.
        name: Box<str>,
        /// Why not.
        lacking: NoMember,
    },
    /// An attempt failed, and another one would have been dearer than a limit lets pass.
    #[error("{0}")]
    OverBudget(Box<Self>),
    /// No such path.
    #[error("Unknown path: {0}. See GET /v1/models and the OpenAI API reference.")]
    NoRoute(Box<str>),
    /// No such path where nothing can be kept that it would make.
    #[error(
        "This gateway has no admin API: it is there where the gateway reads a folder of manifests (--manifests) and keeps its books in its own data folder. In a cluster, make keys and budgets as VirtualKey and Budget objects; beside PostgreSQL, as manifests."
    )]
    NoAdminApi,
    /// The path exists, the method does not.
    #[error("This path does not take {0}.")]
    MethodNotAllowed(http::Method),
    /// A fault of ours. The text says nothing of it; the log does.
    #[error("Internal error.")]
    Internal,
}

impl From<UpstreamError> for Error {
    fn from(error: UpstreamError) -> Self {
        Self::Upstream(Box::new(error))
    }
}

//! Every label of a request metric and the closed set that its values come from: the snapshot and the code, never a client.

use std::{borrow::Cow, sync::Arc};

use turnpike_llm::{error::ErrorClass, provider::Operation};

use crate::{
    config::snapshot::{Backend, Caller, Model, Pool},
    record::{CacheUse, End},
    spend,
};

/// Requested names outside the snapshot share this one.
const UNKNOWN: &str = "unknown";

/// Whose request it was.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct KeyLabels {
    id: Arc<str>,
    alias: Arc<str>,
    team: Arc<str>,
    user: Arc<str>,
    /// Not from a manifest (the admin key, or no valid key at all): never removed.
    permanent: bool,
}

impl KeyLabels {
    pub(super) fn new(caller: &Caller) -> Self {
        let text = |value: &Option<Arc<str>>| value.clone().unwrap_or_default();
        Self {
            id: Arc::clone(&caller.key_id),
            alias: caller
                .object
                .as_ref()
                .map_or_else(|| Arc::clone(&caller.key_id), |object| object.name.as_str().into()),
            team: text(&caller.team),
            user: text(&caller.user),
            permanent: caller.object.is_none(),
        }
    }

    /// Of requests without a valid key.
    pub(super) fn nobody() -> Self {
        Self { id: "".into(), alias: "".into(), team: "".into(), user: "".into(), permanent: true }
    }

    pub(super) fn permanent(&self) -> bool {
        self.permanent
    }
}

/// What was asked for and what served it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ModelLabels {
    id: Arc<str>,
    provider: &'static str,
    upstream: Arc<str>,
    requested: Arc<str>,
}

impl ModelLabels {
    /// `None`: the request ended before a name led somewhere, or before a model was chosen.
    pub(super) fn new(pool: Option<&Pool>, model: Option<&Model>) -> Self {
        let upstream = match model.map(|model| &model.backend) {
            Some(Backend::Provider(upstream)) => Arc::clone(&upstream.model),
            Some(Backend::Mock { .. }) => "mock".into(),
            None => "".into(),
        };
        Self {
            id: model.map(|model| Arc::clone(&model.id)).unwrap_or_default(),
            provider: model.map_or("", spend::provider),
            upstream,
            requested: pool.map_or_else(|| UNKNOWN.into(), |pool| Arc::clone(&pool.name)),
        }
    }

    /// A model was chosen.
    pub(super) fn chosen(&self) -> bool {
        !self.id.is_empty()
    }

    /// What was asked for.
    pub(super) fn requested(&self) -> Arc<str> {
        Arc::clone(&self.requested)
    }

    /// What served it.
    pub(super) fn served(&self) -> (Arc<str>, &'static str, Arc<str>) {
        (Arc::clone(&self.id), self.provider, Arc::clone(&self.upstream))
    }

    /// The same for all that cannot be told apart by OpenTelemetry's labels.
    pub(super) fn kind(&self) -> (&'static str, Arc<str>) {
        (self.provider, Arc::clone(&self.upstream))
    }
}

/// How it was asked and how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct CallLabels {
    pub(super) operation: Operation,
    pub(super) status: u16,
    pub(super) end: End,
    pub(super) cache: CacheUse,
}

impl CallLabels {
    pub(super) fn failed(self) -> bool {
        match self.end {
            End::Refused(_) | End::Upstream(_) => true,
            End::Success | End::Cancelled => false,
        }
    }

    pub(super) fn succeeded(self) -> bool {
        self.end == End::Success
    }
}

/// The labels of one series; metrics whose labels follow models only have no key.
#[derive(Clone, Copy)]
pub(super) struct Series<'a> {
    pub(super) key: Option<&'a KeyLabels>,
    pub(super) model: &'a ModelLabels,
    pub(super) call: CallLabels,
    /// `input` or `output`, of metrics that tell tokens apart.
    pub(super) token_type: &'static str,
}

/// A label of a request metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    HashedApiKey,
    ApiKeyAlias,
    Team,
    User,
    RequestedModel,
    ModelGroup,
    Model,
    LitellmModelName,
    ModelId,
    FallbackModel,
    ApiProvider,
    Route,
    StatusCode,
    ExceptionStatus,
    ExceptionClass,
    Type,
    GenAiOperation,
    GenAiProvider,
    GenAiRequestModel,
    GenAiResponseModel,
    GenAiTokenType,
    ErrorType,
}

impl Label {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::HashedApiKey => "hashed_api_key",
            Self::ApiKeyAlias => "api_key_alias",
            Self::Team => "team",
            Self::User => "user",
            Self::RequestedModel => "requested_model",
            Self::ModelGroup => "model_group",
            Self::Model => "model",
            Self::LitellmModelName => "litellm_model_name",
            Self::ModelId => "model_id",
            Self::FallbackModel => "fallback_model",
            Self::ApiProvider => "api_provider",
            Self::Route => "route",
            Self::StatusCode => "status_code",
            Self::ExceptionStatus => "exception_status",
            Self::ExceptionClass => "exception_class",
            Self::Type => "type",
            Self::GenAiOperation => "gen_ai_operation_name",
            Self::GenAiProvider => "gen_ai_provider_name",
            Self::GenAiRequestModel => "gen_ai_request_model",
            Self::GenAiResponseModel => "gen_ai_response_model",
            Self::GenAiTokenType => "gen_ai_token_type",
            Self::ErrorType => "error_type",
        }
    }

    pub(super) fn value(self, series: Series<'_>) -> Cow<'_, str> {
        let Series { key, model, call, token_type } = series;
        let of_key = |field: fn(&KeyLabels) -> &Arc<str>| Cow::Borrowed(key.map_or("", |key| field(key)));
        match self {
            Self::HashedApiKey => of_key(|key| &key.id),
            Self::ApiKeyAlias => of_key(|key| &key.alias),
            Self::Team => of_key(|key| &key.team),
            Self::User => of_key(|key| &key.user),
            Self::RequestedModel | Self::ModelGroup | Self::GenAiRequestModel => Cow::Borrowed(&*model.requested),
            Self::Model | Self::LitellmModelName | Self::GenAiResponseModel => Cow::Borrowed(&*model.upstream),
            Self::ModelId | Self::FallbackModel => Cow::Borrowed(&*model.id),
            Self::ApiProvider | Self::GenAiProvider => Cow::Borrowed(model.provider),
            Self::Route => Cow::Borrowed(route(call.operation)),
            Self::StatusCode | Self::ExceptionStatus => Cow::Owned(call.status.to_string()),
            Self::ExceptionClass => Cow::Borrowed(exception(call.end)),
            Self::Type | Self::GenAiTokenType => Cow::Borrowed(token_type),
            Self::GenAiOperation => Cow::Borrowed(gen_ai(call.operation)),
            Self::ErrorType => Cow::Borrowed(match call.end {
                End::Success => "",
                End::Cancelled | End::Refused(_) | End::Upstream(_) => spend::outcome(call.end),
            }),
        }
    }
}

/// OpenTelemetry's `gen_ai.operation.name`: what is done, in whatever dialect.
fn gen_ai(operation: Operation) -> &'static str {
    match operation {
        Operation::Chat | Operation::Messages | Operation::Responses | Operation::GenerateContent => "chat",
        _ => spend::operation(operation),
    }
}

fn route(operation: Operation) -> &'static str {
    match operation {
        Operation::Chat => "/v1/chat/completions",
        Operation::Completions => "/v1/completions",
        Operation::Embeddings => "/v1/embeddings",
        Operation::Messages => "/v1/messages",
        Operation::CountTokens => "/v1/messages/count_tokens",
        Operation::Responses => "/v1/responses",
        Operation::GenerateContent => "/v1beta/models/{model}:generateContent",
        Operation::CountContent => "/v1beta/models/{model}:countTokens",
        Operation::Rerank => "/v1/rerank",
        Operation::Moderations => "/v1/moderations",
        Operation::Images => "/v1/images/generations",
        Operation::ImageEdits => "/v1/images/edits",
        Operation::Speech => "/v1/audio/speech",
        Operation::Transcriptions => "/v1/audio/transcriptions",
        Operation::Translations => "/v1/audio/translations",
        Operation::PassThrough => "pass-through",
    }
}

/// `LiteLLM`'s class names where it has one.
fn exception(end: End) -> &'static str {
    match end {
        End::Success => "",
        End::Cancelled | End::Refused(_) => spend::outcome(end),
        End::Upstream(ErrorClass::BadRequest) => "BadRequestError",
        End::Upstream(ErrorClass::ContextWindow) => "ContextWindowExceededError",
        End::Upstream(ErrorClass::ContentPolicy) => "ContentPolicyViolationError",
        End::Upstream(ErrorClass::Authentication) => "AuthenticationError",
        End::Upstream(ErrorClass::NotFound) => "NotFoundError",
        End::Upstream(ErrorClass::RateLimit) => "RateLimitError",
        End::Upstream(ErrorClass::Timeout) => "Timeout",
        End::Upstream(ErrorClass::ServerError) => "InternalServerError",
        End::Upstream(ErrorClass::BadAnswer) => "APIError",
    }
}

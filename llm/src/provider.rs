//! What every provider adapter does, and which adapter serves which provider.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};

use crate::{
    conversation::Stored,
    error::{EncodeError, UpstreamError},
    inbound,
    media::Fetched,
    request::Request,
    response::bad_answer,
    splice::Splices,
    stream::StreamDecoder,
    usage::Usage,
};

mod anthropic;
mod bedrock;
mod cohere;
mod failure;
mod function;
mod gemini;
mod ollama;
mod openai_compat;
mod operation;
mod params;
mod quirks;
pub(crate) mod rerank;
mod wire;

pub use crate::chat::Recall;
pub(crate) use failure::{aws_exception, upstream_error};
pub(crate) use operation::no_route;
pub use operation::{Dialect, Operation};
pub use params::CompiledParams;

/// `spec.provider.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ProviderKind {
    /// api.openai.com.
    OpenAI,
    /// Azure OpenAI Service.
    AzureOpenAI,
    /// api.anthropic.com.
    Anthropic,
    /// AWS Bedrock.
    Bedrock,
    /// Google Cloud Vertex AI.
    VertexAI,
    /// Google AI Studio.
    Gemini,
    /// api.cohere.com.
    Cohere,
    /// api.mistral.ai.
    Mistral,
    /// api.together.xyz.
    TogetherAI,
    /// api.groq.com.
    Groq,
    /// api.fireworks.ai.
    FireworksAI,
    /// api.perplexity.ai.
    Perplexity,
    /// api.deepseek.com.
    DeepSeek,
    /// A local Ollama.
    Ollama,
    /// A vLLM server.
    VLLM,
    /// Hugging Face text-generation-inference.
    HuggingFaceTGI,
    /// NVIDIA NIM.
    NvidiaNIM,
    /// Anything else that speaks OpenAI's dialect.
    OpenAICompatible,
}

/// Sizes and abilities of a model; `None` = unknown, nothing is refused on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Capabilities {
    /// Prompt plus output tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u64>,
    /// Most output tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// Takes images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vision: Option<bool>,
    /// Takes tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<bool>,
    /// Takes `response_format` of type `json_schema`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json_schema: Option<bool>,
    /// Is an embedding model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embeddings: Option<bool>,
    /// Reasons before it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<bool>,
}

/// How a provider wants to be authenticated. Adapters name it; the gateway does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthScheme {
    /// `Authorization: Bearer KEY`; none sent where there is no key.
    Bearer,
    /// The bare key in this header.
    Header(&'static str),
    /// AWS Signature Version 4 over the final request.
    SigV4 {
        /// Signing name.
        service: &'static str,
    },
    /// A short-lived `OAuth2` token of Google Cloud.
    GoogleToken,
}

/// Where an encoded request goes: one backend with the concrete upstream model.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Base URL without trailing slash.
    pub base_url: &'a str,
    /// Upstream's model name (wildcards already filled in).
    pub model: &'a str,
    /// Azure's api-version.
    pub api_version: Option<&'a str>,
    /// Cloud region.
    pub region: Option<&'a str>,
    /// Cloud project.
    pub project: Option<&'a str>,
    /// `params` of the backend, compiled.
    pub params: &'a CompiledParams,
    /// What the model can do.
    pub capabilities: &'a Capabilities,
    /// Drop what the provider does not support instead of refusing (the backend's setting or the request's `drop_params`).
    pub drop_unsupported: bool,
    /// Most output tokens of one choice, whatever the client says; `None` = as the client says.
    pub max_output_tokens: Option<u64>,
    /// Media that the client gave by URL and this provider takes in place only.
    pub fetched: &'a Fetched,
}

/// How the answer is to look to this client, and what an answer's dialect may leave out.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// The name that the client asked for: restamped into every `model`.
    pub model: Arc<str>,
    /// The client set `stream_options.include_usage`.
    pub include_usage: bool,
    /// The encoding of embeddings that the client asked for (`encoding_format`, default float); the answer is
    /// converted to it where the upstream sent the other.
    pub base64_embeddings: bool,
    /// The model that was called: one provider's models may answer in several shapes (Bedrock's embeddings, Claude and
    /// Gemini on Vertex).
    pub upstream_model: Arc<str>,
    /// The model is said to reason ([`Capabilities::reasoning`]).
    pub reasons: bool,
    /// This call's id, for `id` where the dialect has none (Bedrock, Gemini).
    pub call_id: Arc<str>,
    /// Seconds since the epoch, for `created` where the dialect has none (all but OpenAI's).
    pub created: i64,
    /// Members of the request that its answer repeats, each behind a comma, or whether it shows thoughts; see [`Shown::repeated`].
    pub repeated: Bytes,
    /// What is kept here of the answer; from [`Request::stored`].
    pub stored: Option<Arc<Stored>>,
    /// What the request said in other words than the client's; from [`Encoded::recall`].
    pub recall: Recall,
}

impl Shown {
    /// What an answer to this request repeats of it, where the client's dialect wants that.
    pub fn repeated(operation: Operation, request: &Request) -> Bytes {
        inbound::repeated(operation, request)
    }
}

/// A request ready to be sent.
#[derive(Debug)]
pub struct Encoded {
    /// Headers beside authentication and the backend's own.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body as slices, in order.
    pub body: Splices,
    /// Bodies of further calls to the same URL, where the upstream takes less at a time than the client asked for;
    /// what all of them are answered is read by [`Provider::join`].
    pub further: Vec<Splices>,
    /// To be handed back in [`Shown::recall`].
    pub recall: Recall,
}

impl Encoded {
    /// One call with a JSON body and no headers but its type.
    pub(crate) fn json(body: Splices, recall: Recall) -> Self {
        let headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        Self { headers, body, further: Vec::new(), recall }
    }
}

/// A whole successful answer in the client's dialect.
#[derive(Debug)]
pub struct Decoded {
    /// For the client.
    pub body: Splices,
    /// As reported; `None` = the upstream said nothing.
    pub usage: Option<Usage>,
}

/// One provider dialect. No IO, no clock: typed values in, bytes out.
pub trait Provider: Send + Sync {
    /// Whether this operation's dialect is the provider's own, so that what it answers goes on with few changes. What it
    /// does not speak is translated; tokens are then counted by the gateway itself.
    fn speaks(&self, operation: Operation) -> bool;

    /// [`Self::speaks`] with this model, where one provider's models differ.
    fn speaks_with(&self, operation: Operation, _model: &str) -> bool {
        self.speaks(operation)
    }

    /// How calls are authenticated.
    fn auth(&self) -> AuthScheme;

    /// Absolute URL of an operation. Constant for a backend unless its model is a wildcard, so the gateway keeps it.
    fn url(&self, operation: Operation, stream: bool, target: &Target<'_>) -> String;

    /// Turns the client's request into the provider's.
    ///
    /// # Errors
    /// The client's fault: something this provider cannot take.
    fn encode(&self, operation: Operation, request: &Request, target: &Target<'_>) -> Result<Encoded, EncodeError>;

    /// Turns a whole 2xx body into the client's dialect.
    ///
    /// # Errors
    /// The upstream's fault: not what it should be.
    fn decode(&self, operation: Operation, body: Bytes, shown: &Shown) -> Result<Decoded, UpstreamError>;

    /// Turns the whole 2xx bodies of several calls, in the order of [`Encoded::body`] and [`Encoded::further`], into one
    /// answer.
    ///
    /// # Errors
    /// The upstream's fault: not what they should be.
    fn join(&self, operation: Operation, _bodies: &[Bytes], _shown: &Shown) -> Result<Decoded, UpstreamError> {
        Err(bad_answer(&format_args!("no {operation:?} is asked for in parts")))
    }

    /// A decoder for one streamed 2xx answer.
    fn stream(&self, operation: Operation, shown: Shown) -> Box<dyn StreamDecoder>;

    /// Whether media at this URL must be in the request itself: the gateway fetches them before it calls
    /// [`Provider::encode`], with what came in [`Target::fetched`].
    fn wants_in_place(&self, _url: &str) -> bool {
        false
    }

    /// Classifies a non-2xx answer.
    fn error(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> UpstreamError;
}

impl ProviderKind {
    /// The adapter, or `None` while this provider's dialect is not spoken yet.
    pub fn adapter(self) -> Option<&'static dyn Provider> {
        match self {
            Self::Anthropic => Some(&anthropic::Anthropic),
            Self::Bedrock => Some(&bedrock::Bedrock),
            Self::Cohere => Some(&cohere::Cohere),
            Self::Gemini => Some(&gemini::GEMINI),
            Self::VertexAI => Some(&gemini::vertex::VERTEX),
            Self::Ollama => Some(&ollama::Ollama),
            _ => openai_compat::adapter(self),
        }
    }

    /// Base URL used when the spec gives none; `{region}` stands for the spec's region. `None` = the spec must give one.
    pub fn default_base_url(self) -> Option<&'static str> {
        quirks::default_base_url(self)
    }

    /// [`ProviderKind::default_base_url`] of a region: Vertex AI has hosts of another form for places that are no single one.
    pub fn base_url_in(self, region: &str) -> Option<String> {
        let plain = self.default_base_url()?;
        Some(match (self, region) {
            (Self::VertexAI, "global") => "https://aiplatform.googleapis.com".to_owned(),
            (Self::VertexAI, "us" | "eu") => format!("https://aiplatform.{region}.rep.googleapis.com"),
            _ => plain.replace("{region}", region),
        })
    }

    /// OpenTelemetry's `gen_ai.provider.name` (well-known values where there is one).
    pub fn label(self) -> &'static str {
        quirks::label(self)
    }
}

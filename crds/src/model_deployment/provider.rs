//! `spec.provider`: a model behind somebody else's API, with its address, credentials and request tweaks.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{reference::SecretKeyRef, reference::SecretValue, schema};

/// A model behind a provider's API.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = (
    "has(self.baseURL) || !(self.type in ['AzureOpenAI', 'VLLM', 'HuggingFaceTGI', 'OpenAICompatible'])",
    "provider types AzureOpenAI, VLLM, HuggingFaceTGI and OpenAICompatible have no usual address; set provider.baseURL"
))]
#[serde(rename_all = "camelCase")]
pub struct Provider {
    /// Whose API it is; decides the dialect, the usual address and the way to authenticate. `OpenAICompatible` fits every server
    /// that speaks OpenAI's API.
    #[serde(rename = "type")]
    pub provider_type: ProviderType,
    /// The upstream's name for the model; default: modelName. A `*` in it stands for what the `*` of modelName matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub model: Option<String>,
    /// Replaces the usual address of the type, up to and including the version (such as `https://api.openai.com/v1`); the route is
    /// appended.
    #[serde(rename = "baseURL", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(
        validation = (
            "self.matches('^https?://([^/?#]*@)?[^/?#@: ]+[^ ]*$')",
            "baseURL must start with http:// or https:// and name a host, such as https://api.example.com/v1"
        ),
        validation = (
            "!self.matches('^[^/]*//[^/?#]*@')",
            "baseURL must not contain a user name or password; put the key into a Secret and name it in credentials.secretRef"
        ),
        validation = (
            "!self.contains('?') && !self.contains('#')",
            "baseURL must not contain a query or fragment; use apiVersion, headers or params"
        )
    )]
    pub base_url: Option<String>,
    /// The `api-version` that AzureOpenAI asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), extend("pattern" = "^[A-Za-z0-9._-]+$"))]
    pub api_version: Option<String>,
    /// Cloud region (Bedrock), or location (VertexAI).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), extend("pattern" = "^[a-z0-9-]+$"))]
    pub region: Option<String>,
    /// Google Cloud project (VertexAI).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), extend("pattern" = "^[a-z0-9:.-]+$"))]
    pub project: Option<String>,
    /// How to authenticate; without it no key is sent, or the workload's own identity is used with a cloud provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// Headers added to every upstream request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub headers: Vec<Header>,
    /// Changes made to every request's parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub params: Option<Params>,
}

/// Whose API a provider speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ProviderType {
    /// OpenAI.
    #[default]
    OpenAI,
    /// OpenAI's models in Azure.
    AzureOpenAI,
    /// Anthropic.
    Anthropic,
    /// Amazon Bedrock.
    Bedrock,
    /// Google Vertex AI.
    VertexAI,
    /// Google AI Studio's Gemini API.
    Gemini,
    /// Cohere.
    Cohere,
    /// Mistral.
    Mistral,
    /// Together AI.
    TogetherAI,
    /// Groq.
    Groq,
    /// Fireworks AI.
    FireworksAI,
    /// Perplexity.
    Perplexity,
    /// DeepSeek.
    DeepSeek,
    /// Ollama.
    Ollama,
    /// A vLLM server that somebody else runs.
    #[serde(rename = "VLLM")]
    Vllm,
    /// Hugging Face Text Generation Inference.
    #[serde(rename = "HuggingFaceTGI")]
    HuggingFaceTgi,
    /// NVIDIA NIM.
    #[serde(rename = "NvidiaNIM")]
    NvidiaNim,
    /// Any other server that speaks OpenAI's API.
    OpenAICompatible,
}

impl ProviderType {
    /// Every type, in the order of the documentation.
    pub const ALL: [Self; 18] = [
        Self::OpenAI,
        Self::AzureOpenAI,
        Self::Anthropic,
        Self::Bedrock,
        Self::VertexAI,
        Self::Gemini,
        Self::Cohere,
        Self::Mistral,
        Self::TogetherAI,
        Self::Groq,
        Self::FireworksAI,
        Self::Perplexity,
        Self::DeepSeek,
        Self::Ollama,
        Self::Vllm,
        Self::HuggingFaceTgi,
        Self::NvidiaNim,
        Self::OpenAICompatible,
    ];

    /// The name as it stands in manifests, metrics and spend rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAI => "OpenAI",
            Self::AzureOpenAI => "AzureOpenAI",
            Self::Anthropic => "Anthropic",
            Self::Bedrock => "Bedrock",
            Self::VertexAI => "VertexAI",
            Self::Gemini => "Gemini",
            Self::Cohere => "Cohere",
            Self::Mistral => "Mistral",
            Self::TogetherAI => "TogetherAI",
            Self::Groq => "Groq",
            Self::FireworksAI => "FireworksAI",
            Self::Perplexity => "Perplexity",
            Self::DeepSeek => "DeepSeek",
            Self::Ollama => "Ollama",
            Self::Vllm => "VLLM",
            Self::HuggingFaceTgi => "HuggingFaceTGI",
            Self::NvidiaNim => "NvidiaNIM",
            Self::OpenAICompatible => "OpenAICompatible",
        }
    }
}

/// How to authenticate to a provider.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = (
    "(has(self.secretRef) ? 1 : 0) + (has(self.aws) ? 1 : 0) + (has(self.gcp) ? 1 : 0) + (has(self.azure) ? 1 : 0) <= 1",
    "set at most one of secretRef, aws, gcp and azure in credentials"
))]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// An API key, sent the way the provider's type asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyRef>,
    /// AWS keys or role, for Bedrock; empty: the workload's own identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws: Option<AwsCredentials>,
    /// A Google service account, for VertexAI; empty: the workload's own identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gcp: Option<GcpCredentials>,
    /// A Microsoft Entra application, for AzureOpenAI; empty: the workload's own identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub azure: Option<AzureCredentials>,
}

impl Credentials {
    /// Every key of a Secret that it names.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretKeyRef> {
        let aws = self.aws.as_ref();
        let values = [
            aws.and_then(|aws| aws.access_key_id.as_ref()),
            aws.and_then(|aws| aws.secret_access_key.as_ref()),
            aws.and_then(|aws| aws.session_token.as_ref()),
            self.gcp.as_ref().and_then(|gcp| gcp.service_account_json.as_ref()),
            self.azure.as_ref().and_then(|azure| azure.client_secret.as_ref()),
        ];
        self.secret_ref.iter().chain(values.into_iter().flatten().map(|value| &value.secret_ref))
    }
}

/// AWS credentials.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsCredentials {
    /// The access key's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<SecretValue>,
    /// The access key's secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_access_key: Option<SecretValue>,
    /// The session token of temporary credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_token: Option<SecretValue>,
    /// ARN of a role to assume; the external id is always `<cluster>/<namespace>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub role_arn: Option<String>,
}

/// Google Cloud credentials.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GcpCredentials {
    /// A service account's key file, as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_json: Option<SecretValue>,
}

/// Microsoft Entra credentials.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AzureCredentials {
    /// Id of the tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub tenant_id: Option<String>,
    /// Id of the application.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub client_id: Option<String>,
    /// Secret of the application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<SecretValue>,
}

/// A header added to upstream requests.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = (
        "has(self.value) != has(self.secretRef)",
        "give a header exactly one of value and secretRef"
    ),
    validation = (
        "!(self.name.lowerAscii() in ['host', 'content-length', 'transfer-encoding', 'connection'])",
        "Host, Content-Length, Transfer-Encoding and Connection are set by the gateway; remove the header"
    ),
    validation = (
        "!has(self.value) || !(self.name.lowerAscii() in ['authorization', 'proxy-authorization', 'cookie'] || self.name.lowerAscii().contains('api-key'))",
        "a header that carries a secret must not have a literal value; put it into a Secret and use secretRef"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// Name of the header; case does not matter.
    #[schemars(length(min = 1, max = 64), extend("pattern" = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"))]
    pub name: String,
    /// Literal value, for what is not confidential.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024), extend("pattern" = "^[\\x20-\\x7e]*$"))]
    pub value: Option<String>,
    /// Value from a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyRef>,
}

/// Changes made to every request's parameters, in this order: rename, drop, defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Params {
    /// Parameters that are added where the client sent none.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "schema::any_object")]
    pub defaults: Map<String, Value>,
    /// Parameters that are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 64)), extend("x-kubernetes-list-type" = "set"))]
    pub drop: Vec<String>,
    /// Parameters that are sent under another name: from the client's name to the upstream's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::string_map")]
    pub rename: BTreeMap<String, String>,
    /// Whether to leave out parameters that the provider is known not to support, instead of letting it refuse the request.
    #[serde(default)]
    pub drop_unsupported: bool,
}

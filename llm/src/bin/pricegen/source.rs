//! A row of `data/prices.jsonl`.

use serde::Deserialize;
use turnpike_llm::provider::ProviderKind;

/// All prices are USD per million tokens, `per_query_usd` excepted.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SourceRow {
    pub(crate) provider: ProviderKind,
    pub(crate) model: String,
    pub(crate) mode: Mode,
    pub(crate) input_per_million_usd: Option<f64>,
    pub(crate) output_per_million_usd: Option<f64>,
    pub(crate) cached_input_per_million_usd: Option<f64>,
    #[serde(rename = "cacheWrite5mPerMillionUsd")]
    pub(crate) cache_write_5m_per_million_usd: Option<f64>,
    #[serde(rename = "cacheWrite1hPerMillionUsd")]
    pub(crate) cache_write_1h_per_million_usd: Option<f64>,
    pub(crate) reasoning_per_million_usd: Option<f64>,
    pub(crate) audio_input_per_million_usd: Option<f64>,
    pub(crate) audio_output_per_million_usd: Option<f64>,
    pub(crate) batch_input_per_million_usd: Option<f64>,
    pub(crate) batch_output_per_million_usd: Option<f64>,
    pub(crate) flex_input_per_million_usd: Option<f64>,
    pub(crate) flex_output_per_million_usd: Option<f64>,
    pub(crate) priority_input_per_million_usd: Option<f64>,
    pub(crate) priority_output_per_million_usd: Option<f64>,
    pub(crate) per_query_usd: Option<f64>,
    #[serde(default)]
    pub(crate) above_tokens: Vec<SourceTier>,
    pub(crate) max_input_tokens: Option<u32>,
    pub(crate) max_output_tokens: Option<u32>,
    #[serde(default)]
    pub(crate) supports: Vec<String>,
    /// Not kept: a model past its date is still billed if it answers.
    #[serde(rename = "deprecationDate")]
    pub(crate) _deprecation_date: Option<String>,
    /// Not kept: nothing here needs it.
    #[serde(rename = "vectorSize")]
    pub(crate) _vector_size: Option<f64>,
}

/// What a model is called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    Chat,
    Responses,
    Completion,
    Embedding,
    Rerank,
}

/// Rates above a number of prompt tokens.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SourceTier {
    pub(crate) threshold: u32,
    pub(crate) input_per_million_usd: f64,
    pub(crate) output_per_million_usd: f64,
    pub(crate) cached_input_per_million_usd: Option<f64>,
    #[serde(rename = "cacheWrite5mPerMillionUsd")]
    pub(crate) cache_write_5m_per_million_usd: Option<f64>,
}

impl SourceRow {
    /// Whether a call can be priced: both sides of a chat, the input or the query of the others.
    pub(crate) fn is_priced(&self) -> bool {
        match self.mode {
            Mode::Chat | Mode::Responses | Mode::Completion => {
                self.input_per_million_usd.is_some() && self.output_per_million_usd.is_some()
            }
            Mode::Embedding | Mode::Rerank => self.input_per_million_usd.is_some() || self.per_query_usd.is_some(),
        }
    }

    /// The model's name as the provider has it: the source puts the name of a LiteLLM provider before most.
    pub(crate) fn provider_model(&self) -> &str {
        let prefixes: &[&str] = match self.provider {
            ProviderKind::OpenAI => &["openai/"],
            ProviderKind::AzureOpenAI => &["azure/", "azure_ai/"],
            ProviderKind::Bedrock => &["bedrock/"],
            ProviderKind::VertexAI => &["vertex_ai/"],
            ProviderKind::Gemini => &["gemini/"],
            ProviderKind::Cohere => &["cohere/"],
            ProviderKind::Mistral => &["mistral/"],
            ProviderKind::TogetherAI => &["together_ai/"],
            ProviderKind::Groq => &["groq/"],
            ProviderKind::FireworksAI => &["fireworks_ai/accounts/fireworks/models/", "fireworks_ai/"],
            ProviderKind::Perplexity => &["perplexity/"],
            ProviderKind::DeepSeek => &["deepseek/"],
            ProviderKind::Ollama => &["ollama/"],
            ProviderKind::Anthropic
            | ProviderKind::NvidiaNIM
            | ProviderKind::VLLM
            | ProviderKind::HuggingFaceTGI
            | ProviderKind::OpenAICompatible => &[],
        };
        prefixes.iter().find_map(|prefix| self.model.strip_prefix(prefix)).unwrap_or(&self.model)
    }
}

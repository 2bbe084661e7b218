//! What the fuzz targets share: one input chooses a provider and an operation by its first two bytes; the rest is what
//! a client or an upstream sent.

use std::sync::Arc;

use bytes::Bytes;
use turnpike_llm::{
    media::Fetched,
    provider::{Capabilities, CompiledParams, Operation, Provider, ProviderKind, Shown, Target},
};

/// Every provider.
pub const KINDS: [ProviderKind; 18] = [
    ProviderKind::OpenAI,
    ProviderKind::AzureOpenAI,
    ProviderKind::Anthropic,
    ProviderKind::Bedrock,
    ProviderKind::VertexAI,
    ProviderKind::Gemini,
    ProviderKind::Cohere,
    ProviderKind::Mistral,
    ProviderKind::TogetherAI,
    ProviderKind::Groq,
    ProviderKind::FireworksAI,
    ProviderKind::Perplexity,
    ProviderKind::DeepSeek,
    ProviderKind::Ollama,
    ProviderKind::VLLM,
    ProviderKind::HuggingFaceTGI,
    ProviderKind::NvidiaNIM,
    ProviderKind::OpenAICompatible,
];

/// One input, taken apart.
pub struct Input {
    pub adapter: &'static dyn Provider,
    pub operation: Operation,
    /// As it came from outside.
    pub body: Bytes,
}

impl Input {
    /// `None` where the input is too short, or names a provider whose dialect is not spoken.
    pub fn new(data: &[u8]) -> Option<Self> {
        let (&[kind, operation], body) = data.split_first_chunk::<2>()?;
        let kind = KINDS[usize::from(kind) % KINDS.len()];
        let operation = Operation::ALL[usize::from(operation) % Operation::ALL.len()];
        Some(Self { adapter: kind.adapter()?, operation, body: Bytes::copy_from_slice(body) })
    }
}

/// How the answer is to be shown.
pub fn shown() -> Shown {
    Shown {
        model: "shown".into(),
        include_usage: true,
        upstream_model: "claude-sonnet-4-5".into(),
        call_id: Arc::from("call"),
        created: 1,
        ..Shown::default()
    }
}

/// A backend.
pub fn target<'a>(params: &'a CompiledParams, capabilities: &'a Capabilities) -> Target<'a> {
    Target {
        base_url: "https://host/v1",
        model: "claude-sonnet-4-5",
        api_version: None,
        region: Some("us-east-1"),
        project: Some("project"),
        params,
        capabilities,
        drop_unsupported: false,
        max_output_tokens: Some(1000),
        fetched: Fetched::NONE,
    }
}

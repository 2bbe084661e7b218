//! What the fuzz targets share: one input chooses a provider and an operation by its first two bytes; the rest is what
//! a client or an upstream sent.

use std::sync::Arc;

use bytes::Bytes;
use turnpike_llm::{
    media::Fetched,
    provider::{Capabilities, CompiledParams, Operation, Provider, ProviderKind, Shown, Target},
};

#[path = "../../tests/providers/frames.rs"]
mod frames;

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
    kind: ProviderKind,
    /// As it came from outside.
    pub body: Bytes,
}

impl Input {
    /// `None` where the input is too short, or names a provider whose dialect is not spoken.
    pub fn new(data: &[u8]) -> Option<Self> {
        let (&[kind, operation], body) = data.split_first_chunk::<2>()?;
        let kind = KINDS[usize::from(kind) % KINDS.len()];
        let operation = Operation::ALL[usize::from(operation) % Operation::ALL.len()];
        Some(Self { adapter: kind.adapter()?, operation, kind, body: Bytes::copy_from_slice(body) })
    }

    /// The body as a stream. AWS's messages are recorded as text, one a line, and made here: sums that the fuzzer would
    /// have to guess would keep it from what they protect.
    pub fn stream(&self) -> Bytes {
        match str::from_utf8(&self.body) {
            Ok(text) if self.kind == ProviderKind::Bedrock && text.starts_with("e") => messages(text).into(),
            _ => self.body.clone(),
        }
    }
}

fn messages(text: &str) -> Vec<u8> {
    let is_whole = |line: &&str| line.splitn(3, ' ').count() == 3 && line.len() < 1 << 12;
    let short = |line: &&str| line.splitn(3, ' ').take(2).all(|word| word.len() < 200);
    let lines: Vec<&str> = text.lines().filter(is_whole).filter(short).collect();
    frames::messages(&lines.join("\n"))
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

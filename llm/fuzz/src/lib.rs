//! What the fuzz targets share: one input chooses a provider and an operation by its first two bytes; the rest is what
//! a client or an upstream sent.

use std::sync::Arc;

use bytes::Bytes;
use turnpike_llm::{
    media::Fetched,
    provider::{Capabilities, CompiledParams, Operation, Provider, ProviderKind, Recall, Shown, Target},
    request::Request,
};

#[path = "../../tests/providers/frames.rs"]
mod frames;

/// Every provider; the last one is `OpenAI` with a model whose chats go out as Responses.
pub const KINDS: [ProviderKind; 19] = [
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
    ProviderKind::OpenAI,
];

/// One input, taken apart.
pub struct Input {
    pub adapter: &'static dyn Provider,
    pub operation: Operation,
    kind: ProviderKind,
    /// The upstream's.
    pub model: &'static str,
    /// As it came from outside.
    pub body: Bytes,
}

impl Input {
    /// `None` where the input is too short, or names a provider whose dialect is not spoken.
    pub fn new(data: &[u8]) -> Option<Self> {
        let (&[kind, operation], body) = data.split_first_chunk::<2>()?;
        let at = usize::from(kind) % KINDS.len();
        let (kind, is_last) = (KINDS[at], at + 1 == KINDS.len());
        let model = if is_last { "gpt-5.5-pro" } else { "claude-sonnet-4-5" };
        let operation = Operation::ALL[usize::from(operation) % Operation::ALL.len()];
        Some(Self { adapter: kind.adapter()?, operation, kind, model, body: Bytes::copy_from_slice(body) })
    }

    /// How the answer is to be shown.
    pub fn shown(&self) -> Shown {
        Shown {
            model: "shown".into(),
            include_usage: true,
            upstream_model: self.model.into(),
            call_id: Arc::from("call"),
            created: 1,
            recall: self.recall(),
            ..Shown::default()
        }
    }

    /// That of a plain request.
    fn recall(&self) -> Recall {
        const PLAIN: &[u8] = br#"{"model":"m","max_tokens":99,"messages":[{"role":"user","content":"Hi"}]}"#;
        let (params, capabilities) = (CompiledParams::default(), Capabilities::default());
        let encoded = Request::scan(Bytes::from_static(PLAIN))
            .ok()
            .filter(|_| matches!(self.operation, Operation::Chat | Operation::Messages))
            .and_then(|request| {
                self.adapter.encode(self.operation, &request, &target(self.model, &params, &capabilities)).ok()
            });
        encoded.map(|encoded| encoded.recall).unwrap_or_default()
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

/// A backend.
pub fn target<'a>(model: &'a str, params: &'a CompiledParams, capabilities: &'a Capabilities) -> Target<'a> {
    Target {
        base_url: "https://host/v1",
        model,
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

//! Every provider's particulars as data. An upstream that speaks OpenAI's dialect is one row of [`TABLE`] and no code.

use crate::provider::{AuthScheme, Operation, ProviderKind, rerank};

mod messages;
mod rules;

pub(crate) use messages::{Answers, Parts, Unread};
use messages::{NAMES, OTHERS, REASONING};
pub(crate) use rules::{Act, Family, Rule};

/// What tells one upstream of OpenAI's dialect from another.
#[derive(Debug)]
pub(crate) struct Quirks {
    /// Whose row it is.
    pub(crate) kind: ProviderKind,
    /// As in messages to people.
    pub(crate) name: &'static str,
    /// Where the key goes.
    pub(crate) auth: AuthScheme,
    /// What is appended to the base URL.
    pub(crate) routes: Routes,
    /// How a stream's usage is had.
    pub(crate) stream_usage: StreamUsage,
    /// When the client's `metadata` goes on.
    pub(crate) metadata: Metadata,
    /// Whether `encoding_format` goes on.
    pub(crate) encoding_format: EncodingFormat,
    /// Whether messages may have the role `developer`.
    pub(crate) developer: Developer,
    /// What a message's content may be.
    pub(crate) parts: Parts,
    /// Members of messages that are removed: the upstream answers 400 to them.
    pub(crate) unread: &'static [&'static [Unread]],
    /// Ids of tool calls are nine letters and digits: others are replaced.
    pub(crate) short_ids: bool,
    /// An assistant's message at the end is one to go on with only where it says `prefix`.
    pub(crate) continues: bool,
    /// After a tool the assistant speaks, and nobody else.
    pub(crate) answers_tools: bool,
    /// Members of functions in `tools` that are removed: the upstream answers 400 to them.
    pub(crate) undeclared: &'static [&'static str],
    /// Models that know no schemas but can be held to JSON.
    pub(crate) no_schemas: Option<Family>,
    /// How contents come.
    pub(crate) answers: Answers,
    /// The member that limits a chat's output, where the client named none.
    pub(crate) output_limit: &'static str,
    /// Models read `reasoning_content` of earlier answers; others refuse or ignore it.
    pub(crate) reads_reasoning: bool,
    /// How it reranks; `None` = it does not.
    pub(crate) rerank: Option<rerank::Api>,
    /// Which of the relayed routes it has.
    pub(crate) relayed: &'static [Operation],
    /// Put before a model name that holds no slash.
    pub(crate) model_prefix: &'static str,
    /// What happens to single parameters; the first that fits holds.
    pub(crate) rules: &'static [&'static [Rule]],
}

/// Paths under the base URL. `None` = the provider has no such route.
#[derive(Debug)]
pub(crate) struct Routes {
    /// Put before each of them; `{model}` stands for the upstream's model name.
    pub(crate) prefix: &'static str,
    /// Default of `?api-version=`; `None` = there is no such query.
    pub(crate) api_version: Option<&'static str>,
    /// Has legacy completions.
    pub(crate) completions: bool,
    /// Has embeddings.
    pub(crate) embeddings: bool,
    /// Path of Responses under the base URL, without `prefix` and `api_version`; `None` = they are sent as chats.
    pub(crate) responses: Option<&'static str>,
}

/// How a stream's usage is had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamUsage {
    /// By `stream_options.include_usage`.
    Ask,
    /// It comes unasked, and `stream_options` is refused.
    Unasked,
}

/// When the client's `metadata` goes on: clients of a gateway send it for the gateway's own log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metadata {
    /// Only beside `"store": true`; the upstream answers 400 without.
    WithStore,
    /// Never.
    Never,
}

/// Whether an embeddings request's `encoding_format` goes on; the answer is converted either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EncodingFormat {
    /// As the client set it.
    Keep,
    /// Removed: the upstream does not know it, or not base64.
    Remove,
}

/// What becomes of the role `developer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Developer {
    /// It goes on.
    Keep,
    /// It is sent as `system`, its older name.
    AsSystem,
}

impl Routes {
    /// Chat only.
    const CHAT: Self = Self { prefix: "", api_version: None, completions: false, embeddings: false, responses: None };
    /// Chat and embeddings.
    const CHAT_EMBEDDINGS: Self = Self { embeddings: true, ..Self::CHAT };
    /// All three.
    const ALL: Self = Self { completions: true, embeddings: true, ..Self::CHAT };

    /// The last part of an operation's path, or `None` where the provider has no such route.
    pub(crate) fn path(&self, operation: Operation) -> Option<&'static str> {
        match operation {
            Operation::Completions => self.completions.then_some("/completions"),
            Operation::Embeddings => self.embeddings.then_some("/embeddings"),
            // Other dialects are sent as chats.
            Operation::Chat | Operation::Messages | Operation::Responses | Operation::GenerateContent => {
                Some("/chat/completions")
            }
            Operation::Moderations => Some("/moderations"),
            Operation::Images => Some("/images/generations"),
            Operation::ImageEdits => Some("/images/edits"),
            Operation::Speech => Some("/audio/speech"),
            Operation::Transcriptions => Some("/audio/transcriptions"),
            Operation::Translations => Some("/audio/translations"),
            Operation::CountTokens | Operation::CountContent | Operation::Rerank | Operation::PassThrough => None,
        }
    }
}

/// What every chat model of OpenAI's takes. A deployment at Azure may be called anything, so that nothing tells whether it is
/// one of those that refuse the older name.
pub(crate) const NEWER_LIMIT: &str = "max_completion_tokens";
/// What Responses call it.
pub(crate) const RESPONSES_LIMIT: &str = "max_output_tokens";
/// What legacy completions and most other servers know.
pub(crate) const OLDER_LIMIT: &str = "max_tokens";

/// Sound both ways.
const AUDIO: &[Operation] = &[Operation::Speech, Operation::Transcriptions, Operation::Translations];
/// Pictures and sound.
const MEDIA: &[Operation] =
    &[Operation::Images, Operation::ImageEdits, Operation::Speech, Operation::Transcriptions, Operation::Translations];
/// The same, without a route of its own for edits.
const DRAWN: &[Operation] = &[Operation::Images, Operation::Speech, Operation::Transcriptions, Operation::Translations];
/// All that OpenAI itself has.
const ALL_RELAYED: &[Operation] = &[
    Operation::Moderations,
    Operation::Images,
    Operation::ImageEdits,
    Operation::Speech,
    Operation::Transcriptions,
    Operation::Translations,
];

/// The row from which the others differ.
const PLAIN: Quirks = Quirks {
    kind: ProviderKind::OpenAICompatible,
    name: "the OpenAI-compatible upstream",
    auth: AuthScheme::Bearer,
    routes: Routes::ALL,
    stream_usage: StreamUsage::Ask,
    metadata: Metadata::Never,
    encoding_format: EncodingFormat::Keep,
    developer: Developer::AsSystem,
    parts: Parts::Any,
    unread: &[],
    short_ids: false,
    continues: false,
    answers_tools: false,
    undeclared: &[],
    no_schemas: None,
    answers: Answers::Plain,
    output_limit: OLDER_LIMIT,
    reads_reasoning: false,
    rerank: None,
    relayed: &[],
    model_prefix: "",
    rules: &[],
};

/// Models of others on Vertex AI, which are reached through OpenAI's dialect there.
pub(crate) static VERTEX_PARTNERS: Quirks = Quirks {
    kind: ProviderKind::VertexAI,
    name: "Vertex AI",
    routes: Routes::CHAT,
    rules: &[rules::MAX_TOKENS],
    ..PLAIN
};

/// One row per upstream that speaks OpenAI's dialect.
pub(crate) static TABLE: &[Quirks] = &[
    Quirks {
        kind: ProviderKind::OpenAI,
        name: "OpenAI",
        routes: Routes { responses: Some("/responses"), ..Routes::ALL },
        developer: Developer::Keep,
        output_limit: NEWER_LIMIT,
        metadata: Metadata::WithStore,
        rules: &[rules::OPENAI_FAMILIES, rules::NO_TOP_K],
        relayed: ALL_RELAYED,
        ..PLAIN
    },
    Quirks {
        kind: ProviderKind::AzureOpenAI,
        name: "Azure OpenAI",
        auth: AuthScheme::Header("api-key"),
        routes: Routes {
            prefix: "/openai/deployments/{model}",
            api_version: Some("2025-02-01-preview"),
            responses: Some("/openai/v1/responses"),
            ..Routes::ALL
        },
        developer: Developer::Keep,
        output_limit: NEWER_LIMIT,
        metadata: Metadata::WithStore,
        rules: &[rules::OPENAI_FAMILIES, rules::NO_TOP_K],
        relayed: MEDIA,
        ..PLAIN
    },
    Quirks {
        kind: ProviderKind::Mistral,
        name: "Mistral",
        routes: Routes::CHAT_EMBEDDINGS,
        // Unknown members are 422 extra_forbidden there, stream_options among them.
        stream_usage: StreamUsage::Unasked,
        encoding_format: EncodingFormat::Remove,
        parts: Parts::Joined,
        unread: &[OTHERS, NAMES, REASONING],
        short_ids: true,
        continues: true,
        answers_tools: true,
        answers: Answers::InParts,
        rules: &[rules::MISTRAL, rules::NO_HINTS, rules::NO_SERVICE, rules::NO_EXTRAS, rules::MAX_TOKENS],
        relayed: &[Operation::Moderations, Operation::Transcriptions],
        ..PLAIN
    },
    Quirks {
        kind: ProviderKind::TogetherAI,
        name: "Together AI",
        encoding_format: EncodingFormat::Remove,
        rules: &[rules::NO_USER],
        rerank: Some(rerank::Api::JinaUncut),
        relayed: DRAWN,
        ..PLAIN
    },
    Quirks {
        kind: ProviderKind::Groq,
        name: "Groq",
        routes: Routes::CHAT,
        unread: &[OTHERS, NAMES],
        no_schemas: Some(rules::GROQ_WITHOUT_SCHEMAS),
        rules: &[rules::NO_USER, rules::ONE_CHOICE, rules::NO_LOGPROBS, rules::NO_TOP_K, rules::GROQ_REASONING],
        relayed: AUDIO,
        ..PLAIN
    },
    Quirks {
        kind: ProviderKind::FireworksAI,
        name: "Fireworks AI",
        encoding_format: EncodingFormat::Remove,
        model_prefix: "accounts/fireworks/models/",
        undeclared: &["strict"],
        rules: &[rules::TOOL_CHOICE_ANY, rules::NO_HINTS, rules::NO_EXTRAS],
        rerank: Some(rerank::Api::JinaUncut),
        ..PLAIN
    },
    Quirks {
        kind: ProviderKind::Perplexity,
        name: "Perplexity",
        routes: Routes::CHAT,
        stream_usage: StreamUsage::Unasked,
        answers: Answers::Tagged,
        rules: &[rules::PERPLEXITY, rules::NO_LOGPROBS, rules::MAX_TOKENS],
        ..PLAIN
    },
    Quirks {
        kind: ProviderKind::DeepSeek,
        name: "DeepSeek",
        // It wants what was thought before a call again, with the call's result.
        reads_reasoning: true,
        routes: Routes::CHAT,
        parts: Parts::TextOnly,
        no_schemas: Some(Family::All),
        rules: &[rules::ONE_CHOICE, rules::NO_LOGIT_BIAS, rules::MAX_TOKENS, rules::DEEPSEEK],
        ..PLAIN
    },
    Quirks {
        kind: ProviderKind::VLLM,
        name: "vLLM",
        reads_reasoning: true,
        answers: Answers::Tagged,
        rerank: Some(rerank::Api::Jina),
        relayed: AUDIO,
        ..PLAIN
    },
    Quirks {
        kind: ProviderKind::HuggingFaceTGI,
        name: "text-generation-inference",
        encoding_format: EncodingFormat::Remove,
        answers: Answers::Tagged,
        rules: &[rules::ONE_CHOICE, rules::MAX_TOKENS],
        rerank: Some(rerank::Api::Tei),
        ..PLAIN
    },
    Quirks {
        kind: ProviderKind::NvidiaNIM,
        name: "NVIDIA NIM",
        encoding_format: EncodingFormat::Remove,
        rules: &[
            rules::NO_USER,
            rules::NO_HINTS,
            rules::NO_SERVICE,
            rules::NO_EXTRAS,
            rules::MAX_TOKENS,
            rules::NIM_EMBEDDINGS,
        ],
        rerank: Some(rerank::Api::Nim),
        ..PLAIN
    },
    Quirks { answers: Answers::TaggedIfReasoning, rerank: Some(rerank::Api::Jina), relayed: ALL_RELAYED, ..PLAIN },
];

/// Ollama's legacy completions; for the rest it has an API of its own.
pub(crate) static OLLAMA_COMPLETIONS: Quirks = Quirks {
    kind: ProviderKind::Ollama,
    name: "Ollama",
    routes: Routes { prefix: "/v1", ..Routes::ALL },
    rules: &[rules::ONE_CHOICE, rules::NO_LOGIT_BIAS, rules::NO_USER],
    ..PLAIN
};

/// See [`ProviderKind::default_base_url`].
pub(crate) fn default_base_url(kind: ProviderKind) -> Option<&'static str> {
    match kind {
        ProviderKind::OpenAI => Some("https://api.openai.com/v1"),
        ProviderKind::Anthropic => Some("https://api.anthropic.com"),
        ProviderKind::Bedrock => Some("https://bedrock-runtime.{region}.amazonaws.com"),
        ProviderKind::VertexAI => Some("https://{region}-aiplatform.googleapis.com"),
        ProviderKind::Gemini => Some("https://generativelanguage.googleapis.com/v1beta"),
        ProviderKind::Cohere => Some("https://api.cohere.com"),
        ProviderKind::Mistral => Some("https://api.mistral.ai/v1"),
        ProviderKind::TogetherAI => Some("https://api.together.xyz/v1"),
        ProviderKind::Groq => Some("https://api.groq.com/openai/v1"),
        ProviderKind::FireworksAI => Some("https://api.fireworks.ai/inference/v1"),
        ProviderKind::Perplexity => Some("https://api.perplexity.ai"),
        ProviderKind::DeepSeek => Some("https://api.deepseek.com"),
        ProviderKind::Ollama => Some("http://localhost:11434"),
        ProviderKind::NvidiaNIM => Some("https://integrate.api.nvidia.com/v1"),
        ProviderKind::AzureOpenAI
        | ProviderKind::VLLM
        | ProviderKind::HuggingFaceTGI
        | ProviderKind::OpenAICompatible => None,
    }
}

/// See [`ProviderKind::label`]. OpenTelemetry has no value for the last seven: snake case of their names.
pub(crate) fn label(kind: ProviderKind) -> &'static str {
    match kind {
        ProviderKind::OpenAI => "openai",
        ProviderKind::AzureOpenAI => "azure.ai.openai",
        ProviderKind::Anthropic => "anthropic",
        ProviderKind::Bedrock => "aws.bedrock",
        ProviderKind::VertexAI => "gcp.vertex_ai",
        ProviderKind::Gemini => "gcp.gemini",
        ProviderKind::Cohere => "cohere",
        ProviderKind::Mistral => "mistral_ai",
        ProviderKind::Groq => "groq",
        ProviderKind::Perplexity => "perplexity",
        ProviderKind::DeepSeek => "deepseek",
        ProviderKind::TogetherAI => "together_ai",
        ProviderKind::FireworksAI => "fireworks_ai",
        ProviderKind::Ollama => "ollama",
        ProviderKind::VLLM => "vllm",
        ProviderKind::HuggingFaceTGI => "huggingface_tgi",
        ProviderKind::NvidiaNIM => "nvidia_nim",
        ProviderKind::OpenAICompatible => "openai_compatible",
    }
}

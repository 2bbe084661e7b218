//! `LiteLLM`'s names of providers, as data: what each is here, where it is, and which variable holds its key.

use turnpike_crds::model_deployment::ProviderType;
use turnpike_llm::{price, provider::ProviderKind};

/// What a prefix of `litellm_params.model` stands for.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) prefix: &'static str,
    pub(super) kind: ProviderType,
    /// Its address, where the type does not know it.
    pub(super) base: Option<&'static str>,
    /// The variable with its address, where the config names none.
    pub(super) base_variable: Option<&'static str>,
    /// The variable with its key, where the config names none.
    pub(super) key_variable: Option<&'static str>,
    /// Ends of addresses that the gateway appends by itself.
    pub(super) cut: &'static [&'static str],
    /// What an address must end with.
    pub(super) end: &'static str,
    /// Further prefixes of the model's name, which say how it is called and not what it is.
    pub(super) skip: &'static [&'static str],
}

/// Needs everything said in the config.
const BARE: Row = Row {
    prefix: "",
    kind: ProviderType::OpenAICompatible,
    base: None,
    base_variable: None,
    key_variable: None,
    cut: &["/chat/completions"],
    end: "",
    skip: &[],
};

const fn keyed(prefix: &'static str, kind: ProviderType, key: &'static str) -> Row {
    Row { prefix, kind, key_variable: Some(key), ..BARE }
}

/// A service that speaks OpenAI's API.
const fn like_openai(prefix: &'static str, base: &'static str, key: &'static str) -> Row {
    Row { prefix, base: Some(base), key_variable: Some(key), ..BARE }
}

/// A server of one's own that speaks OpenAI's API.
const fn server(prefix: &'static str, base_variable: Option<&'static str>) -> Row {
    Row { prefix, base_variable, ..BARE }
}

const ROWS: &[Row] = &[
    Row {
        skip: &["responses/"],
        base_variable: Some("OPENAI_API_BASE"),
        ..keyed("openai", ProviderType::OpenAI, "OPENAI_API_KEY")
    },
    keyed("text-completion-openai", ProviderType::OpenAI, "OPENAI_API_KEY"),
    Row {
        skip: &["responses/", "o_series/", "gpt5_series/"],
        base_variable: Some("AZURE_API_BASE"),
        ..keyed("azure", ProviderType::AzureOpenAI, "AZURE_API_KEY")
    },
    keyed("azure_text", ProviderType::AzureOpenAI, "AZURE_API_KEY"),
    Row { cut: &["/messages", "/v1"], ..keyed("anthropic", ProviderType::Anthropic, "ANTHROPIC_API_KEY") },
    Row { prefix: "bedrock", kind: ProviderType::Bedrock, skip: &["converse/", "invoke/"], ..BARE },
    Row { prefix: "bedrock_converse", kind: ProviderType::Bedrock, ..BARE },
    Row { prefix: "vertex_ai", kind: ProviderType::VertexAI, skip: &["gemini/"], ..BARE },
    Row { prefix: "vertex_ai_beta", kind: ProviderType::VertexAI, ..BARE },
    keyed("gemini", ProviderType::Gemini, "GEMINI_API_KEY"),
    Row { cut: &["/chat", "/v1", "/v2"], ..keyed("cohere", ProviderType::Cohere, "COHERE_API_KEY") },
    Row { cut: &["/chat", "/v1", "/v2"], ..keyed("cohere_chat", ProviderType::Cohere, "COHERE_API_KEY") },
    keyed("mistral", ProviderType::Mistral, "MISTRAL_API_KEY"),
    Row {
        base: Some("https://codestral.mistral.ai/v1"),
        ..keyed("codestral", ProviderType::Mistral, "CODESTRAL_API_KEY")
    },
    keyed("together_ai", ProviderType::TogetherAI, "TOGETHERAI_API_KEY"),
    keyed("groq", ProviderType::Groq, "GROQ_API_KEY"),
    keyed("fireworks_ai", ProviderType::FireworksAI, "FIREWORKS_API_KEY"),
    keyed("perplexity", ProviderType::Perplexity, "PERPLEXITYAI_API_KEY"),
    Row { cut: &["/chat/completions", "/beta"], ..keyed("deepseek", ProviderType::DeepSeek, "DEEPSEEK_API_KEY") },
    keyed("nvidia_nim", ProviderType::NvidiaNim, "NVIDIA_NIM_API_KEY"),
    Row { prefix: "ollama", kind: ProviderType::Ollama, base_variable: Some("OLLAMA_API_BASE"), cut: &["/v1"], ..BARE },
    Row {
        prefix: "ollama_chat",
        kind: ProviderType::Ollama,
        base_variable: Some("OLLAMA_API_BASE"),
        cut: &["/v1"],
        ..BARE
    },
    Row { prefix: "hosted_vllm", kind: ProviderType::Vllm, base_variable: Some("HOSTED_VLLM_API_BASE"), ..BARE },
    Row {
        base: Some("https://router.huggingface.co/v1"),
        end: "/v1",
        cut: &["/chat/completions"],
        ..keyed("huggingface", ProviderType::HuggingFaceTgi, "HF_TOKEN")
    },
    like_openai("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    like_openai("xai", "https://api.x.ai/v1", "XAI_API_KEY"),
    like_openai("cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    like_openai("sambanova", "https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY"),
    like_openai("deepinfra", "https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
    like_openai("moonshot", "https://api.moonshot.ai/v1", "MOONSHOT_API_KEY"),
    server("custom_openai", None),
    server("openai_like", None),
    server("litellm_proxy", Some("LITELLM_PROXY_API_BASE")),
    server("lm_studio", Some("LM_STUDIO_API_BASE")),
    server("llamafile", Some("LLAMAFILE_API_BASE")),
    server("xinference", Some("XINFERENCE_API_BASE")),
];

/// Whose model a bare name is: the first whose price list has it, as `LiteLLM` has it.
const BARE_NAMES: [(ProviderKind, &str); 4] = [
    (ProviderKind::OpenAI, "openai"),
    (ProviderKind::Anthropic, "anthropic"),
    (ProviderKind::Cohere, "cohere"),
    (ProviderKind::VertexAI, "vertex_ai"),
];

/// Beginnings of bare names that price lists may not know yet.
const BEGINNINGS: [(&str, &str); 6] = [
    ("gpt-", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("text-embedding-3", "openai"),
    ("claude-", "anthropic"),
    ("command-", "cohere"),
];

/// Every prefix that is known.
pub fn prefixes() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|row| row.prefix)
}

/// Every variable that a key may come from.
pub(super) fn key_variables() -> impl Iterator<Item = &'static str> {
    ROWS.iter().filter_map(|row| row.key_variable)
}

/// The provider of `litellm_params.model`, and its own name of the model. `custom`: `custom_llm_provider`.
pub(super) fn of<'a>(model: &'a str, custom: Option<&str>) -> Option<(&'static Row, &'a str)> {
    if let Some(custom) = custom {
        let own = model.strip_prefix(custom).and_then(|rest| rest.strip_prefix('/'));
        return row(custom).map(|row| (row, unskipped(row, own.unwrap_or(model))));
    }
    if let Some((prefix, rest)) = model.split_once('/') {
        return row(prefix).map(|row| (row, unskipped(row, rest)));
    }
    let listed = BARE_NAMES.iter().find(|(kind, _)| price::lookup(*kind, model, None).is_some()).map(|(_, name)| name);
    let begins = || BEGINNINGS.iter().find(|(begin, _)| model.starts_with(begin)).map(|(_, name)| name);
    listed.or_else(begins).and_then(|prefix| row(prefix)).map(|row| (row, model))
}

/// For a bare name beside an `api_base`.
pub(super) fn compatible() -> &'static Row {
    &BARE
}

fn row(prefix: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.prefix == prefix)
}

fn unskipped<'a>(row: &Row, model: &'a str) -> &'a str {
    row.skip.iter().find_map(|skip| model.strip_prefix(skip)).unwrap_or(model)
}

/// An address without what the gateway appends.
pub(super) fn address(row: &Row, base: &str) -> String {
    let mut base = base.trim_end_matches('/');
    for end in row.cut {
        base = base.strip_suffix(end).unwrap_or(base).trim_end_matches('/');
    }
    if base.ends_with(row.end) { base.to_owned() } else { format!("{base}{}", row.end) }
}

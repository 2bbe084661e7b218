//! Finds a model in the built-in price table under the names that people and providers give it.

use crate::{
    price::{Row, table},
    provider::ProviderKind,
};

/// The row of a model as its provider names it; `None` = price unknown, which is not the same as free.
///
/// Tried in order: the name itself; without another tool's prefix (`openai/gpt-4o`, `bedrock/us.anthropic...`); without
/// what the provider lets one add (an ARN's path and then a group of regions at Bedrock, the account at Fireworks, the
/// owner of a fine-tune); each of them also without a date (`-2024-08-06`, `-20250929`, `@20250929`) or `@default`,
/// `@latest`. Bedrock's prices in a `region` come before those of everywhere.
/// Servers that run anybody's models (vLLM, TGI, `OpenAICompatible`) have no price list.
pub fn lookup(provider: ProviderKind, model: &str, region: Option<&str>) -> Option<&'static Row> {
    let stripped = without_prefix(provider, model);
    let named = without_arn(provider, stripped);
    let plain = without_addition(provider, named);
    let region = region.filter(|_| provider == ProviderKind::Bedrock);
    [model, stripped, named, plain].into_iter().find_map(|name| {
        let regional = region.and_then(|region| find(provider, &format!("{region}/{name}")));
        // A model of a group of regions has the group's price or everybody's.
        let regional = regional.filter(|_| name == named);
        regional.or_else(|| find(provider, name)).or_else(|| find(provider, without_date(name)?))
    })
}

fn find(provider: ProviderKind, model: &str) -> Option<&'static Row> {
    let at = table::ROWS.binary_search_by(|row| (row.provider, row.model()).cmp(&(provider, model))).ok()?;
    table::ROWS.get(at)
}

/// Prefixes that LiteLLM's users know these providers by.
fn without_prefix(provider: ProviderKind, model: &str) -> &str {
    let prefixes: &[&str] = match provider {
        ProviderKind::OpenAI => &["openai/"],
        ProviderKind::AzureOpenAI => &["azure/", "azure_ai/"],
        ProviderKind::Anthropic => &["anthropic/"],
        ProviderKind::Bedrock => &["bedrock/converse/", "bedrock/invoke/", "bedrock/"],
        ProviderKind::VertexAI => &["vertex_ai/"],
        ProviderKind::Gemini => &["gemini/", "models/"],
        ProviderKind::Cohere => &["cohere_chat/", "cohere/"],
        ProviderKind::Mistral => &["mistral/"],
        ProviderKind::TogetherAI => &["together_ai/"],
        ProviderKind::Groq => &["groq/"],
        ProviderKind::FireworksAI => &["fireworks_ai/"],
        ProviderKind::Perplexity => &["perplexity/"],
        ProviderKind::DeepSeek => &["deepseek/"],
        ProviderKind::Ollama => &["ollama_chat/", "ollama/"],
        ProviderKind::NvidiaNIM => &["nvidia_nim/"],
        ProviderKind::VLLM | ProviderKind::HuggingFaceTGI | ProviderKind::OpenAICompatible => &[],
    };
    prefixes.iter().find_map(|prefix| model.strip_prefix(prefix)).unwrap_or(model)
}

/// What a Bedrock ARN names; an application's inference profile names no model.
fn without_arn(provider: ProviderKind, model: &str) -> &str {
    let is_arn = provider == ProviderKind::Bedrock && model.starts_with("arn:");
    model.rsplit('/').next().filter(|_| is_arn).unwrap_or(model)
}

fn without_addition(provider: ProviderKind, model: &str) -> &str {
    match provider {
        ProviderKind::Bedrock => {
            const GROUPS: &[&str] = &["us-gov.", "us.", "eu.", "apac.", "global.", "jp.", "au.", "ca.", "in.", "sa."];
            let name = GROUPS.iter().find_map(|group| model.strip_prefix(group)).unwrap_or(model);
            // `...-v1:0:200k`: a variant for provisioned throughput.
            let variant = name.rsplit_once(':').filter(|(_, size)| size.ends_with('k'));
            variant.map_or(name, |(base, _)| base)
        }
        ProviderKind::FireworksAI => model.strip_prefix("accounts/fireworks/models/").unwrap_or(model),
        // ft:gpt-4o-mini-2024-07-18:org::id
        ProviderKind::OpenAI if model.starts_with("ft:") => {
            let end = model.match_indices(':').nth(1).map_or(model.len(), |(at, _)| at);
            model.get(..end).unwrap_or(model)
        }
        ProviderKind::OpenAI
        | ProviderKind::AzureOpenAI
        | ProviderKind::Anthropic
        | ProviderKind::VertexAI
        | ProviderKind::Gemini
        | ProviderKind::Cohere
        | ProviderKind::Mistral
        | ProviderKind::TogetherAI
        | ProviderKind::Groq
        | ProviderKind::Perplexity
        | ProviderKind::DeepSeek
        | ProviderKind::Ollama
        | ProviderKind::VLLM
        | ProviderKind::HuggingFaceTGI
        | ProviderKind::NvidiaNIM
        | ProviderKind::OpenAICompatible => model,
    }
}

/// The name without a trailing date, if it has one.
fn without_date(name: &str) -> Option<&str> {
    if let Some((base, version)) = name.rsplit_once('@') {
        return (matches!(version, "default" | "latest") || is_digits(version, 8)).then_some(base);
    }
    let (base, day) = name.rsplit_once('-')?;
    if is_digits(day, 8) {
        return Some(base);
    }
    let (base, month) = base.rsplit_once('-')?;
    let (base, year) = base.rsplit_once('-')?;
    (is_digits(day, 2) && is_digits(month, 2) && is_digits(year, 4)).then_some(base)
}

fn is_digits(text: &str, count: usize) -> bool {
    text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
}

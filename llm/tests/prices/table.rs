//! The built-in table: current, sorted, and right where it was checked by hand.

use std::process::Command;

use turnpike_llm::{
    price::{Price, lookup, nano_to_usd_string},
    provider::{Capabilities, ProviderKind},
};

fn price(kind: ProviderKind, model: &str) -> Price {
    lookup(kind, model, None).unwrap_or_else(|| panic!("{kind:?} {model} has no price")).price()
}

/// Input, output, cached input in USD per million tokens.
fn usd(kind: ProviderKind, model: &str) -> (String, String, Option<String>) {
    let price = price(kind, model);
    (nano_to_usd_string(price.input), nano_to_usd_string(price.output), price.cached_input.map(nano_to_usd_string))
}

#[test]
fn the_table_is_what_its_sources_give() {
    let output = Command::new(env!("CARGO_BIN_EXE_pricegen")).arg("--check").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn well_known_prices() {
    let checked = [
        (ProviderKind::OpenAI, "gpt-4o", "2.5", "10", Some("1.25")),
        (ProviderKind::OpenAI, "gpt-4o-mini", "0.15", "0.6", Some("0.075")),
        (ProviderKind::OpenAI, "gpt-4.1", "2", "8", Some("0.5")),
        (ProviderKind::OpenAI, "gpt-5", "1.25", "10", Some("0.125")),
        (ProviderKind::OpenAI, "o3", "2", "8", Some("0.5")),
        (ProviderKind::OpenAI, "text-embedding-3-small", "0.02", "0", None),
        (ProviderKind::AzureOpenAI, "gpt-4o", "2.5", "10", Some("1.25")),
        (ProviderKind::Anthropic, "claude-sonnet-4-5", "3", "15", Some("0.3")),
        (ProviderKind::Gemini, "gemini-2.5-pro", "1.25", "10", Some("0.125")),
        (ProviderKind::Groq, "openai/gpt-oss-120b", "0.15", "0.6", Some("0.075")),
        (ProviderKind::Perplexity, "sonar", "1", "1", None),
        (ProviderKind::Mistral, "mistral-large-latest", "0.5", "1.5", Some("0.05")),
    ];
    for (kind, model, input, output, cached) in checked {
        let expected = (input.to_owned(), output.to_owned(), cached.map(str::to_owned));
        assert_eq!(usd(kind, model), expected, "{kind:?} {model}");
    }
}

#[test]
fn all_parts_of_a_row() {
    let price = price(ProviderKind::Gemini, "gemini-2.5-pro");
    let [tier] = price.tiers.as_slice() else { panic!("one tier") };
    assert_eq!((tier.above, tier.input, tier.output), (200_000, Some(2_500_000_000), Some(15_000_000_000)));
    assert_eq!(tier.cached_input, Some(250_000_000));
    assert_eq!(price.batch.unwrap().input, Some(625_000_000));
    assert_eq!(price.priority.unwrap().output, Some(18_000_000_000));
    let claude = lookup(ProviderKind::Anthropic, "claude-sonnet-4-5", None).unwrap().price();
    assert_eq!(claude.cache_write_5m, Some(3_750_000_000));
    assert_eq!(claude.cache_write_1h, Some(6_000_000_000));
    // The source has no 1 h rate for the tier: twice the tier's input, as it is twice the base's.
    let bedrock = lookup(ProviderKind::Bedrock, "us.anthropic.claude-sonnet-4-5-20250929-v1:0", None).unwrap().price();
    assert_eq!(bedrock.tiers.first().unwrap().cache_write_1h, Some(13_200_000_000));
    let rerank = lookup(ProviderKind::Cohere, "rerank-v3.5", None).unwrap().price();
    assert_eq!((rerank.input, rerank.per_query), (0, 2_000_000));
}

#[test]
fn corrections_are_applied() {
    assert_eq!(usd(ProviderKind::Cohere, "embed-multilingual-light-v3.0").0, "0.1");
    assert_eq!(usd(ProviderKind::AzureOpenAI, "jais-30b-chat").1, "9.71");
    assert_eq!(price(ProviderKind::DeepSeek, "deepseek-v4-pro").cache_write_5m, None);
    let dropped = [
        (ProviderKind::AzureOpenAI, "model-router"),
        (ProviderKind::AzureOpenAI, "Meta-Llama-3-70B-Instruct"),
        (ProviderKind::Perplexity, "pplx-7b-online"),
        (ProviderKind::VertexAI, "meta/llama3-405b-instruct-maas"),
        (ProviderKind::Ollama, "gpt-oss:20b-cloud"),
        (ProviderKind::OpenAI, "container"),
    ];
    for (kind, model) in dropped {
        assert!(lookup(kind, model, None).is_none(), "{kind:?} {model}");
    }
    assert_eq!(price(ProviderKind::Ollama, "llama3.1"), Price::free());
}

#[test]
fn names_are_found_as_people_write_them() {
    let found = [
        (ProviderKind::OpenAI, "openai/gpt-4o", "gpt-4o"),
        (ProviderKind::OpenAI, "gpt-4o-2024-11-20", "gpt-4o-2024-11-20"),
        (ProviderKind::OpenAI, "gpt-4.1-2099-01-01", "gpt-4.1"),
        (ProviderKind::OpenAI, "ft:gpt-4o-mini-2024-07-18:acme::abc", "ft:gpt-4o-mini-2024-07-18"),
        (ProviderKind::AzureOpenAI, "azure/eu/gpt-4o-2024-11-20", "eu/gpt-4o-2024-11-20"),
        (ProviderKind::Anthropic, "claude-sonnet-4-5-20990101", "claude-sonnet-4-5"),
        (ProviderKind::VertexAI, "claude-haiku-4-5@20251001", "claude-haiku-4-5@20251001"),
        (ProviderKind::VertexAI, "claude-sonnet-5-5@latest", "claude-sonnet-5-5"),
        (ProviderKind::FireworksAI, "accounts/fireworks/models/kimi-k3", "kimi-k3"),
        (ProviderKind::FireworksAI, "kimi-k3", "kimi-k3"),
        (ProviderKind::Bedrock, "bedrock/anthropic.claude-opus-5", "anthropic.claude-opus-5"),
        (ProviderKind::Bedrock, "ca.meta.llama3-3-70b-instruct-v1:0", "meta.llama3-3-70b-instruct-v1:0"),
        (
            ProviderKind::Bedrock,
            "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-opus-5",
            "anthropic.claude-opus-5",
        ),
        (ProviderKind::Gemini, "models/gemini-2.5-pro", "gemini-2.5-pro"),
    ];
    for (kind, asked, row) in found {
        let found = lookup(kind, asked, None).unwrap_or_else(|| panic!("{asked}"));
        assert_eq!((found.provider(), found.model()), (kind, row), "{asked}");
    }
}

#[test]
fn bedrock_charges_by_region() {
    let found = |model: &str, region| lookup(ProviderKind::Bedrock, model, region).unwrap().model();
    let llama = "meta.llama3-70b-instruct-v1:0";
    assert_eq!(found(llama, Some("eu-west-2")), "eu-west-2/meta.llama3-70b-instruct-v1:0");
    assert_eq!(found(llama, Some("eu-north-1")), llama);
    assert_eq!(found(llama, None), llama);
    let arn = "arn:aws:bedrock:eu-west-2::foundation-model/meta.llama3-70b-instruct-v1:0";
    assert_eq!(found(arn, Some("eu-west-2")), "eu-west-2/meta.llama3-70b-instruct-v1:0");
    // A profile over a group of regions has its own price, wherever it is called from.
    let group = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
    assert_eq!(found(group, Some("us-gov-west-1")), group);
    let profile =
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0";
    assert_eq!(found(profile, Some("us-east-1")), group);
    assert_eq!(found("apac.anthropic.claude-3-opus-20240229-v1:0", None), "anthropic.claude-3-opus-20240229-v1:0");
    assert_eq!(found("amazon.nova-lite-v1:0:24k", Some("us-east-1")), "amazon.nova-lite-v1:0");
    let opaque = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/k3qn2x9u1c7d";
    assert!(lookup(ProviderKind::Bedrock, opaque, Some("us-east-1")).is_none());
}

#[test]
fn an_unknown_price_is_not_guessed() {
    let unknown = [
        (ProviderKind::OpenAI, "gpt-4o-deployment"),
        (ProviderKind::OpenAI, ""),
        (ProviderKind::AzureOpenAI, "my-gpt-4o"),
        (ProviderKind::OpenAICompatible, "gpt-4o"),
        (ProviderKind::VLLM, "meta-llama/Llama-3.1-8B-Instruct"),
        (ProviderKind::Anthropic, "gpt-4o"),
    ];
    for (kind, model) in unknown {
        assert!(lookup(kind, model, None).is_none(), "{kind:?} {model}");
    }
}

#[test]
fn capabilities_come_with_the_price() {
    let row = lookup(ProviderKind::OpenAI, "gpt-4o", None).unwrap();
    assert_eq!(
        row.capabilities(),
        Capabilities {
            context_window: Some(128_000),
            max_output_tokens: Some(16_384),
            vision: Some(true),
            tools: Some(true),
            json_schema: Some(true),
            embeddings: Some(false),
            reasoning: None,
        }
    );
    let embedder = lookup(ProviderKind::OpenAI, "text-embedding-3-small", None).unwrap().capabilities();
    assert_eq!((embedder.embeddings, embedder.context_window), (Some(true), Some(8191)));
    assert_eq!(lookup(ProviderKind::OpenAI, "gpt-5", None).unwrap().capabilities().reasoning, Some(true));
}

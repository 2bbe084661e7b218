//! Where requests go.

use turnpike_llm::provider::{Operation, ProviderKind};

use super::fixture::Backend;

fn url(kind: ProviderKind, model: &'static str, base_url: &'static str) -> String {
    Backend { base_url, ..Backend::new(kind, model) }.url(Operation::Chat, false)
}

#[test]
fn a_trailing_slash_is_no_second_slash() {
    let url = url(ProviderKind::OpenAICompatible, "m", "http://host/v1/");
    assert_eq!(url, "http://host/v1/chat/completions");
}

#[test]
fn ollamas_base_may_end_in_v1() {
    for base_url in ["http://host:11434/v1", "http://host:11434/v1/", "http://host:11434"] {
        let backend = Backend { base_url, ..Backend::new(ProviderKind::Ollama, "m") };
        assert_eq!(backend.url(Operation::Chat, false), "http://host:11434/api/chat");
        assert_eq!(backend.url(Operation::Completions, false), "http://host:11434/v1/completions");
        assert_eq!(backend.url(Operation::Embeddings, false), "http://host:11434/api/embed");
    }
}

#[test]
fn azures_deployment_is_escaped_and_its_version_defaults() {
    let azure = Backend::new(ProviderKind::AzureOpenAI, "my model/ü");
    assert_eq!(
        azure.url(Operation::Embeddings, false),
        "https://east.openai.azure.com/openai/deployments/my%20model%2F%C3%BC/embeddings?api-version=2025-02-01-preview"
    );
    let pinned = Backend { api_version: Some("2024-10-21"), ..Backend::new(ProviderKind::AzureOpenAI, "gpt-4o") };
    assert_eq!(
        pinned.url(Operation::Chat, true),
        "https://east.openai.azure.com/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
    );
}

#[test]
fn azures_base_may_hold_openai() {
    assert_eq!(
        url(ProviderKind::AzureOpenAI, "d", "https://x.openai.azure.com/openai"),
        "https://x.openai.azure.com/openai/deployments/d/chat/completions?api-version=2025-02-01-preview"
    );
}

#[test]
fn an_api_version_means_nothing_elsewhere() {
    let openai = Backend { api_version: Some("1"), ..Backend::new(ProviderKind::OpenAI, "m") };
    assert_eq!(openai.url(Operation::Chat, false), "https://api.openai.com/v1/chat/completions");
}

#[test]
fn every_dialect_of_its_own_has_a_label_and_a_base_url() {
    for kind in [
        ProviderKind::Anthropic,
        ProviderKind::Bedrock,
        ProviderKind::VertexAI,
        ProviderKind::Gemini,
        ProviderKind::Cohere,
        ProviderKind::Ollama,
    ] {
        assert!(kind.default_base_url().is_some());
        assert!(!kind.label().is_empty());
    }
}

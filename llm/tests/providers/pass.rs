//! Provider pass-through: what paths stand for, where they lead, and what a call may use at most.

use std::borrow::Cow;

use serde_json::{Value, json};
use turnpike_llm::{
    pass::{self, Most, Passed, Reads},
    provider::{Capabilities, Operation, ProviderKind},
};

const CHAT: Reads = Reads::Usage(Operation::Chat);

fn foreign(reads: Reads, model: Option<&str>) -> Passed<'_> {
    Passed::Foreign { reads, model: model.map(Cow::Borrowed) }
}

#[test]
fn paths_stand_for_the_calls_that_they_are() {
    use ProviderKind::{Anthropic, AzureOpenAI, Bedrock, Cohere, Gemini, Groq, Ollama, OpenAI, VertexAI};
    let embeds = Reads::Usage(Operation::Embeddings);
    let vertex = "v1/projects/p/locations/l/publishers/anthropic/models/claude-opus-4@20250514:streamRawPredict";
    let cases = [
        (OpenAI, "v1/chat/completions", Passed::Own(Operation::Chat, None)),
        (OpenAI, "responses", Passed::Own(Operation::Responses, None)),
        (OpenAI, "v1/messages", Passed::Other),
        (OpenAI, "v1/files", Passed::Other),
        (OpenAI, "v1/chat/completions/x", Passed::Other),
        (
            AzureOpenAI,
            "openai/deployments/my%2Fgpt/chat/completions",
            Passed::Own(Operation::Chat, Some("my/gpt".into())),
        ),
        (AzureOpenAI, "openai/v1/embeddings", Passed::Own(Operation::Embeddings, None)),
        (Groq, "openai/v1/chat/completions", Passed::Own(Operation::Chat, None)),
        (Groq, "openai/v1/responses", Passed::Other),
        (Anthropic, "v1/messages", Passed::Own(Operation::Messages, None)),
        (Anthropic, "v1/messages/count_tokens", Passed::Own(Operation::CountTokens, None)),
        (Anthropic, "v1/messages/batches", Passed::Other),
        (Gemini, "v1beta/models/gemini-2.5-flash:generateContent", foreign(CHAT, Some("gemini-2.5-flash"))),
        (Gemini, "models/gemini-2.5-flash:countTokens", foreign(Reads::Free, Some("gemini-2.5-flash"))),
        (Gemini, "v1beta/models/gemini-embedding-001:embedContent", foreign(embeds, Some("gemini-embedding-001"))),
        (Gemini, "v1beta/models/imagen-4:predict", Passed::Other),
        (Gemini, "v1beta/tunedModels/x:generateContent", Passed::Other),
        (Gemini, "v1beta/files", Passed::Other),
        (VertexAI, vertex, foreign(CHAT, Some("claude-opus-4@20250514"))),
        (Bedrock, "model/eu.amazon.nova-lite-v1%3A0/converse", foreign(CHAT, Some("eu.amazon.nova-lite-v1:0"))),
        (Bedrock, "model/x/invoke", Passed::Other),
        (Cohere, "v2/chat", foreign(CHAT, None)),
        (Cohere, "v1/chat", Passed::Other),
        (Ollama, "api/chat", foreign(CHAT, None)),
        (Ollama, "api/pull", Passed::Other),
    ];
    for (kind, path, expected) in cases {
        assert_eq!(pass::read(kind, path), expected, "{kind:?} {path}");
    }
}

#[test]
fn urls_stay_under_their_base() {
    let url = |base: &str, path: &str| pass::url(base, path, None);
    let at = |text: &str| Some(text.to_owned());
    assert_eq!(url("https://api.openai.com/v1", "v1/files"), at("https://api.openai.com/v1/files"));
    assert_eq!(url("https://api.openai.com/v1/", "files"), at("https://api.openai.com/v1/files"));
    assert_eq!(url("https://api.groq.com/openai/v1", "openai/v1/x"), at("https://api.groq.com/openai/v1/x"));
    assert_eq!(url("https://api.groq.com/openai/v1", "v1/x"), at("https://api.groq.com/openai/v1/x"));
    assert_eq!(url("https://h/v1beta", "v1betas/x"), at("https://h/v1beta/v1betas/x"));
    assert_eq!(url("https://h", "v1/x"), at("https://h/v1/x"));
    // Not another host, whatever it looks like.
    assert_eq!(url("https://h", "@evil/x"), at("https://h/@evil/x"));
    assert_eq!(url("https://h", "/evil/x"), at("https://h//evil/x"));
    assert_eq!(url("https://h", "model/a%3Ab%2Fc/converse"), at("https://h/model/a%3Ab%2Fc/converse"));
    assert_eq!(pass::url("https://h", "x", Some("a=../b")), at("https://h/x?a=../b"));
    for path in
        ["..", "a/../b", "a/%2e%2e/b", "a/.%2E/b", "a%2f..%2fb", "a%5c..%5cb", "%252e%252e/x", "./a", "a%0d%0ab"]
    {
        assert_eq!(url("https://h/v1", path), None, "{path}");
    }
}

fn most(kind: ProviderKind, request: &Value) -> Option<Most> {
    let model =
        Capabilities { context_window: Some(100_000), max_output_tokens: Some(8192), ..Capabilities::default() };
    pass::most(kind, CHAT, request.to_string().as_bytes(), &model)
}

#[test]
fn what_a_call_may_use_is_what_its_dialect_says() {
    let gemini = |config: Value| {
        let request = json!({"contents": [{"parts": [{"text": "Hi"}]}], "max_tokens": 1, "generationConfig": config});
        most(ProviderKind::Gemini, &request).map(|most| most.output)
    };
    assert_eq!(gemini(json!({"maxOutputTokens": 100})), Some(100));
    assert_eq!(gemini(json!({"maxOutputTokens": 100, "max_output_tokens": 200, "candidateCount": 3})), Some(600));
    assert_eq!(gemini(json!({})), Some(8192), "its own word for the limit, nobody else's");
    assert_eq!(gemini(json!({"maxOutputTokens": 1_000_000})), Some(8192));
    let bedrock = json!({"inferenceConfig": {"maxTokens": 50}});
    assert_eq!(most(ProviderKind::Bedrock, &bedrock).map(|most| most.output), Some(50));
    let further = json!({"inferenceConfig": {"maxTokens": 50}, "additionalModelRequestFields": {"max_tokens": 9000}});
    assert_eq!(most(ProviderKind::Bedrock, &further).map(|most| most.output), Some(8192));
    assert_eq!(most(ProviderKind::Cohere, &json!({"max_tokens": 7})).map(|most| most.output), Some(7));
    let shown = json!({"contents": [{"parts": [{"fileData": {"fileUri": "gs://a"}}]}]});
    assert_eq!(most(ProviderKind::Gemini, &shown).map(|most| most.prompt), Some(100_000), "as much as it can be shown");
}

#[test]
fn what_cannot_be_bounded_is_said_to_be_so() {
    let unknown = Capabilities::default();
    assert_eq!(pass::most(ProviderKind::Gemini, CHAT, b"{}", &unknown), None);
    assert_eq!(pass::most(ProviderKind::Gemini, CHAT, b"no json", &unknown), None);
    let free = pass::most(ProviderKind::Gemini, Reads::Free, b"no json", &unknown);
    assert_eq!(free, Some(Most { prompt: 0, output: 0 }));
}

//! Requests in Gemini's words to Google's models: what a backend's settings change in them, and nothing else.

use serde_json::{Value, json};
use turnpike_llm::provider::{Operation, ProviderKind};

use super::fixture::Backend;

const MODEL: &str = "gemini-2.5-flash";

fn sent(backend: &Backend, operation: Operation, body: &Value) -> Value {
    let encoded = backend.encode(operation, body.to_string()).unwrap();
    serde_json::from_slice(&encoded.body.to_bytes()).unwrap()
}

fn contents() -> Value {
    json!([{"role": "user", "parts": [{"text": "Hi"}]}])
}

#[test]
fn wishes_of_the_backend_stand_behind_the_client_s() {
    let params = json!({"defaults": {"temperature": 0.5, "top_p": 0.25, "max_tokens": 100, "stop": "END",
        "reasoning_effort": "low"}, "drop": ["labels"]});
    for kind in [ProviderKind::Gemini, ProviderKind::VertexAI] {
        let backend = Backend::with_params(kind, MODEL, &params);
        let plain = sent(&backend, Operation::GenerateContent, &json!({"contents": contents(), "labels": {"a": "b"}}));
        let config = json!({"maxOutputTokens": 100, "temperature": 0.5, "topP": 0.25, "stopSequences": ["END"]});
        assert_eq!(plain, json!({"contents": contents(), "generationConfig": config}));
        let own = json!({"contents": contents(),
            "generation_config": {"temperature": 1, "top_p": 0.75, "max_output_tokens": 7, "stopSequences": []}});
        assert_eq!(sent(&backend, Operation::GenerateContent, &own), own);
    }
}

#[test]
fn the_output_is_held_to_what_is_allowed() {
    let backend = Backend { max_output_tokens: Some(50), ..Backend::new(ProviderKind::Gemini, MODEL) };
    for (config, limit) in [
        (json!({}), json!({"maxOutputTokens": 50})),
        (json!(null), json!({"maxOutputTokens": 50})),
        (json!({"maxOutputTokens": 51}), json!({"maxOutputTokens": 50})),
        (json!({"maxOutputTokens": "51"}), json!({"maxOutputTokens": 50})),
        (json!({"max_output_tokens": 51, "topK": 1}), json!({"maxOutputTokens": 50, "topK": 1})),
        (json!({"maxOutputTokens": 49}), json!({"maxOutputTokens": 49})),
    ] {
        let body = json!({"contents": contents(), "generationConfig": config});
        assert_eq!(sent(&backend, Operation::GenerateContent, &body)["generationConfig"], limit, "{config}");
    }
}

#[test]
fn a_request_that_is_counted_is_for_the_model_that_is_asked() {
    let backend = Backend::new(ProviderKind::Gemini, MODEL);
    let plain = json!({"contents": contents()});
    assert_eq!(sent(&backend, Operation::CountContent, &plain), plain);
    let whole = |model: &str| json!({"generateContentRequest": {"model": model, "contents": contents()}});
    let counted = sent(&backend, Operation::CountContent, &whole("models/public-name"));
    assert_eq!(counted, whole("models/gemini-2.5-flash"));
    assert!(backend.url(Operation::CountContent, false).ends_with("/models/gemini-2.5-flash:countTokens"));
}

//! A limit on the output that the gateway sets, by the name that each provider knows.

use std::fmt::Write as _;

use serde_json::{Value, json};
use turnpike_llm::provider::{Operation, ProviderKind};

use super::fixture::{Backend, KINDS};

fn capped(backend: Backend, operation: Operation, body: &Value) -> Value {
    let backend = Backend { max_output_tokens: Some(100), ..backend };
    let encoded = backend.encode(operation, body.to_string()).unwrap();
    serde_json::from_slice(&encoded.body.to_bytes()).unwrap()
}

#[test]
fn the_limit_goes_by_the_name_that_the_upstream_knows() {
    let mut text = String::new();
    for (kind, model) in [
        (ProviderKind::OpenAI, "gpt-4o"),
        (ProviderKind::OpenAI, "o3"),
        (ProviderKind::OpenAI, "gpt-5"),
        (ProviderKind::AzureOpenAI, "gpt-4o"),
        (ProviderKind::AzureOpenAI, "o4-mini"),
        (ProviderKind::Mistral, "mistral-large-latest"),
        (ProviderKind::VLLM, "llama"),
    ] {
        for said in [
            json!({}),
            json!({"max_tokens": 50}),
            json!({"max_tokens": 5000}),
            json!({"max_completion_tokens": 5000}),
            json!({"max_completion_tokens": null}),
            json!({"max_tokens": -1}),
        ] {
            let mut body = json!({"model": model});
            body.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
            let mut sent = capped(Backend::new(kind, model), Operation::Chat, &body);
            sent.as_object_mut().unwrap().remove("model");
            writeln!(text, "{kind:?} {model} {said} -> {sent}").unwrap();
        }
    }
    insta::with_settings!({ snapshot_path => "../golden", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("output_capped", text);
    });
}

#[test]
fn every_upstream_is_told_once_and_no_more_than_the_limit() {
    for kind in KINDS {
        for said in [json!({}), json!({"max_tokens": 5000}), json!({"max_tokens": 7, "max_completion_tokens": 5000})] {
            let mut body = json!({"model": "o3", "messages": []});
            body.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
            let sent = capped(Backend::new(kind, "o3"), Operation::Chat, &body);
            let limits: Vec<u64> =
                ["max_tokens", "max_completion_tokens"].iter().filter_map(|name| sent.get(name)?.as_u64()).collect();
            assert!(!limits.is_empty() && limits.iter().all(|limit| *limit <= 100), "{kind:?} {said}: {sent}");
        }
    }
}

#[test]
fn completions_are_limited_and_embeddings_have_nothing_to_limit() {
    let body = json!({"model": "m", "prompt": "hi"});
    let sent = capped(Backend::new(ProviderKind::VLLM, "m"), Operation::Completions, &body);
    assert_eq!(sent, json!({"model": "m", "prompt": "hi", "max_tokens": 100}));
    let body = json!({"model": "m", "input": "hi"});
    assert_eq!(capped(Backend::new(ProviderKind::VLLM, "m"), Operation::Embeddings, &body), body);
}

#[test]
fn what_the_backend_drops_or_renames_is_limited_all_the_same() {
    let params = json!({"drop": ["max_tokens"]});
    let backend = Backend::with_params(ProviderKind::VLLM, "m", &params);
    let sent = capped(backend, Operation::Chat, &json!({"model": "m", "max_tokens": 5}));
    assert_eq!(sent, json!({"model": "m", "max_tokens": 100}));
    let params = json!({"rename": {"max_tokens": "max_new_tokens"}});
    for said in [json!({"model": "m"}), json!({"model": "m", "max_tokens": 5000})] {
        let sent = capped(Backend::with_params(ProviderKind::VLLM, "m", &params), Operation::Chat, &said);
        assert_eq!(sent, json!({"model": "m", "max_new_tokens": 100}));
    }
    let params = json!({"defaults": {"max_tokens": 5000}});
    let backend = Backend::with_params(ProviderKind::VLLM, "m", &params);
    assert_eq!(capped(backend, Operation::Chat, &json!({"model": "m"})), json!({"model": "m", "max_tokens": 100}));
}

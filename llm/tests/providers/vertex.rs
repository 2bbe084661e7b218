//! Whose model is asked where, and how, at Vertex AI.

use std::fmt::Write;

use bytes::Bytes;
use serde_json::Value;
use turnpike_llm::{
    provider::{Capabilities, CompiledParams, Operation, ProviderKind, Shown, Target},
    request::Request,
};

use super::fixture::Backend;

const CHAT: &str = r#"{"model":"any","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hei"}],"max_tokens":9,"stream":true,"metadata":{"team":"blue","Odd":"x","cost-center":"a_1","run":7,"long":"Has Spaces"}}"#;
const EMBED: &str =
    r#"{"model":"any","input":["a","b"],"dimensions":8,"task_type":"CLUSTERING","title":"t","auto_truncate":false}"#;

#[test]
fn every_makers_models_have_their_place_and_dialect() {
    const MODELS: &[&str] = &[
        "gemini-2.5-flash",
        "google/gemini-2.5-flash",
        "1234567890123456789",
        "endpoints/1234567890123456789",
        "claude-sonnet-4-5@20250929",
        "anthropic/claude-opus-4-1",
        "mistral-medium-3",
        "mistralai/codestral-2",
        "meta/llama-4-maverick-17b-128e-instruct-maas",
        "deepseek-ai/deepseek-v3.1-maas",
        "text-embedding-005",
        "gemini-embedding-001",
    ];
    let mut text = String::new();
    for model in MODELS {
        let backend = Backend::new(ProviderKind::VertexAI, model);
        writeln!(text, "{model}").unwrap();
        let (operation, body) =
            if model.contains("embedding") { (Operation::Embeddings, EMBED) } else { (Operation::Chat, CHAT) };
        for stream in [false, true] {
            writeln!(text, "  POST {}", backend.url(operation, stream)).unwrap();
        }
        match backend.encode(operation, body) {
            Ok(encoded) => {
                for (name, value) in encoded.headers.iter().filter(|(name, _)| *name != "content-type") {
                    writeln!(text, "  {name}: {}", value.to_str().unwrap()).unwrap();
                }
                writeln!(text, "  {}", String::from_utf8(encoded.body.to_bytes().into()).unwrap()).unwrap();
            }
            Err(error) => writeln!(text, "  refused: {error}").unwrap(),
        }
    }
    insta::with_settings!({ snapshot_path => "../golden", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("vertex_models", text);
    });
}

fn seen(model: &str, operation: Operation, answer: &str) -> Value {
    let adapter = ProviderKind::VertexAI.adapter().unwrap();
    let shown = Shown { model: "shown".into(), upstream_model: model.into(), ..Shown::default() };
    let decoded = adapter.decode(operation, Bytes::copy_from_slice(answer.as_bytes()), &shown).unwrap();
    serde_json::from_slice(&decoded.body.to_bytes()).unwrap()
}

#[test]
fn answers_are_read_in_their_makers_dialect() {
    let answers = [
        ("gemini-2.5-flash", r#"{"candidates":[{"content":{"parts":[{"text":"Hei"}]},"finishReason":"STOP"}]}"#),
        (
            "claude-sonnet-4-5@20250929",
            r#"{"id":"msg_vrtx_1","type":"message","role":"assistant","model":"claude-sonnet-4-5-20250929","content":[{"type":"text","text":"Hei"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":2}}"#,
        ),
        (
            "meta/llama-4-maverick-17b-128e-instruct-maas",
            r#"{"id":"1","object":"chat.completion","created":1,"model":"meta/llama","choices":[{"index":0,"message":{"role":"assistant","content":"Hei"},"finish_reason":"stop"}]}"#,
        ),
        (
            "mistral-medium-3",
            r#"{"id":"1","object":"chat.completion","created":1,"model":"mistral-medium-3","choices":[{"index":0,"message":{"role":"assistant","content":"Hei"},"finish_reason":"stop"}]}"#,
        ),
    ];
    for (model, answer) in answers {
        let seen = seen(model, Operation::Chat, answer);
        assert_eq!(seen["choices"][0]["message"]["content"], "Hei", "{model}");
        assert_eq!(seen["choices"][0]["finish_reason"], "stop", "{model}");
        assert_eq!(seen["model"], "shown", "{model}");
    }
}

#[test]
fn streams_are_read_in_their_makers_dialect() {
    let streams = [
        (
            "gemini-2.5-flash",
            "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hei\"}]},\"finishReason\":\"STOP\"}]}\n\n",
        ),
        (
            "claude-sonnet-4-5@20250929",
            concat!(
                "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"c\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n",
                "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
                "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hei\"}}\n\n",
                "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
                "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":2}}\n\n",
                "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
            ),
        ),
        (
            "meta/llama-4-maverick-17b-128e-instruct-maas",
            concat!(
                "data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hei\"},\"finish_reason\":\"stop\"}]}\n\n",
                "data: [DONE]\n\n",
            ),
        ),
    ];
    for (model, stream) in streams {
        let shown = Shown { model: "shown".into(), upstream_model: model.into(), ..Shown::default() };
        let mut decoder = ProviderKind::VertexAI.adapter().unwrap().stream(Operation::Chat, shown);
        let mut told = decoder.push(Bytes::copy_from_slice(stream.as_bytes())).unwrap().to_vec();
        told.extend_from_slice(&decoder.end().unwrap());
        let told = String::from_utf8(told).unwrap();
        assert!(told.contains("\"content\":\"Hei\"") && told.contains("\"model\":\"shown\""), "{model}: {told}");
        assert!(told.contains("\"finish_reason\":\"stop\"") && told.ends_with("data: [DONE]\n\n"), "{model}: {told}");
    }
}

#[test]
fn predicted_embeddings_are_counted() {
    let answer = r#"{"predictions":[{"embeddings":{"values":[0.5,-1],"statistics":{"truncated":false,"token_count":6.0}}},{"embeddings":{"values":[0.25,1],"statistics":{"token_count":2}}}],"metadata":{"billableCharacterCount":11}}"#;
    let seen = seen("text-embedding-005", Operation::Embeddings, answer);
    assert_eq!(seen["data"][1]["embedding"], serde_json::json!([0.25, 1]));
    assert_eq!(seen["usage"]["prompt_tokens"], 8);
}

#[test]
fn a_backend_without_a_project_is_refused() {
    let request = Request::scan(Bytes::from_static(CHAT.as_bytes())).unwrap();
    let adapter = ProviderKind::VertexAI.adapter().unwrap();
    let target = Target {
        base_url: "https://aiplatform.googleapis.com",
        model: "gemini-2.5-flash",
        api_version: None,
        region: Some("global"),
        project: None,
        params: &CompiledParams::default(),
        capabilities: &Capabilities::default(),
        drop_unsupported: false,
        max_output_tokens: None,
        fetched: turnpike_llm::media::Fetched::NONE,
    };
    let error = adapter.encode(Operation::Chat, &request, &target).unwrap_err();
    assert!(error.message.contains("spec.provider.project"), "{error}");
}

#[test]
fn anthropics_dialect_passes_to_claude_as_it_came() {
    let body = r#"{"model":"any","max_tokens":9,"messages":[{"role":"user","content":[{"type":"text","text":"Hei","brand_new":1}]}],"odd":{"x":[1]}}"#;
    let claude = Backend::new(ProviderKind::VertexAI, "claude-sonnet-4-5@20250929");
    let sent = claude.encode(Operation::Messages, body).unwrap().body.to_bytes();
    let sent: Value = serde_json::from_slice(&sent).unwrap();
    let mut expected: Value = serde_json::from_str(body).unwrap();
    expected.as_object_mut().unwrap().remove("model");
    expected["anthropic_version"] = "vertex-2023-10-16".into();
    assert_eq!(sent, expected);
    let answer = r#"{"id":"m","type":"message","role":"assistant","model":"claude","content":[{"type":"text","text":"Hei","new":1}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":2}}"#;
    let seen = seen("claude-sonnet-4-5@20250929", Operation::Messages, answer);
    assert_eq!((&seen["model"], &seen["content"][0]["new"]), (&"shown".into(), &1.into()));
}

#[test]
fn anthropics_dialect_reaches_everybodys_models() {
    let body = r#"{"model":"any","max_tokens":9,"messages":[{"role":"user","content":"Hei"}]}"#;
    for (model, member) in
        [("gemini-2.5-flash", "contents"), ("meta/llama-4-scout-maas", "messages"), ("mistral-medium-3", "messages")]
    {
        let sent = Backend::new(ProviderKind::VertexAI, model).encode(Operation::Messages, body).unwrap();
        let sent: Value = serde_json::from_slice(&sent.body.to_bytes()).unwrap();
        assert!(sent[member].is_array(), "{model}: {sent}");
    }
}

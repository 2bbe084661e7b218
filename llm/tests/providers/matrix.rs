//! A dozen requests to every provider: URL, headers, authentication and body, as goldens.

use std::fmt::Write;

use turnpike_llm::provider::Operation;

use super::fixture::{Backend, KINDS};

/// One golden: the same request to all providers.
fn golden(name: &str, operation: Operation, model: &'static str, body: &'static str) {
    let mut text = format!("client: {body}\n");
    for kind in KINDS {
        let backend = Backend::new(kind, model);
        let stream = body.contains("\"stream\":true");
        let url = backend.url(operation, stream);
        writeln!(text, "\n{kind:?}: POST {url} {:?}", backend.adapter().auth()).unwrap();
        match backend.encode(operation, body) {
            Err(error) => {
                writeln!(text, "  refused: {} [{:?}] {error}", error.code, error.param.as_deref().unwrap_or("-"))
                    .unwrap();
            }
            Ok(encoded) => {
                for (header, value) in &encoded.headers {
                    writeln!(text, "  {header}: {}", value.to_str().unwrap()).unwrap();
                }
                let sent = encoded.body.to_bytes();
                assert_eq!(sent.len(), encoded.body.len(), "Content-Length of {kind:?}");
                let sent = std::str::from_utf8(&sent).unwrap();
                serde_json::from_str::<serde_json::Value>(sent).expect("valid JSON");
                writeln!(text, "  {}", if sent == body { "(as it came)" } else { sent }).unwrap();
            }
        }
    }
    insta::with_settings!({ snapshot_path => "../golden", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(format!("encode_{name}"), text);
    });
}

#[test]
fn plain_chat() {
    golden(
        "plain_chat",
        Operation::Chat,
        "upstream/model",
        r#"{"model":"smart","messages":[{"role":"user","content":"Hei"}]}"#,
    );
}

#[test]
fn same_model_name() {
    golden(
        "same_model_name",
        Operation::Chat,
        "mistral-small",
        r#"{"model":"mistral-small","messages":[{"role":"user","content":"Hei"}],"max_completion_tokens":9,"seed":7,"user":"ann"}"#,
    );
}

#[test]
fn stream() {
    golden(
        "stream",
        Operation::Chat,
        "m",
        r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"Hei"}]}"#,
    );
}

#[test]
fn stream_with_usage() {
    golden(
        "stream_with_usage",
        Operation::Chat,
        "m",
        r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[]}"#,
    );
}

#[test]
fn stream_with_other_options() {
    golden(
        "stream_with_other_options",
        Operation::Chat,
        "m",
        r#"{"model":"m","stream":true,"stream_options":{"include_obfuscation":false},"messages":[]}"#,
    );
}

#[test]
fn tools() {
    golden(
        "tools",
        Operation::Chat,
        "m",
        r#"{"model":"m","messages":[],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"},"strict":true}}],"tool_choice":"required","parallel_tool_calls":false}"#,
    );
}

#[test]
fn json_schema() {
    golden(
        "json_schema",
        Operation::Chat,
        "m",
        r#"{"model":"m","messages":[],"response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{"type":"object"}}}}"#,
    );
}

#[test]
fn vision() {
    golden(
        "vision",
        Operation::Chat,
        "vision-model",
        r#"{"model":"eyes","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://example.com/cat.png"}},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo="}}]}]}"#,
    );
}

#[test]
fn unknown_fields() {
    golden(
        "unknown_fields",
        Operation::Chat,
        "m",
        r#"{ "model" : "m", "messages":[], "min_p":0.1, "guided_json":{"a":[1,2]}, "brand_new":null }"#,
    );
}

#[test]
fn gateway_only() {
    golden(
        "gateway_only",
        Operation::Chat,
        "m",
        r#"{"tags":["a"],"model":"m","metadata":{"tags":["b"]},"messages":[],"fallbacks":["x"],"num_retries":3,"litellm_session_id":"s","cache":{"no-cache":true},"mock_response":"no"}"#,
    );
}

#[test]
fn metadata_beside_store() {
    golden(
        "metadata_beside_store",
        Operation::Chat,
        "m",
        r#"{"model":"m","messages":[],"store":true,"metadata":{"variant":"a"}}"#,
    );
}

#[test]
fn reasoning_model() {
    golden(
        "reasoning_model",
        Operation::Chat,
        "gpt-5-mini",
        r#"{"model":"gpt-5-mini","messages":[],"max_tokens":100,"temperature":1,"reasoning_effort":"low"}"#,
    );
}

#[test]
fn unsupported() {
    golden(
        "unsupported",
        Operation::Chat,
        "o3-mini",
        r#"{"model":"o3-mini","messages":[],"temperature":0.2,"n":2,"logprobs":true,"logit_bias":{"1":2}}"#,
    );
}

#[test]
fn unsupported_dropped() {
    golden(
        "unsupported_dropped",
        Operation::Chat,
        "o3-mini",
        r#"{"model":"o3-mini","messages":[],"temperature":0.2,"n":2,"logprobs":true,"logit_bias":{"1":2},"drop_params":true}"#,
    );
}

#[test]
fn embeddings() {
    golden(
        "embeddings",
        Operation::Embeddings,
        "embedder",
        r#"{"model":"vectors","input":["a","b"],"encoding_format":"base64","dimensions":8}"#,
    );
}

#[test]
fn completions() {
    golden(
        "completions",
        Operation::Completions,
        "m",
        r#"{"model":"m","prompt":"Once","stream":true,"max_tokens":5,"logprobs":0}"#,
    );
}

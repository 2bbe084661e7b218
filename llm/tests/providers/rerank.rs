//! Reranking: what each upstream is sent, and what clients are shown of its answer.

use std::fmt::Write;

use bytes::Bytes;
use serde_json::{Value, json};
use turnpike_llm::{
    provider::{Operation, ProviderKind, Shown},
    usage::Usage,
};

use super::fixture::{Backend, KINDS, golden};

fn plain() -> Value {
    json!({"model": "any", "query": "capital of France", "documents": ["Paris", {"text": "Berlin", "id": 7}, "Lyon"]})
}

fn with(mut body: Value, member: &str, value: Value) -> Value {
    body[member] = value;
    body
}

/// Requests by what they are for.
fn requests() -> [(&'static str, Value); 7] {
    [
        ("plain", plain()),
        ("top_n", with(with(plain(), "top_n", json!(2)), "return_documents", json!(true))),
        ("max_tokens_per_doc", with(plain(), "max_tokens_per_doc", json!(256))),
        ("dropped", with(with(plain(), "max_tokens_per_doc", json!(256)), "drop_params", json!(true))),
        (
            "rank_fields",
            json!({"model": "any", "query": "q", "rank_fields": ["title", "year"],
                   "documents": [{"title": "T", "year": 1999, "secret": "s"}, {"title": "U"}]}),
        ),
        ("others", with(with(plain(), "truncate", json!(false)), "user", json!("u"))),
        ("gateway's own", with(with(plain(), "tags", json!(["a"])), "metadata", json!({"a": 1}))),
    ]
}

#[test]
fn every_upstream_is_asked_in_its_own_words() {
    let mut text = String::new();
    let others = [ProviderKind::Cohere, ProviderKind::Anthropic, ProviderKind::Bedrock, ProviderKind::VertexAI];
    for kind in KINDS.into_iter().chain(others) {
        let model = match kind {
            ProviderKind::Bedrock => "cohere.rerank-v3-5:0",
            ProviderKind::VertexAI => "semantic-ranker-default-004",
            _ => "org/reranker-v1.5",
        };
        let backend = Backend::new(kind, model);
        writeln!(text, "{kind:?} {}", backend.url(Operation::Rerank, false)).unwrap();
        for (name, body) in requests() {
            match backend.encode(Operation::Rerank, body.to_string()) {
                Ok(encoded) => {
                    let sent = encoded.body.to_bytes();
                    writeln!(text, "  {name}: {}", std::str::from_utf8(&sent).unwrap()).unwrap();
                }
                Err(error) => {
                    writeln!(text, "  {name}: refused: {} {:?} {error}", error.code, error.param).unwrap();
                    if error.code == "unsupported_operation" {
                        break;
                    }
                }
            }
        }
    }
    golden("rerank_requests", &text);
}

#[test]
fn requests_that_rank_nothing_are_refused() {
    let backend = Backend::new(ProviderKind::Cohere, "rerank-v3.5");
    let mut text = String::new();
    for body in [
        json!({"model": "m", "documents": ["a"]}),
        json!({"model": "m", "query": "", "documents": ["a"]}),
        json!({"model": "m", "query": ["q"], "documents": ["a"]}),
        json!({"model": "m", "query": "q"}),
        json!({"model": "m", "query": "q", "documents": []}),
        json!({"model": "m", "query": "q", "documents": "a"}),
        json!({"model": "m", "query": "q", "documents": ["a", 7]}),
        json!({"model": "m", "query": "q", "documents": ["a", {"title": "no text"}]}),
        json!({"model": "m", "query": "q", "documents": ["a"], "top_n": 0}),
        json!({"model": "m", "query": "q", "documents": ["a"], "top_n": "2"}),
        json!({"model": "m", "query": "q", "documents": ["a"], "return_documents": 1}),
    ] {
        let error = backend.encode(Operation::Rerank, body.to_string()).unwrap_err();
        writeln!(text, "{body}\n  {} {:?} {error}", error.code, error.param).unwrap();
    }
    golden("rerank_refused", &text);
}

/// What a client is shown of `answer`, and the usage.
fn shown(kind: ProviderKind, request: &Value, answer: &str) -> (String, Option<Usage>) {
    let backend = Backend::new(kind, "m");
    let recall = backend.encode(Operation::Rerank, request.to_string()).unwrap().recall;
    let shown = Shown { call_id: "call-1".into(), recall, ..Shown::default() };
    match backend.adapter().decode(Operation::Rerank, Bytes::from(answer.to_owned()), &shown) {
        Ok(decoded) => (String::from_utf8(decoded.body.to_bytes().to_vec()).unwrap(), decoded.usage),
        Err(error) => (format!("{:?}: {error}", error.class), None),
    }
}

#[test]
fn every_answer_is_shown_in_cohere_s_shape() {
    let cohere = r#"{"id":"07734bd2","results":[{"index":2,"relevance_score":0.98},{"index":0,"relevance_score":0.1}],"meta":{"api_version":{"version":"2"},"billed_units":{"search_units":1.0}}}"#;
    let vllm = r#"{"id":"rerank-9","model":"m","usage":{"prompt_tokens":56,"total_tokens":56},"results":[{"index":0,"document":{"text":"Paris","multi_modal":null},"relevance_score":0.99},{"index":1,"document":{"text":"Berlin"},"relevance_score":0.01}]}"#;
    let together = r#"{"object":"rerank","id":"9dfa","model":"m","results":[{"index":1,"relevance_score":0.29,"document":{}},{"index":0,"relevance_score":0.19,"document":{}}],"usage":{"prompt_tokens":1837,"completion_tokens":0,"total_tokens":1837}}"#;
    let fireworks = r#"{"object":"list","model":"m","data":[{"index":2,"relevance_score":0.9}],"usage":{"prompt_tokens":10,"total_tokens":10,"completion_tokens":0}}"#;
    let tei = r#"[{"index":0,"score":0.2},{"index":2,"score":0.99875},{"index":1,"score":0.5}]"#;
    let nim = r#"{"rankings":[{"index":1,"logit":4.25},{"index":0,"logit":-3.5},{"index":2,"logit":-900.0}],"usage":{"prompt_tokens":40,"total_tokens":40}}"#;
    let bedrock = r#"{"results":[{"index":2,"relevance_score":0.9},{"index":0,"relevance_score":0.2},{"index":1,"relevance_score":0.1}]}"#;
    let vertex = r#"{"records":[{"id":"1","score":0.98},{"id":"0","score":0.64},{"id":"2","score":0.2}]}"#;
    let asked = with(with(plain(), "top_n", json!(2)), "return_documents", json!(true));
    let bare = with(plain(), "return_documents", json!(false));
    let mut text = String::new();
    for (kind, answer) in [
        (ProviderKind::Cohere, cohere),
        (ProviderKind::VLLM, vllm),
        (ProviderKind::OpenAICompatible, vllm),
        (ProviderKind::TogetherAI, together),
        (ProviderKind::FireworksAI, fireworks),
        (ProviderKind::HuggingFaceTGI, tei),
        (ProviderKind::NvidiaNIM, nim),
        (ProviderKind::Bedrock, bedrock),
        (ProviderKind::VertexAI, vertex),
    ] {
        for (name, request) in [("plain", &plain()), ("two with documents", &asked), ("without documents", &bare)] {
            let (shown, usage) = shown(kind, request, answer);
            let usage = usage.map(|usage| (usage.prompt, usage.completion, usage.queries));
            writeln!(text, "{kind:?} {name} {usage:?}\n  {shown}").unwrap();
        }
    }
    golden("rerank_answers", &text);
}

#[test]
fn what_is_no_ranking_is_the_upstream_s_fault() {
    let mut text = String::new();
    for answer in [
        "",
        "{}",
        "[]",
        "null",
        r#"{"results":null}"#,
        r#"{"results":[{"index":3,"relevance_score":1}]}"#,
        r#"{"results":[{"index":-1,"relevance_score":1}]}"#,
        r#"{"results":[{"index":0}]}"#,
        r#"{"message":"too many documents"}"#,
        r#"{"error":{"message":"model not loaded","code":503}}"#,
        r#"{"error":"Model is overloaded","error_type":"Overloaded"}"#,
    ] {
        writeln!(text, "{answer}\n  {}", shown(ProviderKind::VLLM, &plain(), answer).0).unwrap();
    }
    golden("rerank_failures", &text);
}

#[test]
fn hosts_keep_rerankers_where_they_are() {
    let url = |kind, base_url| {
        Backend { base_url, ..Backend::new(kind, "nvidia/llama-3.2-nv-rerankqa-1b-v2") }.url(Operation::Rerank, false)
    };
    assert_eq!(
        url(ProviderKind::NvidiaNIM, "https://integrate.api.nvidia.com/v1"),
        "https://ai.api.nvidia.com/v1/retrieval/nvidia/llama-3_2-nv-rerankqa-1b-v2/reranking"
    );
    assert_eq!(url(ProviderKind::NvidiaNIM, "http://nim:8000/v1/"), "http://nim:8000/v1/ranking");
    assert_eq!(url(ProviderKind::HuggingFaceTGI, "http://tei:8080"), "http://tei:8080/rerank");
    assert_eq!(url(ProviderKind::HuggingFaceTGI, "http://tei:8080/v1"), "http://tei:8080/rerank");
    assert_eq!(url(ProviderKind::Cohere, "https://api.cohere.com/v2"), "https://api.cohere.com/v2/rerank");
    let google = "https://discoveryengine.googleapis.com/v1/projects/my-project/locations/global/rankingConfigs/default_ranking_config:rank";
    for base in ["https://us-east1-aiplatform.googleapis.com", "https://aiplatform.eu.rep.googleapis.com"] {
        assert_eq!(url(ProviderKind::VertexAI, base), google);
    }
    let own = url(ProviderKind::VertexAI, "https://proxy/v1");
    assert!(own.starts_with("https://proxy/v1/projects/my-project/locations/global/"), "{own}");
    assert_eq!(url(ProviderKind::VLLM, "http://vllm:8000/v1"), "http://vllm:8000/v1/rerank");
}

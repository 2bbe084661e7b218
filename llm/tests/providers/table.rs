//! What single rows of the table of OpenAI-like providers say about messages, formats and answers.

use bytes::Bytes;
use serde_json::{Value, json};
use turnpike_llm::{
    price::{breakdown, lookup},
    provider::{Operation, ProviderKind, Shown},
};

use super::fixture::Backend;

/// An assistant's message as an SDK dumps it, in the middle of a conversation.
fn dumped() -> Value {
    json!({"model": "m", "messages": [
        {"role": "user", "name": "ann", "content": [{"type": "text", "text": "One. "}, {"type": "text", "text": "Two."}]},
        {"role": "assistant", "content": null, "refusal": "I cannot.", "annotations": [], "audio": null,
         "function_call": null, "reasoning_content": "Hm.", "thinking_blocks": [{"type": "thinking", "thinking": "Hm."}]},
        {"role": "tool", "name": "now", "tool_call_id": "c", "content": "5"},
    ]})
}

fn messages(kind: ProviderKind, model: &'static str, request: &Value) -> Value {
    Backend::new(kind, model).chat(request)["messages"].clone()
}

#[test]
fn mistral_is_sent_no_member_that_it_forbids() {
    let sent = messages(ProviderKind::Mistral, "m", &dumped());
    let expected = json!([
        {"role": "user", "content": "One. Two."},
        {"role": "assistant", "content": "I cannot."},
        {"role": "tool", "name": "now", "tool_call_id": "c06b9df6f", "content": "5"},
    ]);
    assert_eq!(sent, expected);
    let picture = json!([{"role": "user", "content": [{"type": "text", "text": "?"}, {"type": "image_url", "image_url": "https://x/y.png"}]}]);
    assert_eq!(messages(ProviderKind::Mistral, "m", &json!({"model": "m", "messages": picture})), picture);
}

#[test]
fn groq_keeps_lists_and_names_of_tools() {
    let sent = messages(ProviderKind::Groq, "m", &dumped());
    let mut asked = dumped()["messages"][0].clone();
    asked.as_object_mut().unwrap().remove("name");
    assert_eq!((&sent[0], &sent[2]), (&asked, &dumped()["messages"][2]));
    assert_eq!(sent[1], json!({"role": "assistant", "content": "I cannot."}));
    let called = json!([{"role": "assistant", "content": "", "function_call": {"name": "now", "arguments": "{}"}}]);
    assert_eq!(messages(ProviderKind::Groq, "m", &json!({"model": "m", "messages": called})), called);
}

#[test]
fn deepseek_reads_text_and_its_own_reasoning() {
    let sent = messages(ProviderKind::DeepSeek, "deepseek-chat", &dumped());
    assert_eq!((&sent[0]["content"], &sent[1]["reasoning_content"]), (&json!("One. Two."), &json!("Hm.")));
    let body = r#"{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x/y.png"}}]}]}"#;
    let refused = Backend::new(ProviderKind::DeepSeek, "deepseek-chat").encode(Operation::Chat, body).unwrap_err();
    assert_eq!((refused.code, refused.param.as_deref()), ("unsupported_content", Some("messages")));
    let off = json!({"model": "m", "messages": [], "reasoning_effort": "none"});
    let expected = json!({"model": "deepseek-chat", "messages": [], "thinking": {"type": "disabled"}});
    assert_eq!(Backend::new(ProviderKind::DeepSeek, "deepseek-chat").chat(&off), expected);
}

#[test]
fn a_schema_is_told_where_it_cannot_be_enforced() {
    let schema = json!({"type": "object", "properties": {"name": {"type": "string"}}});
    let request = json!({"model": "m", "messages": [{"role": "user", "content": "Who?"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "person", "schema": schema, "strict": true}}});
    for (kind, model) in [(ProviderKind::Groq, "llama-3.3-70b-versatile"), (ProviderKind::DeepSeek, "deepseek-chat")] {
        let sent = Backend::new(kind, model).chat(&request);
        assert_eq!(sent["response_format"], json!({"type": "json_object"}), "{kind:?}");
        let told = sent["messages"][0]["content"].as_str().unwrap();
        assert!(told.contains("JSON Schema") && told.contains("\"name\""), "{told}");
        assert_eq!(sent["messages"][1], request["messages"][0]);
    }
    for (kind, model) in [(ProviderKind::Groq, "openai/gpt-oss-120b"), (ProviderKind::Mistral, "mistral-small")] {
        assert_eq!(Backend::new(kind, model).chat(&request)["response_format"], request["response_format"], "{kind:?}");
    }
}

#[test]
fn groq_reasons_only_where_it_can() {
    let request = r#"{"model":"m","messages":[],"reasoning_effort":"low"}"#;
    let encode = |model| Backend::new(ProviderKind::Groq, model).encode(Operation::Chat, request);
    assert_eq!(encode("llama-3.3-70b-versatile").unwrap_err().param.as_deref(), Some("reasoning_effort"));
    assert!(encode("openai/gpt-oss-20b").is_ok());
}

#[test]
fn nims_embedding_models_are_told_what_they_embed() {
    let embed = |body: &str| -> Value {
        let backend = Backend::new(ProviderKind::NvidiaNIM, "nvidia/nv-embedqa-e5-v5");
        serde_json::from_slice(&backend.encode(Operation::Embeddings, body.to_owned()).unwrap().body.to_bytes())
            .unwrap()
    };
    assert_eq!(embed(r#"{"model":"m","input":"a"}"#)["input_type"], "passage");
    assert_eq!(embed(r#"{"model":"m","input":"a","input_type":"query"}"#)["input_type"], "query");
}

#[test]
fn perplexitys_sources_are_kept_and_its_searches_are_charged() {
    let body = Bytes::from_static(
        br#"{"id":"p","model":"sonar","created":1,"usage":{"prompt_tokens":100,"completion_tokens":200,"total_tokens":300,"search_context_size":"low","num_search_queries":3},"object":"chat.completion","citations":["https://a"],"search_results":[{"title":"A","url":"https://a","date":null}],"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"Yes[1]."},"delta":{"role":"assistant","content":""}}]}"#,
    );
    let shown = Shown { model: "shown".into(), ..Shown::default() };
    let adapter = ProviderKind::Perplexity.adapter().unwrap();
    let decoded = adapter.decode(Operation::Chat, body, &shown).unwrap();
    let told: Value = serde_json::from_slice(&decoded.body.to_bytes()).unwrap();
    assert_eq!((&told["citations"][0], &told["search_results"][0]["title"]), (&json!("https://a"), &json!("A")));
    let usage = decoded.usage.unwrap();
    assert_eq!(usage.queries, 3);
    // 5 USD for 1000 searches.
    let row = lookup(ProviderKind::Perplexity, "sonar-deep-research", None).unwrap();
    assert_eq!(breakdown(&usage, std::time::Duration::ZERO, &row.price()).fees, 15_000_000);
}

#[test]
fn fireworks_functions_are_not_strict() {
    let tool = |function: Value| json!({"type": "function", "function": function});
    let request = json!({"model": "m", "messages": [], "tools": [
        tool(json!({"name": "a", "strict": true, "parameters": {"type": "object", "properties": {"strict": {"type": "string"}}}})),
        tool(json!({"name": "b"})),
    ]});
    let sent = Backend::new(ProviderKind::FireworksAI, "m").chat(&request);
    let parameters = json!({"type": "object", "properties": {"strict": {"type": "string"}}});
    assert_eq!(
        sent["tools"],
        json!([tool(json!({"name": "a", "parameters": parameters})), tool(json!({"name": "b"}))])
    );
}

#[test]
fn mistral_is_sent_ids_of_nine_letters_and_told_what_to_go_on_with() {
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let asked = json!({"model": "m", "messages": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": null, "tool_calls": [call("call_\u{e6}_1"), call("D681PevKs")]},
        {"role": "tool", "tool_call_id": "call_\u{e6}_1", "content": "1"},
        {"role": "tool", "tool_call_id": "D681PevKs", "content": "2"},
        {"role": "assistant", "content": "The answer is"},
    ]});
    let sent = messages(ProviderKind::Mistral, "m", &asked);
    let id = sent[1]["tool_calls"][0]["id"].as_str().unwrap();
    assert!(id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
    assert_eq!(sent[2]["tool_call_id"], id);
    assert_eq!((&sent[1]["tool_calls"][1]["id"], &sent[3]["tool_call_id"]), (&json!("D681PevKs"), &json!("D681PevKs")));
    assert_eq!((&sent[4]["prefix"], &sent[1]["prefix"]), (&json!(true), &Value::Null));
    let others = messages(ProviderKind::TogetherAI, "m", &asked);
    assert_eq!((&others[1], &others[4]), (&asked["messages"][1], &asked["messages"][4]));
}

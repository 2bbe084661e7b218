//! Which chats OpenAI is sent as Responses, and what of its reasoning goes to whom.

use serde_json::{Value, json};
use turnpike_llm::provider::{Operation, ProviderKind};

use super::fixture::Backend;

fn called(model: &'static str, more: &Value) -> Operation {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let backend = Backend::new(ProviderKind::OpenAI, model);
    backend.encode(Operation::Chat, body.to_string()).unwrap().recall.called(Operation::Chat)
}

#[test]
fn models_without_chat_completions_are_those_of_the_price_table() {
    let table = include_str!("../../data/prices.jsonl");
    let rows: Vec<Value> = table.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut seen = (0, 0);
    for row in rows.iter().filter(|row| row["provider"] == "OpenAI") {
        let model: &'static str = row["model"].as_str().unwrap().to_owned().leak();
        match row["mode"].as_str().unwrap() {
            "responses" => {
                seen.0 += 1;
                assert_eq!(called(model, &json!({})), Operation::Responses, "{model}");
            }
            "chat" => {
                seen.1 += 1;
                assert_eq!(called(model, &json!({})), Operation::Chat, "{model}");
            }
            _ => {}
        }
    }
    assert!(seen.0 > 20 && seen.1 > 40, "{seen:?}");
}

#[test]
fn tools_of_models_that_reason_go_to_responses() {
    let tools = json!([{"type": "function", "function": {"name": "now"}}]);
    let with = |effort: Value| json!({"tools": tools, "reasoning_effort": effort});
    let (chat, responses) = (Operation::Chat, Operation::Responses);
    for (model, more, expected) in [
        ("gpt-4o", json!({"tools": tools}), chat),
        ("gpt-35-turbo", json!({"tools": tools}), chat),
        ("gpt-5", with(json!("high")), chat),
        ("gpt-5.2", with(json!("high")), chat),
        ("gpt-5.4-mini", with(json!("low")), responses),
        ("gpt-5.4", with(json!("none")), chat),
        ("gpt-5.4", with(Value::Null), chat),
        ("gpt-5.4", json!({"reasoning_effort": "high"}), chat),
        ("gpt-5.4", json!({"tools": [], "reasoning_effort": "high"}), chat),
        ("gpt-5.6-terra", with(Value::Null), responses),
        ("gpt-5.6-terra", with(json!("none")), chat),
        ("gpt-5.6-chat-latest", json!({"tools": tools}), chat),
        ("gpt-6-sol", json!({"functions": [{"name": "now"}]}), responses),
    ] {
        assert_eq!(called(model, &more), expected, "{model} {more}");
    }
}

#[test]
fn defaults_of_the_backend_count_as_well() {
    let params = json!({"defaults": {"reasoning_effort": "high"}});
    let backend = Backend::with_params(ProviderKind::AzureOpenAI, "gpt-5.4", &params);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}],
        "tools": [{"type": "function", "function": {"name": "now"}}]});
    let encoded = backend.encode(Operation::Chat, body.to_string()).unwrap();
    assert_eq!(encoded.recall.called(Operation::Chat), Operation::Responses);
    let sent: Value = serde_json::from_slice(&encoded.body.to_bytes()).unwrap();
    assert_eq!(sent["reasoning"], json!({"effort": "high"}));
    assert_eq!(backend.url(Operation::Responses, false), "https://east.openai.azure.com/openai/v1/responses");
}

/// A turn in which a model thought and called, as clients of chats and of Messages hand it back.
fn thought(data: &str, signature: &str) -> [(Operation, Value); 2] {
    let (thinking, redacted) = (
        json!({"type": "thinking", "thinking": "Hm.", "signature": signature}),
        json!({"type": "redacted_thinking", "data": data}),
    );
    let chat = json!({"model": "m", "messages": [
        {"role": "user", "content": "Time?"},
        {"role": "assistant", "content": null, "thinking_blocks": [thinking, redacted], "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "5"},
    ], "tools": [{"type": "function", "function": {"name": "now"}}]});
    let messages = json!({"model": "m", "max_tokens": 99, "messages": [
        {"role": "user", "content": "Time?"},
        {"role": "assistant", "content": [thinking, redacted, {"type": "tool_use", "id": "call_1", "name": "now", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "5"}]},
    ], "tools": [{"name": "now", "input_schema": {"type": "object"}}]});
    [(Operation::Chat, chat), (Operation::Messages, messages)]
}

fn sent(kind: ProviderKind, model: &'static str, operation: Operation, body: &Value) -> Value {
    let encoded = Backend::new(kind, model).encode(operation, body.to_string()).unwrap();
    serde_json::from_slice(&encoded.body.to_bytes()).unwrap()
}

#[test]
fn openais_own_reasoning_is_sent_back_before_what_it_led_to() {
    for (operation, body) in thought("openai:rs_2:gBBB", "openai:rs_1:gAAA") {
        let sent = sent(ProviderKind::OpenAI, "gpt-5.6", operation, &body);
        let expected = json!([
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "gAAA"},
            {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gBBB"},
            {"type": "function_call", "call_id": "call_1", "name": "now", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "5"},
        ]);
        assert_eq!(sent["input"].as_array().unwrap()[1..], *expected.as_array().unwrap(), "{operation:?}");
    }
}

#[test]
fn reasoning_goes_to_nobody_who_could_not_read_it() {
    for (operation, body) in thought("of Anthropic's", "of Anthropic's too") {
        let sent = sent(ProviderKind::OpenAI, "gpt-5.6", operation, &body);
        assert!(!sent.to_string().contains("Anthropic"), "{sent}");
    }
    let [(operation, body), _] = thought("openai:rs_2:gBBB", "openai:rs_1:gAAA");
    for (kind, model) in [
        (ProviderKind::Anthropic, "claude-sonnet-4-5"),
        (ProviderKind::Bedrock, "anthropic.claude-sonnet-4-5-20250929-v1:0"),
        (ProviderKind::Gemini, "gemini-3-pro"),
        (ProviderKind::Cohere, "command-a-03-2025"),
        (ProviderKind::Ollama, "llama3.2"),
    ] {
        let sent = sent(kind, model, operation, &body).to_string();
        assert!(!sent.contains("openai:") && sent.contains("now"), "{kind:?}: {sent}");
    }
}

//! Anthropic's Messages API.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Asked, Dialect, only};
use crate::upstream::{Parts, Refusal, Say, Usage};

/// api.anthropic.com.
#[derive(Clone, Copy, Debug)]
pub struct Anthropic;

const REQUEST: &[&str] = &[
    "model",
    "messages",
    "max_tokens",
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "stop_sequences",
    "temperature",
    "top_p",
    "top_k",
    "metadata",
    "stream",
    "service_tier",
    "container",
    "context_management",
    "cache_control",
];
const COUNTED: &[&str] = &["model", "messages", "system", "tools", "tool_choice", "thinking", "output_config"];
const COUNT: &str = "/v1/messages/count_tokens";

impl Dialect for Anthropic {
    fn authenticate(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        if asked.header("authorization").is_none() && asked.has_key(asked.header("x-api-key")) {
            return Ok(());
        }
        Err(Refusal::key("invalid x-api-key", "authentication_error"))
    }

    fn check(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        if asked.header("anthropic-version") != Some("2023-06-01") {
            return Err(Refusal::bad("anthropic-version: header is required"));
        }
        if asked.header("anthropic-beta").is_some_and(|list| list.split(',').any(|beta| !is_beta(beta))) {
            return Err(Refusal::bad("Unexpected value(s) for the `anthropic-beta` header"));
        }
        if !asked.query.is_empty() && asked.query != "beta=true" {
            return Err(Refusal::bad("unexpected query"));
        }
        let body = asked.body;
        match asked.path {
            "/v1/messages" => only(body, REQUEST)?,
            COUNT => only(body, COUNTED)?,
            _ => return Err(Refusal::not_found("Not Found")),
        }
        if asked.text("model").is_none() {
            return Err(Refusal::bad("model: Field required"));
        }
        if asked.path != COUNT {
            limits(body)?;
        }
        let messages = body["messages"].as_array().filter(|messages| !messages.is_empty());
        let messages = messages.ok_or_else(|| Refusal::bad("messages: at least one message is required"))?;
        system(&body["system"])?;
        conversation(messages, body.get("tools").is_some())?;
        tools(body)
    }

    fn answer(&self, asked: &Asked<'_>, say: &Say) -> Parts {
        if asked.path == COUNT {
            return Parts::json(&json!({"input_tokens": say.usage.unwrap_or_default().prompt}));
        }
        let model = self.model(asked);
        if asked.is_set("stream") { streamed(model, say) } else { Parts::json(&whole(model, say)) }
    }

    fn error(&self, refusal: &Refusal) -> Value {
        let kind = match refusal.status.as_u16() {
            401 => "authentication_error",
            404 => "not_found_error",
            _ => "invalid_request_error",
        };
        json!({"type": "error", "error": {"type": kind, "message": refusal.message}, "request_id": "req_upstream"})
    }
}

/// `name-2025-01-31`.
fn is_beta(beta: &str) -> bool {
    let mut parts = beta.trim().rsplitn(4, '-');
    let date: Vec<&str> = parts.by_ref().take(3).collect();
    date.len() == 3 && date.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit())) && parts.next().is_some()
}

fn limits(body: &Value) -> Result<(), Refusal> {
    let Some(most) = body["max_tokens"].as_u64() else {
        return Err(Refusal::bad("max_tokens: Field required"));
    };
    if body["temperature"].as_f64().is_some_and(|temperature| temperature > 1.0) {
        return Err(Refusal::bad("temperature: range: 0..1"));
    }
    if let Some(metadata) = body.get("metadata") {
        only(metadata, &["user_id"])?;
    }
    let thinking = &body["thinking"];
    if thinking["type"] != "enabled" {
        return Ok(());
    }
    match thinking["budget_tokens"].as_u64() {
        Some(budget) if (1024..most).contains(&budget) => {}
        _ => return Err(Refusal::bad("`max_tokens` must be greater than `thinking.budget_tokens`")),
    }
    if matches!(body.pointer("/tool_choice/type").and_then(Value::as_str), Some("any" | "tool")) {
        return Err(Refusal::bad("Thinking may not be enabled when tool_choice forces tool use."));
    }
    if body["temperature"].as_f64().is_some_and(|temperature| temperature < 1.0) {
        return Err(Refusal::bad("`temperature` may only be set to 1 when thinking is enabled."));
    }
    Ok(())
}

fn system(system: &Value) -> Result<(), Refusal> {
    match system {
        Value::Null | Value::String(_) => Ok(()),
        Value::Array(blocks) => blocks.iter().try_for_each(|block| {
            if block["type"] == "text" { self::block(block) } else { Err(Refusal::bad("system: text blocks only")) }
        }),
        _ => Err(Refusal::bad("system: Input should be a valid string or list")),
    }
}

/// Roles, contents, and that every call has its result in the very next message.
fn conversation(messages: &[Value], has_tools: bool) -> Result<(), Refusal> {
    let mut open: Vec<&str> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        only(message, &["role", "content"])?;
        let blocks = match &message["content"] {
            Value::String(text) if !text.trim().is_empty() => &[][..],
            Value::Array(blocks) if !blocks.is_empty() => blocks.as_slice(),
            _ => return Err(Refusal::bad(format!("messages.{at}: all messages must have non-empty content"))),
        };
        blocks.iter().try_for_each(block)?;
        let of = |kind: &'static str| blocks.iter().filter(move |block| block["type"] == kind);
        let results: Vec<&str> = of("tool_result").filter_map(|result| result["tool_use_id"].as_str()).collect();
        match message["role"].as_str() {
            Some("user") => {
                if open.iter().any(|call| !results.contains(call)) {
                    return Err(Refusal::bad(format!(
                        "messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately after"
                    )));
                }
                if results.iter().any(|result| !open.contains(result)) {
                    return Err(Refusal::bad(format!(
                        "messages.{at}: unexpected `tool_use_id` found in `tool_result`"
                    )));
                }
                open.clear();
            }
            Some("assistant") if results.is_empty() => {
                open = of("tool_use").filter_map(|call| call["id"].as_str()).collect();
                if !open.is_empty() && !has_tools {
                    return Err(Refusal::bad("Requests which include `tool_use` blocks must define tools"));
                }
                let last = blocks.last().and_then(|block| block["text"].as_str());
                if at + 1 == messages.len() && last.is_some_and(|text| text.ends_with(char::is_whitespace)) {
                    return Err(Refusal::bad("final assistant content cannot end with trailing whitespace"));
                }
            }
            _ => return Err(Refusal::bad(format!("messages.{at}.role: Input should be 'user' or 'assistant'"))),
        }
    }
    if open.is_empty() { Ok(()) } else { Err(Refusal::bad("`tool_use` ids were found without `tool_result` blocks")) }
}

fn block(block: &Value) -> Result<(), Refusal> {
    let member = |name: &str| block.get(name).and_then(Value::as_str);
    let is_id = |id: &str| !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    match member("type") {
        Some("text") => {
            only(block, &["type", "text", "cache_control", "citations"])?;
            if member("text").is_none_or(|text| text.trim().is_empty()) {
                return Err(Refusal::bad("text content blocks must be non-empty"));
            }
        }
        Some("image") => {
            only(block, &["type", "source", "cache_control"])?;
            source(&block["source"])?;
        }
        Some("document") => {
            only(block, &["type", "source", "title", "context", "citations", "cache_control"])?;
            source(&block["source"])?;
        }
        Some("thinking") => {
            only(block, &["type", "thinking", "signature"])?;
            if member("signature").is_none_or(str::is_empty) {
                return Err(Refusal::bad("Invalid `signature` in `thinking` block"));
            }
        }
        Some("redacted_thinking") => only(block, &["type", "data"])?,
        Some("tool_use") => {
            only(block, &["type", "id", "name", "input", "cache_control"])?;
            if !block["input"].is_object() || !member("id").is_some_and(is_id) {
                return Err(Refusal::bad("tool_use: id and input must be valid"));
            }
        }
        Some("tool_result") => {
            only(block, &["type", "tool_use_id", "content", "is_error", "cache_control"])?;
            if let Some(inner) = block["content"].as_array() {
                inner.iter().try_for_each(self::block)?;
            }
        }
        _ => return Err(Refusal::bad("messages: Input tag does not match any of the expected tags")),
    }
    Ok(())
}

fn source(source: &Value) -> Result<(), Refusal> {
    let fine = match source["type"].as_str() {
        Some("base64") => source["media_type"].is_string() && source["data"].is_string(),
        Some("text") => source["media_type"] == "text/plain" && source["data"].is_string(),
        Some("url") => source["url"].as_str().is_some_and(|url| url.starts_with("https://")),
        Some("file") => source["file_id"].is_string(),
        _ => false,
    };
    if fine { Ok(()) } else { Err(Refusal::bad("source: Input tag does not match any of the expected tags")) }
}

fn tools(body: &Value) -> Result<(), Refusal> {
    let tools = body["tools"].as_array().map(Vec::as_slice).unwrap_or_default();
    for tool in tools.iter().filter(|tool| matches!(tool["type"].as_str(), None | Some("custom"))) {
        only(tool, &["type", "name", "description", "input_schema", "strict", "cache_control"])?;
        if tool.pointer("/input_schema/type").is_none_or(|kind| kind != "object") {
            return Err(Refusal::bad("tools: input_schema.type: Field required"));
        }
    }
    let Some(choice) = body.get("tool_choice") else { return Ok(()) };
    only(choice, &["type", "name", "disable_parallel_tool_use"])?;
    match choice["type"].as_str() {
        _ if tools.is_empty() => Err(Refusal::bad("tool_choice may only be specified while providing tools.")),
        Some("auto" | "any") => Ok(()),
        Some("none") if choice.get("disable_parallel_tool_use").is_none() => Ok(()),
        Some("tool") if tools.iter().any(|tool| tool["name"] == choice["name"]) => Ok(()),
        _ => Err(Refusal::bad("tool_choice: Input tag does not match any of the expected tags")),
    }
}

/// The cache's part counts beside `input_tokens`.
fn usage(say: &Say, completion: u64) -> Value {
    let Usage { prompt, cached, .. } = say.usage.unwrap_or_default();
    json!({
        "input_tokens": prompt.saturating_sub(cached), "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached, "output_tokens": completion, "service_tier": "standard",
    })
}

fn message(model: &str, content: &Value, stop: Option<&str>, usage: &Value) -> Value {
    json!({
        "id": "msg_upstream", "type": "message", "role": "assistant", "model": model, "content": content,
        "stop_reason": stop, "stop_sequence": null, "usage": usage,
    })
}

fn whole(model: &str, say: &Say) -> Value {
    let content = json!([{"type": "text", "text": say.pieces.concat()}]);
    let completion = say.usage.unwrap_or_default().completion;
    message(model, &content, Some("end_turn"), &usage(say, completion))
}

fn streamed(model: &str, say: &Say) -> Parts {
    let event = |event: Value| {
        let name = event.get("type").and_then(Value::as_str).unwrap_or_default();
        Bytes::from(format!("event: {name}\ndata: {event}\n\n"))
    };
    let begun = message(model, &json!([]), None, &usage(say, 1));
    let mut parts = vec![
        event(json!({"type": "message_start", "message": begun})),
        event(json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})),
        event(json!({"type": "ping"})),
    ];
    parts.extend(say.pieces.iter().map(|piece| {
        event(json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}))
    }));
    let completion = say.usage.unwrap_or_default().completion;
    let stop = json!({"stop_reason": "end_turn", "stop_sequence": null});
    parts.push(event(json!({"type": "content_block_stop", "index": 0})));
    parts.push(event(json!({"type": "message_delta", "delta": stop, "usage": {"output_tokens": completion}})));
    parts.push(event(json!({"type": "message_stop"})));
    Parts::events(parts)
}

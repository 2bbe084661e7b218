//! Cohere's API, version 2.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Asked, Dialect, only};
use crate::upstream::{Parts, Refusal, Say, Usage, vector};

/// api.cohere.com.
#[derive(Clone, Copy, Debug)]
pub struct Cohere;

const CHAT: &[&str] = &[
    "model",
    "messages",
    "stream",
    "tools",
    "strict_tools",
    "tool_choice",
    "documents",
    "citation_options",
    "response_format",
    "safety_mode",
    "max_tokens",
    "stop_sequences",
    "temperature",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "k",
    "p",
    "logprobs",
    "thinking",
    "priority",
];
const EMBED: &[&str] = &[
    "model",
    "texts",
    "images",
    "inputs",
    "input_type",
    "embedding_types",
    "output_dimension",
    "max_tokens",
    "truncate",
    "priority",
];

impl Dialect for Cohere {
    fn authenticate(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        if asked.has_key(asked.bearer()) { Ok(()) } else { Err(Refusal::key("invalid api token", "unauthorized")) }
    }

    fn check(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        if asked.text("model").is_none() {
            return Err(Refusal::bad("model is required"));
        }
        match asked.path {
            "/v2/chat" => chat(asked.body),
            "/v2/embed" => embed(asked.body),
            "/v2/rerank" => rerank(asked.body),
            _ => Err(Refusal::not_found("page not found")),
        }
    }

    fn answer(&self, asked: &Asked<'_>, say: &Say) -> Parts {
        match asked.path {
            "/v2/embed" => return vectors(asked.body, say),
            "/v2/rerank" => return ranking(asked.body),
            _ => {}
        }
        if asked.is_set("stream") { streamed(say) } else { whole(say) }
    }

    fn error(&self, refusal: &Refusal) -> Value {
        json!({"id": "error-upstream", "message": refusal.message})
    }
}

fn chat(body: &Value) -> Result<(), Refusal> {
    only(body, CHAT)?;
    let messages = body["messages"].as_array().filter(|messages| !messages.is_empty());
    let messages = messages.ok_or_else(|| Refusal::bad("invalid request: messages must be at least 1 long"))?;
    messages.iter().try_for_each(message)?;
    paired(messages)?;
    let tools = body["tools"].as_array().map(Vec::as_slice).unwrap_or_default();
    for tool in tools {
        only(tool, &["type", "function"])?;
        let function = tool.get("function").unwrap_or(&Value::Null);
        only(function, &["name", "description", "parameters"])?;
        if !function["parameters"].is_object() {
            return Err(Refusal::bad("invalid request: tools must have parameters"));
        }
    }
    match body["tool_choice"].as_str() {
        None if body.get("tool_choice").is_none() => {}
        Some("REQUIRED" | "NONE") if !tools.is_empty() => {}
        _ => return Err(Refusal::bad("invalid request: tool_choice must be REQUIRED or NONE, with tools")),
    }
    if body.get("response_format").is_some() && !tools.is_empty() {
        return Err(Refusal::bad("invalid request: response_format is not supported with tools"));
    }
    if body["p"].as_f64().is_some_and(|p| !(0.01..=0.99).contains(&p)) {
        return Err(Refusal::bad("invalid request: p must be between 0.01 and 0.99 inclusive."));
    }
    if body.get("frequency_penalty").is_some() && body.get("presence_penalty").is_some() {
        return Err(Refusal::bad("invalid request: cannot specify both frequency_penalty and presence_penalty."));
    }
    Ok(())
}

fn message(message: &Value) -> Result<(), Refusal> {
    match message["role"].as_str() {
        Some("system" | "user") => only(message, &["role", "content"])?,
        Some("assistant") => only(message, &["role", "content", "tool_plan", "tool_calls", "citations"])?,
        Some("tool") => only(message, &["role", "content", "tool_call_id"])?,
        _ => return Err(Refusal::bad("invalid request: unknown role")),
    }
    let calls = message["tool_calls"].as_array().is_some_and(|calls| !calls.is_empty());
    if message.get("content").is_none() && !calls {
        return Err(Refusal::bad("invalid request: all elements in history must have a message."));
    }
    Ok(())
}

/// Every call has its result before anybody else speaks.
fn paired(messages: &[Value]) -> Result<(), Refusal> {
    let mut open: Vec<&str> = Vec::new();
    for message in messages {
        match message["role"].as_str() {
            Some("tool") => {
                let id = message["tool_call_id"].as_str().unwrap_or_default();
                if !open.contains(&id) {
                    return Err(Refusal::bad("invalid request: tool_call_id is not of the calls before"));
                }
                open.retain(|call| *call != id);
            }
            _ if !open.is_empty() => return Err(Refusal::bad("invalid request: a tool call has no result")),
            _ => {
                let calls = message["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default();
                open = calls.iter().filter_map(|call| call["id"].as_str()).collect();
            }
        }
    }
    Ok(())
}

fn embed(body: &Value) -> Result<(), Refusal> {
    only(body, EMBED)?;
    if !matches!(
        body["input_type"].as_str(),
        Some("search_document" | "search_query" | "classification" | "clustering")
    ) {
        return Err(Refusal::bad("invalid request: valid input_type must be provided with the provided model"));
    }
    match body["texts"].as_array().map(Vec::len) {
        Some(1..=96) => Ok(()),
        Some(count) => {
            Err(Refusal::bad(format!("invalid request: total number of texts must be at most 96 - received {count}")))
        }
        None => Err(Refusal::bad("invalid request: texts or images must be given")),
    }
}

fn rerank(body: &Value) -> Result<(), Refusal> {
    only(body, &["model", "query", "documents", "top_n", "max_tokens_per_doc", "priority"])?;
    let documents = body["documents"].as_array().filter(|documents| !documents.is_empty());
    if body["query"].is_string() && documents.is_some_and(|documents| documents.iter().all(Value::is_string)) {
        return Ok(());
    }
    Err(Refusal::bad("invalid request: query and documents must be texts"))
}

/// The last document first; a search unit for each hundred.
fn ranking(body: &Value) -> Parts {
    let count = body["documents"].as_array().map_or(0, Vec::len);
    let most = body["top_n"].as_u64().and_then(|most| usize::try_from(most).ok()).unwrap_or(count);
    let result = |at: usize| json!({"index": at, "relevance_score": if at + 1 == count { 0.98 } else { 0.25 }});
    let results: Vec<Value> = (0..count).rev().take(most).map(result).collect();
    let units = count.div_ceil(100);
    let meta = json!({"api_version": {"version": "2"}, "billed_units": {"search_units": units}});
    Parts::json(&json!({"id": "rerank-upstream", "results": results, "meta": meta}))
}

fn usage(say: &Say) -> Value {
    let Usage { prompt, completion, cached, .. } = say.usage.unwrap_or_default();
    json!({
        "billed_units": {"input_tokens": prompt, "output_tokens": completion},
        "tokens": {"input_tokens": prompt + 66, "output_tokens": completion},
        "cached_tokens": cached,
    })
}

fn whole(say: &Say) -> Parts {
    Parts::json(&json!({
        "id": "cohere-upstream",
        "finish_reason": "COMPLETE",
        "message": {"role": "assistant", "content": [{"type": "text", "text": say.pieces.concat()}]},
        "usage": usage(say),
    }))
}

fn streamed(say: &Say) -> Parts {
    let event = |event: Value| {
        Bytes::from(format!(
            "event: {}\ndata: {event}\n\n",
            event.get("type").and_then(Value::as_str).unwrap_or_default()
        ))
    };
    let message = json!({"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []});
    let mut parts = vec![
        event(json!({"id": "cohere-upstream", "type": "message-start", "delta": {"message": message}})),
        event(
            json!({"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}}),
        ),
    ];
    parts.extend(say.pieces.iter().map(|piece| {
        event(json!({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": piece}}}}))
    }));
    parts.push(event(json!({"type": "content-end", "index": 0})));
    parts.push(event(json!({"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": usage(say)}})));
    parts.push(Bytes::from_static(b"data: [DONE]\n\n"));
    Parts::events(parts)
}

fn vectors(body: &Value, say: &Say) -> Parts {
    let count = body["texts"].as_array().map_or(0, Vec::len);
    let vectors: Vec<Vec<f32>> = (0..count).map(vector).collect();
    let prompt = say.usage.unwrap_or_default().prompt;
    Parts::json(&json!({
        "id": "cohere-upstream",
        "embeddings": {"float": vectors},
        "texts": body["texts"],
        "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": prompt}},
        "response_type": "embeddings_by_type",
    }))
}

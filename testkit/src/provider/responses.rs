//! `OpenAI`'s models that Responses serve alone, or alone with tools.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Asked, Dialect, only};
use crate::upstream::{Parts, Refusal, Say, strict};

const MEMBERS: &[&str] = &[
    "background",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "metadata",
    "model",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];
/// What only the one who sealed it has in hand.
pub const SEALED: &str = "gAAAAABsealed-by-openai";

/// api.openai.com for a model of its later ones: what it wants of chats it refuses on `/v1/chat/completions`.
#[derive(Clone, Copy, Debug)]
pub struct OpenAiResponses;

impl Dialect for OpenAiResponses {
    fn authenticate(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        super::OpenAi.authenticate(asked)
    }

    fn check(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        let model = asked.text("model").unwrap_or_default();
        if asked.path == "/v1/chat/completions" {
            let why = if model.ends_with("-pro") {
                "This is not a chat model and thus not supported in the v1/chat/completions endpoint.".to_owned()
            } else if list(asked.body, "tools").is_empty() || asked.text("reasoning_effort") == Some("none") {
                return super::OpenAi.check(asked);
            } else {
                format!(
                    "Function tools with reasoning_effort are not supported for {model} in /v1/chat/completions. To use \
                     function tools, use /v1/responses or set reasoning_effort to 'none'."
                )
            };
            return Err(Refusal::bad(why));
        }
        if asked.path != "/v1/responses" {
            return Err(Refusal::not_found(format!("no route {}", asked.path)));
        }
        only(asked.body, MEMBERS)?;
        // Responses take metadata, which this check of chats does not know.
        let mut plain = asked.body.clone();
        plain.as_object_mut().and_then(|body| body.remove("metadata"));
        strict::body(asked.path, &plain)?;
        if asked.body.get("max_output_tokens").and_then(Value::as_u64).is_some_and(|most| most < 16) {
            return Err(Refusal::bad("Invalid 'max_output_tokens': integer below minimum value."));
        }
        list(asked.body, "tools").iter().try_for_each(tool)?;
        input(list(asked.body, "input"))
    }

    fn answer(&self, asked: &Asked<'_>, say: &Say) -> Parts {
        if asked.path == "/v1/chat/completions" {
            return super::OpenAi.answer(asked, say);
        }
        if asked.is_set("stream") { streamed(asked, say) } else { Parts::json(&whole(asked, say, "completed")) }
    }

    fn error(&self, refusal: &Refusal) -> Value {
        refusal.body()
    }
}

fn list<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn tool(tool: &Value) -> Result<(), Refusal> {
    if tool.get("type") != Some(&json!("function")) {
        return Ok(());
    }
    only(tool, &["type", "name", "description", "parameters", "strict"])?;
    match tool.get("name").and_then(Value::as_str) {
        Some(_) => Ok(()),
        None => Err(Refusal::bad("Missing required parameter: 'tools[0].name'.")),
    }
}

/// Items, each with its members; outputs have their calls before them, and reasoning is whole, known and followed.
fn input(items: &[Value]) -> Result<(), Refusal> {
    if items.is_empty() {
        return Err(Refusal::bad("Invalid 'input': expected a non-empty array."));
    }
    for (at, item) in items.iter().enumerate() {
        let text = |name: &str| item.get(name).and_then(Value::as_str);
        match text("type").unwrap_or("message") {
            "message" => message(item, text("role").unwrap_or_default())?,
            "function_call" => only(item, &["type", "id", "status", "call_id", "name", "arguments"])?,
            "function_call_output" => {
                only(item, &["type", "call_id", "output"])?;
                let mut before = items.iter().take(at).filter(|item| item.get("name").is_some());
                if !before.any(|call| call.get("call_id") == item.get("call_id")) {
                    let id = text("call_id").unwrap_or_default();
                    return Err(Refusal::bad(format!(
                        "No tool call found for function call output with call_id {id}."
                    )));
                }
            }
            "reasoning" => {
                only(item, &["type", "id", "summary", "encrypted_content"])?;
                if text("encrypted_content") != Some(SEALED) || !item.get("summary").is_some_and(Value::is_array) {
                    return Err(Refusal::bad("The encrypted content could not be verified."));
                }
                let next = items.get(at + 1).and_then(|next| next.get("type")).and_then(Value::as_str);
                if !matches!(next, Some("function_call" | "message")) {
                    return Err(Refusal::bad(
                        "Item of type 'reasoning' was provided without its required following item.",
                    ));
                }
            }
            other => return Err(Refusal::bad(format!("Invalid value: '{other}'."))),
        }
    }
    Ok(())
}

fn message(item: &Value, role: &str) -> Result<(), Refusal> {
    only(item, &["type", "role", "content", "id", "status"])?;
    let known: &[&str] = match role {
        "assistant" => &["output_text", "refusal"],
        "user" | "system" | "developer" => &["input_text", "input_image", "input_file"],
        _ => return Err(Refusal::bad(format!("Invalid value: '{role}'."))),
    };
    let kinds = list(item, "content").iter().map(|part| part.get("type").and_then(Value::as_str).unwrap_or_default());
    match kinds.into_iter().find(|kind| !known.contains(kind)) {
        Some(kind) => Err(Refusal::bad(format!("Invalid value: '{kind}'. Supported values are: {known:?}."))),
        None => Ok(()),
    }
}

/// A call of the first tool where it must be called, and what is to be said.
fn output(asked: &Asked<'_>, say: &Say) -> Vec<Value> {
    let sealed = list(asked.body, "include").contains(&json!("reasoning.encrypted_content"));
    let content = if sealed { json!(SEALED) } else { Value::Null };
    let mut items = vec![json!({"id": "rs_up", "type": "reasoning", "summary": [], "encrypted_content": content})];
    let tool = list(asked.body, "tools").first().filter(|_| asked.text("tool_choice") == Some("required"));
    items.push(match tool {
        Some(tool) => json!({"id": "fc_up", "type": "function_call", "status": "completed", "call_id": "call_up",
            "name": tool.get("name"), "arguments": "{\"city\":\"Oslo\"}"}),
        None => json!({"id": "msg_up", "type": "message", "status": "completed", "role": "assistant", "content": [
            {"type": "output_text", "text": say.pieces.concat(), "annotations": [], "logprobs": []}]}),
    });
    items
}

fn whole(asked: &Asked<'_>, say: &Say, status: &str) -> Value {
    let is_done = status == "completed";
    let usage = say.usage.filter(|_| is_done).map(|usage| {
        json!({
            "input_tokens": usage.prompt, "input_tokens_details": {"cached_tokens": usage.cached},
            "output_tokens": usage.completion, "output_tokens_details": {"reasoning_tokens": usage.reasoning},
            "total_tokens": usage.prompt + usage.completion,
        })
    });
    let output = if is_done { output(asked, say) } else { Vec::new() };
    json!({
        "id": "resp_up", "object": "response", "created_at": 1_700_000_000, "status": status, "error": null,
        "incomplete_details": null, "model": asked.text("model"), "output": output, "usage": usage,
        "store": asked.is_set("store"),
    })
}

fn streamed(asked: &Asked<'_>, say: &Say) -> Parts {
    let mut events = Vec::new();
    for kind in ["response.created", "response.in_progress"] {
        events.push(json!({"type": kind, "response": whole(asked, say, "in_progress")}));
    }
    for (at, item) in output(asked, say).into_iter().enumerate() {
        let kind = item.get("type").and_then(Value::as_str).unwrap_or_default();
        let mut begun = item.clone();
        for (name, empty) in [("arguments", json!("")), ("content", json!([])), ("encrypted_content", Value::Null)] {
            begun.get_mut(name).into_iter().for_each(|value| *value = empty.clone());
        }
        events.push(json!({"type": "response.output_item.added", "output_index": at, "item": begun}));
        let (told, pieces) = match kind {
            "function_call" => {
                ("response.function_call_arguments", vec!["{\"city\":".to_owned(), "\"Oslo\"}".to_owned()])
            }
            "message" => ("response.output_text", say.pieces.clone()),
            _ => ("", Vec::new()),
        };
        let id = item.get("id").cloned();
        let delta = |piece| json!({"type": format!("{told}.delta"), "output_index": at, "item_id": id, "delta": piece});
        events.extend(pieces.into_iter().map(delta));
        events.push(json!({"type": "response.output_item.done", "output_index": at, "item": item}));
    }
    events.push(json!({"type": "response.completed", "response": whole(asked, say, "completed")}));
    let numbered = events.into_iter().enumerate().map(|(at, mut event)| {
        event.as_object_mut().and_then(|event| event.insert("sequence_number".to_owned(), json!(at)));
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
        Bytes::from(format!("event: {kind}\ndata: {event}\n\n"))
    });
    Parts::events(numbered.collect())
}

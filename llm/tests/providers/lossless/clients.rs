//! What each dialect's clients hear in an answer.

use serde_json::{Map, Value, json};
use turnpike_llm::provider::Operation;

use super::{Said, events};

/// The dialects of clients.
pub(super) const OPERATIONS: &[Operation] =
    &[Operation::Chat, Operation::Messages, Operation::Responses, Operation::GenerateContent];

/// A whole answer, read as its clients read it.
pub(super) fn whole(operation: Operation, answer: &Value) -> Said {
    match operation {
        Operation::Messages => message(answer),
        Operation::Responses => response(answer),
        Operation::GenerateContent => contents(std::slice::from_ref(answer)),
        _ => chat(answer),
    }
}

/// A streamed answer, put together as its clients do it.
pub(super) fn streamed(operation: Operation, stream: &str) -> Said {
    let events = events(stream);
    match operation {
        Operation::Messages => message(&gathered(&events)),
        Operation::Responses => {
            let last = events.last().unwrap();
            assert_eq!(last["type"], "response.completed");
            let said = response(&last["response"]);
            // Clients that only watch deltas hear the same.
            assert_eq!(deltas(&events, "response.output_text.delta"), said.text);
            assert_eq!(deltas(&events, "response.reasoning_summary_text.delta"), said.thought);
            said
        }
        Operation::GenerateContent => contents(&events),
        _ => chunks(&events),
    }
}

fn deltas(events: &[Value], kind: &str) -> String {
    events.iter().filter(|event| event["type"] == kind).map(|event| event["delta"].as_str().unwrap()).collect()
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn object(json: &Value) -> Map<String, Value> {
    match json {
        Value::String(text) => serde_json::from_str(text).unwrap(),
        Value::Object(object) => object.clone(),
        other => panic!("{other} is no arguments"),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn tokens(usage: &Value, input: &str, output: &str) -> (u64, u64) {
    (usage[input].as_u64().unwrap(), usage[output].as_u64().unwrap())
}

fn chat(answer: &Value) -> Said {
    let said = &answer["choices"][0]["message"];
    let call = |call: &Value| (string(&call["function"]["name"]), object(&call["function"]["arguments"]));
    Said {
        thought: string(&said["reasoning_content"]),
        text: string(&said["content"]),
        calls: list(&said["tool_calls"]).iter().map(call).collect(),
        tokens: tokens(&answer["usage"], "prompt_tokens", "completion_tokens"),
    }
}

/// Chunks as one answer.
fn chunks(events: &[Value]) -> Said {
    let (mut thought, mut text) = (String::new(), String::new());
    let mut calls: Vec<(String, String)> = Vec::new();
    for delta in events.iter().map(|event| &event["choices"][0]["delta"]) {
        thought += &string(&delta["reasoning_content"]);
        text += &string(&delta["content"]);
        for call in list(&delta["tool_calls"]) {
            let at = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            if at == calls.len() {
                calls.push(Default::default());
            }
            calls[at].0 += &string(&call["function"]["name"]);
            calls[at].1 += &string(&call["function"]["arguments"]);
        }
    }
    let usage = &events.last().unwrap()["usage"];
    Said {
        thought,
        text,
        calls: calls.into_iter().map(|(name, given)| (name, object(&given.into()))).collect(),
        tokens: tokens(usage, "prompt_tokens", "completion_tokens"),
    }
}

fn message(answer: &Value) -> Said {
    let blocks = list(&answer["content"]);
    let of = |kind: &'static str| blocks.iter().filter(move |block| block["type"] == kind);
    Said {
        thought: of("thinking").map(|block| string(&block["thinking"])).collect(),
        text: of("text").map(|block| string(&block["text"])).collect(),
        calls: of("tool_use").map(|block| (string(&block["name"]), object(&block["input"]))).collect(),
        tokens: tokens(&answer["usage"], "input_tokens", "output_tokens"),
    }
}

/// A stream's events as the message that they build.
fn gathered(events: &[Value]) -> Value {
    let mut content: Vec<Value> = Vec::new();
    let mut inputs: Vec<String> = Vec::new();
    let mut usage = Map::new();
    for event in events {
        match event["type"].as_str().unwrap() {
            "message_start" => usage.extend(event["message"]["usage"].as_object().unwrap().clone()),
            "content_block_start" => {
                assert_eq!(event["index"], content.len());
                content.push(event["content_block"].clone());
                inputs.push(String::new());
            }
            "content_block_delta" => {
                let at = usize::try_from(event["index"].as_u64().unwrap()).unwrap();
                let delta = &event["delta"];
                for member in ["text", "thinking"] {
                    if let Some(more) = delta[member].as_str() {
                        content[at][member] = json!(string(&content[at][member]) + more);
                    }
                }
                inputs[at] += &string(&delta["partial_json"]);
            }
            "message_delta" => usage.extend(event["usage"].as_object().unwrap().clone()),
            _ => {}
        }
    }
    for (block, input) in content.iter_mut().zip(inputs).filter(|(_, input)| !input.is_empty()) {
        block["input"] = input.into();
    }
    json!({"content": content, "usage": usage})
}

/// Pieces of an answer of Gemini's, or all of it: clients read both in the same way.
fn contents(pieces: &[Value]) -> Said {
    let parts: Vec<&Value> =
        pieces.iter().flat_map(|piece| list(&piece["candidates"][0]["content"]["parts"])).collect();
    let text = |thought: bool| {
        let of = parts.iter().filter(|part| part["thought"].as_bool().unwrap_or_default() == thought);
        of.map(|part| string(&part["text"])).collect()
    };
    let calls = parts.iter().map(|part| &part["functionCall"]).filter(|call| call.is_object());
    let last = pieces.last().unwrap();
    assert!(last["candidates"][0]["finishReason"].is_string(), "{last}");
    let (prompt, completion) = tokens(&last["usageMetadata"], "promptTokenCount", "candidatesTokenCount");
    let thoughts = last["usageMetadata"]["thoughtsTokenCount"].as_u64().unwrap_or_default();
    Said {
        thought: text(true),
        text: text(false),
        calls: calls.map(|call| (string(&call["name"]), object(&call["args"]))).collect(),
        tokens: (prompt, completion + thoughts),
    }
}

fn response(answer: &Value) -> Said {
    let items = list(&answer["output"]);
    let of = |kind: &'static str| items.iter().filter(move |item| item["type"] == kind);
    let texts = |item: &Value, member: &str| -> String {
        list(&item[member]).iter().map(|part| string(&part["text"])).collect()
    };
    Said {
        thought: of("reasoning").map(|item| texts(item, "summary")).collect(),
        text: of("message").map(|item| texts(item, "content")).collect(),
        calls: of("function_call").map(|item| (string(&item["name"]), object(&item["arguments"]))).collect(),
        tokens: tokens(&answer["usage"], "input_tokens", "output_tokens"),
    }
}

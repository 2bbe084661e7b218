//! Answers as each dialect's providers write them.

use std::fmt::Write;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use turnpike_llm::provider::ProviderKind;

use super::Said;
use crate::providers::frames;

/// One provider of each dialect that is put into others.
pub(super) const KINDS: &[ProviderKind] = &[
    ProviderKind::VLLM,
    ProviderKind::Anthropic,
    ProviderKind::Bedrock,
    ProviderKind::Gemini,
    ProviderKind::Cohere,
    ProviderKind::Ollama,
];

/// The whole answer.
pub(super) fn whole(kind: ProviderKind, said: &Said) -> Bytes {
    let body = match kind {
        ProviderKind::Anthropic => anthropic(said),
        ProviderKind::Bedrock => bedrock(said),
        ProviderKind::Gemini => gemini(&parts(said), Some("STOP"), said),
        ProviderKind::Cohere => cohere(said),
        ProviderKind::Ollama => ollama(&message(said), true, said),
        _ => {
            let message = json!({"role": "assistant", "content": said.text, "reasoning_content": said.thought, "tool_calls": calls(said)});
            json!({"id": "a", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": counts(said)})
        }
    };
    body.to_string().into()
}

/// The same as a stream, texts in pieces.
pub(super) fn streamed(kind: ProviderKind, said: &Said) -> Vec<u8> {
    match kind {
        ProviderKind::Anthropic => named(&anthropic_events(said)),
        ProviderKind::Cohere => named(&cohere_events(said)),
        ProviderKind::Bedrock => bedrock_events(said),
        ProviderKind::Gemini => gemini_events(said),
        ProviderKind::Ollama => ollama_lines(said),
        _ => chat_chunks(said),
    }
}

fn has_calls(said: &Said) -> bool {
    !said.calls.is_empty()
}

/// A text, cut in two.
fn pieces(text: &str) -> Vec<&str> {
    let (before, after) = text.split_at(text.floor_char_boundary(text.len() / 2));
    [before, after].into_iter().filter(|piece| !piece.is_empty()).collect()
}

fn arguments(arguments: &Map<String, Value>) -> String {
    Value::Object(arguments.clone()).to_string()
}

fn counts(said: &Said) -> Value {
    json!({"prompt_tokens": said.tokens.0, "completion_tokens": said.tokens.1})
}

/// Calls as OpenAI and Cohere have them.
fn calls(said: &Said) -> Vec<Value> {
    let call = |(at, (name, given)): (usize, &(String, Map<String, Value>))| json!({"index": at, "id": format!("c{at}"), "type": "function", "function": {"name": name, "arguments": arguments(given)}});
    said.calls.iter().enumerate().map(call).collect()
}

fn chat_chunks(said: &Said) -> Vec<u8> {
    let mut deltas: Vec<Value> = Vec::new();
    deltas.extend(pieces(&said.thought).into_iter().map(|piece| json!({"reasoning_content": piece})));
    deltas.extend(pieces(&said.text).into_iter().map(|piece| json!({"content": piece})));
    for (at, (name, given)) in said.calls.iter().enumerate() {
        deltas.push(
            json!({"tool_calls": [{"index": at, "id": format!("c{at}"), "function": {"name": name, "arguments": ""}}]}),
        );
        for piece in pieces(&arguments(given)) {
            deltas.push(json!({"tool_calls": [{"index": at, "function": {"arguments": piece}}]}));
        }
    }
    let mut choices: Vec<Value> =
        deltas.into_iter().map(|delta| json!({"choices": [{"index": 0, "delta": delta}]})).collect();
    choices.push(json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}));
    choices.push(json!({"choices": [], "usage": counts(said)}));
    let mut out = unnamed(&choices);
    out.extend_from_slice(b"data: [DONE]\n\n");
    out
}

fn unnamed(events: &[Value]) -> Vec<u8> {
    events.iter().flat_map(|event| format!("data: {event}\n\n").into_bytes()).collect()
}

fn named(events: &[Value]) -> Vec<u8> {
    let event = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()).into_bytes();
    events.iter().flat_map(event).collect()
}

fn anthropic(said: &Said) -> Value {
    let mut content = Vec::new();
    if !said.thought.is_empty() {
        content.push(json!({"type": "thinking", "thinking": said.thought, "signature": "c2ln"}));
    }
    if !said.text.is_empty() {
        content.push(json!({"type": "text", "text": said.text}));
    }
    for (at, (name, input)) in said.calls.iter().enumerate() {
        content.push(json!({"type": "tool_use", "id": format!("t{at}"), "name": name, "input": input}));
    }
    let stop = if has_calls(said) { "tool_use" } else { "end_turn" };
    json!({"id": "msg", "type": "message", "role": "assistant", "model": "m", "content": content, "stop_reason": stop,
        "stop_sequence": null, "usage": {"input_tokens": said.tokens.0, "output_tokens": said.tokens.1}})
}

fn anthropic_events(said: &Said) -> Vec<Value> {
    let whole = anthropic(said);
    let mut start = whole.clone();
    start["content"] = json!([]);
    start["stop_reason"] = Value::Null;
    let mut events = vec![json!({"type": "message_start", "message": start})];
    for (at, block) in whole["content"].as_array().unwrap().iter().enumerate() {
        let (empty, member, delta, text) = match block["type"].as_str().unwrap() {
            "thinking" => (
                json!({"type": "thinking", "thinking": "", "signature": ""}),
                "thinking",
                "thinking_delta",
                block["thinking"].as_str().unwrap().to_owned(),
            ),
            "text" => {
                (json!({"type": "text", "text": ""}), "text", "text_delta", block["text"].as_str().unwrap().to_owned())
            }
            _ => {
                let mut empty = block.clone();
                empty["input"] = json!({});
                (empty, "partial_json", "input_json_delta", block["input"].to_string())
            }
        };
        events.push(json!({"type": "content_block_start", "index": at, "content_block": empty}));
        let add = |piece| json!({"type": "content_block_delta", "index": at, "delta": {"type": delta, member: piece}});
        events.extend(pieces(&text).into_iter().map(add));
        if let Some(signature) = block.get("signature") {
            let delta = json!({"type": "signature_delta", "signature": signature});
            events.push(json!({"type": "content_block_delta", "index": at, "delta": delta}));
        }
        events.push(json!({"type": "content_block_stop", "index": at}));
    }
    events.push(
        json!({"type": "message_delta", "delta": {"stop_reason": whole["stop_reason"]}, "usage": whole["usage"]}),
    );
    events.push(json!({"type": "message_stop"}));
    events
}

fn bedrock(said: &Said) -> Value {
    let mut content = Vec::new();
    if !said.thought.is_empty() {
        content.push(json!({"reasoningContent": {"reasoningText": {"text": said.thought}}}));
    }
    if !said.text.is_empty() {
        content.push(json!({"text": said.text}));
    }
    for (at, (name, input)) in said.calls.iter().enumerate() {
        content.push(json!({"toolUse": {"toolUseId": format!("t{at}"), "name": name, "input": input}}));
    }
    json!({"output": {"message": {"role": "assistant", "content": content}}, "stopReason": "end_turn",
        "usage": {"inputTokens": said.tokens.0, "outputTokens": said.tokens.1}})
}

fn bedrock_events(said: &Said) -> Vec<u8> {
    let mut out = String::from("event messageStart {\"role\":\"assistant\"}\n");
    let mut at = 0;
    let mut block = |out: &mut String, start: Option<Value>, deltas: Vec<Value>| {
        if let Some(start) = start {
            writeln!(out, "event contentBlockStart {}", json!({"contentBlockIndex": at, "start": start})).unwrap();
        }
        for delta in deltas {
            writeln!(out, "event contentBlockDelta {}", json!({"contentBlockIndex": at, "delta": delta})).unwrap();
        }
        writeln!(out, "event contentBlockStop {}", json!({"contentBlockIndex": at})).unwrap();
        at += 1;
    };
    let thoughts: Vec<Value> =
        pieces(&said.thought).into_iter().map(|piece| json!({"reasoningContent": {"text": piece}})).collect();
    if !thoughts.is_empty() {
        block(&mut out, None, thoughts);
    }
    let texts: Vec<Value> = pieces(&said.text).into_iter().map(|piece| json!({"text": piece})).collect();
    if !texts.is_empty() {
        block(&mut out, None, texts);
    }
    for (name, given) in &said.calls {
        let start = json!({"toolUse": {"toolUseId": format!("t{name}"), "name": name}});
        let inputs = arguments(given);
        block(
            &mut out,
            Some(start),
            pieces(&inputs).into_iter().map(|piece| json!({"toolUse": {"input": piece}})).collect(),
        );
    }
    out.push_str("event messageStop {\"stopReason\":\"end_turn\"}\n");
    writeln!(out, "event metadata {}", json!({"usage": bedrock(said)["usage"]})).unwrap();
    frames::messages(&out)
}

fn parts(said: &Said) -> Vec<Value> {
    let mut parts = Vec::new();
    parts.extend(pieces(&said.thought).into_iter().map(|piece| json!({"text": piece, "thought": true})));
    parts.extend(pieces(&said.text).into_iter().map(|piece| json!({"text": piece})));
    parts.extend(said.calls.iter().map(|(name, given)| json!({"functionCall": {"name": name, "args": given}})));
    parts
}

fn gemini(parts: &[Value], finish: Option<&str>, said: &Said) -> Value {
    json!({"candidates": [{"index": 0, "content": {"role": "model", "parts": parts}, "finishReason": finish}],
        "usageMetadata": {"promptTokenCount": said.tokens.0, "candidatesTokenCount": said.tokens.1}})
}

fn gemini_events(said: &Said) -> Vec<u8> {
    let parts = parts(said);
    let count = parts.len();
    let finish = |at: usize| (at + 1 == count).then_some("STOP");
    let events: Vec<Value> =
        parts.into_iter().enumerate().map(|(at, part)| gemini(&[part], finish(at), said)).collect();
    unnamed(&events)
}

fn cohere_usage(said: &Said) -> Value {
    json!({"billed_units": {"input_tokens": said.tokens.0, "output_tokens": said.tokens.1}})
}

fn cohere(said: &Said) -> Value {
    let mut content = Vec::new();
    if !said.thought.is_empty() {
        content.push(json!({"type": "thinking", "thinking": said.thought}));
    }
    if !said.text.is_empty() {
        content.push(json!({"type": "text", "text": said.text}));
    }
    let message = json!({"role": "assistant", "content": content, "tool_calls": calls(said)});
    json!({"id": "c", "finish_reason": "COMPLETE", "message": message, "usage": cohere_usage(said)})
}

fn cohere_events(said: &Said) -> Vec<Value> {
    let message =
        |kind: &str, at: usize, message: Value| json!({"type": kind, "index": at, "delta": {"message": message}});
    let mut events = vec![message("message-start", 0, json!({"role": "assistant"}))];
    for (at, (kind, text)) in [("thinking", &said.thought), ("text", &said.text)].into_iter().enumerate() {
        events.push(message("content-start", at, json!({"content": {"type": kind, kind: ""}})));
        events.extend(
            pieces(text).into_iter().map(|piece| message("content-delta", at, json!({"content": {kind: piece}}))),
        );
        events.push(json!({"type": "content-end", "index": at}));
    }
    for (at, (call, (_, given))) in calls(said).into_iter().zip(&said.calls).enumerate() {
        let mut begun = call;
        begun["function"]["arguments"] = "".into();
        events.push(message("tool-call-start", at, json!({"tool_calls": begun})));
        for piece in pieces(&arguments(given)) {
            events.push(message("tool-call-delta", at, json!({"tool_calls": {"function": {"arguments": piece}}})));
        }
        events.push(json!({"type": "tool-call-end", "index": at}));
    }
    events.push(json!({"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": cohere_usage(said)}}));
    events
}

fn message(said: &Said) -> Value {
    let calls: Vec<Value> =
        said.calls.iter().map(|(name, given)| json!({"function": {"name": name, "arguments": given}})).collect();
    json!({"role": "assistant", "content": said.text, "thinking": said.thought, "tool_calls": calls})
}

fn ollama(message: &Value, done: bool, said: &Said) -> Value {
    if !done {
        return json!({"model": "m", "message": message, "done": false});
    }
    json!({"model": "m", "message": message, "done": true, "done_reason": "stop", "prompt_eval_count": said.tokens.0,
        "eval_count": said.tokens.1})
}

fn ollama_lines(said: &Said) -> Vec<u8> {
    let mut lines: Vec<Value> = Vec::new();
    lines.extend(pieces(&said.thought).into_iter().map(|piece| json!({"content": "", "thinking": piece})));
    lines.extend(pieces(&said.text).into_iter().map(|piece| json!({"content": piece})));
    for call in message(said)["tool_calls"].as_array().unwrap() {
        lines.push(json!({"content": "", "tool_calls": [call]}));
    }
    let mut lines: Vec<Value> = lines.into_iter().map(|message| ollama(&message, false, said)).collect();
    lines.push(ollama(&json!({"role": "assistant", "content": ""}), true, said));
    lines.iter().flat_map(|line| format!("{line}\n").into_bytes()).collect()
}

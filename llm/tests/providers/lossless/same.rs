//! One dialect on both sides: everything goes on but the model's name.

use std::fmt::Write;

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};
use turnpike_llm::provider::{Operation, ProviderKind};

use super::{events, shown, streamed, text};
use crate::providers::{fixture::Backend, survival};

/// Who speaks what itself. Upstreams of chat completions that take less than OpenAI are in `table.rs`.
const REQUESTS: &[(Operation, ProviderKind)] = &[
    (Operation::Chat, ProviderKind::OpenAI),
    (Operation::Chat, ProviderKind::AzureOpenAI),
    (Operation::Chat, ProviderKind::TogetherAI),
    (Operation::Chat, ProviderKind::Groq),
    (Operation::Chat, ProviderKind::VLLM),
    (Operation::Chat, ProviderKind::HuggingFaceTGI),
    (Operation::Chat, ProviderKind::NvidiaNIM),
    (Operation::Chat, ProviderKind::OpenAICompatible),
    (Operation::Messages, ProviderKind::Anthropic),
    (Operation::Responses, ProviderKind::OpenAI),
    (Operation::Responses, ProviderKind::AzureOpenAI),
    (Operation::GenerateContent, ProviderKind::Gemini),
    (Operation::GenerateContent, ProviderKind::VertexAI),
];
const ANSWERS: &[(Operation, ProviderKind)] = &[
    (Operation::Chat, ProviderKind::OpenAI),
    (Operation::Chat, ProviderKind::Mistral),
    (Operation::Chat, ProviderKind::Groq),
    (Operation::Chat, ProviderKind::Perplexity),
    (Operation::Chat, ProviderKind::DeepSeek),
    (Operation::Chat, ProviderKind::VLLM),
    (Operation::Messages, ProviderKind::Anthropic),
    (Operation::Responses, ProviderKind::OpenAI),
    (Operation::Responses, ProviderKind::AzureOpenAI),
    (Operation::GenerateContent, ProviderKind::Gemini),
    (Operation::GenerateContent, ProviderKind::VertexAI),
];

/// The object with members that nobody knows beside its own.
fn open(own: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Value> {
    let join = |(own, mut all): (Value, serde_json::Map<String, Value>)| {
        all.extend(own.as_object().unwrap().clone());
        Value::Object(all)
    };
    (own, survival::unknown()).prop_map(join).boxed()
}

fn list(of: BoxedStrategy<Value>, most: usize) -> impl Strategy<Value = Value> {
    vec(of, 1..=most).prop_map(Value::from)
}

/// A part of a message by its type, with its text under that name.
fn part(kinds: &'static [(&'static str, &'static str)]) -> BoxedStrategy<Value> {
    let own = (proptest::sample::select(kinds), text());
    open(own.prop_map(|((kind, member), text)| json!({"type": kind, member: text})))
}

fn content(kinds: &'static [(&'static str, &'static str)]) -> impl Strategy<Value = Value> {
    prop_oneof![text().prop_map(Value::from), list(part(kinds), 3)]
}

const CHAT_PARTS: &[(&str, &str)] = &[("text", "text"), ("video_url", "video_url")];
const MESSAGE_PARTS: &[(&str, &str)] = &[("text", "text"), ("thinking", "thinking"), ("brand_new", "data")];
const ITEM_PARTS: &[(&str, &str)] = &[("input_text", "text"), ("input_image", "image_url"), ("brand_new", "data")];

fn chat_request() -> BoxedStrategy<Value> {
    let function =
        open((text(), survival::value()).prop_map(|(name, value)| json!({"name": name, "parameters": value})));
    let tool = open(function.clone().prop_map(|function| json!({"type": "function", "function": function})));
    let called = open((text(), text()).prop_map(|(name, arguments)| json!({"name": name, "arguments": arguments})));
    let call =
        open((text(), called).prop_map(|(id, called)| json!({"id": id, "type": "function", "function": called})));
    let roles = proptest::sample::select(vec!["user", "system", "assistant", "tool"]);
    let message = (roles, content(CHAT_PARTS), list(call, 2)).prop_map(|(role, content, calls)| match role {
        "assistant" => json!({"role": role, "content": content, "tool_calls": calls}),
        "tool" => json!({"role": role, "content": content, "tool_call_id": "c"}),
        _ => json!({"role": role, "content": content}),
    });
    let whole = (list(open(message), 3), list(tool, 2), any::<bool>());
    open(whole.prop_map(|(messages, tools, stream)| {
        let mut body = json!({"model": "m", "messages": messages, "tools": tools, "max_tokens": 5, "temperature": 0.5});
        if stream {
            body["stream"] = true.into();
            body["stream_options"] = json!({"include_usage": true});
        }
        body
    }))
}

fn message_request() -> BoxedStrategy<Value> {
    let roles = proptest::sample::select(vec!["user", "assistant"]);
    let message = (roles, content(MESSAGE_PARTS)).prop_map(|(role, content)| json!({"role": role, "content": content}));
    let tool = (text(), survival::value()).prop_map(|(name, value)| json!({"name": name, "input_schema": value}));
    let whole = (list(open(message), 3), list(open(tool), 2), content(MESSAGE_PARTS), any::<bool>());
    open(whole.prop_map(|(messages, tools, system, stream)| {
        json!({"model": "m", "max_tokens": 5, "messages": messages, "tools": tools, "system": system, "stream": stream,
            "metadata": {"user_id": "u"}})
    }))
}

fn responses_request() -> BoxedStrategy<Value> {
    let kinds = proptest::sample::select(vec!["message", "function_call_output", "brand_new"]);
    let item = (kinds, content(ITEM_PARTS)).prop_map(|(kind, content)| json!({"type": kind, "content": content}));
    let tool = text().prop_map(|name| json!({"type": "web_search", "name": name}));
    let whole = (list(open(item), 3), list(open(tool), 2), any::<bool>());
    open(whole.prop_map(|(input, tools, stream)| {
        json!({"model": "m", "input": input, "tools": tools, "stream": stream, "max_output_tokens": 50})
    }))
}

/// A content with members of which only Google knows what they are.
fn said_by(role: &'static str) -> BoxedStrategy<Value> {
    let blob = open(text().prop_map(|data| json!({"mimeType": "image/png", "data": data})));
    let part = prop_oneof![
        text().prop_map(|text| json!({"text": text, "thoughtSignature": "c2ln"})),
        blob.prop_map(|blob| json!({"inlineData": blob})),
        survival::value().prop_map(|args| json!({"functionCall": {"name": "f", "args": args}})),
        text().prop_map(|data| json!({"brandNew": data})),
    ];
    open(list(open(part), 3).prop_map(move |parts| json!({"role": role, "parts": parts})))
}

fn contents_request() -> BoxedStrategy<Value> {
    let tool =
        survival::value().prop_map(|value| json!({"functionDeclarations": [{"name": "f", "parameters": value}]}));
    let config = open(Just(json!({"maxOutputTokens": 5, "topK": 40.0, "candidateCount": 2})));
    let whole = (list(said_by("user"), 3), list(open(tool), 2), said_by("system"), config);
    open(whole.prop_map(|(contents, tools, system, config)| {
        json!({"contents": contents, "tools": tools, "systemInstruction": system, "generationConfig": config,
            "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}]})
    }))
}

/// What an answer of Gemini's says, or a piece of one.
fn contents_answer(finish: Option<&'static str>) -> BoxedStrategy<Value> {
    let candidate =
        said_by("model").prop_map(move |content| json!({"index": 0, "content": content, "finishReason": finish}));
    let counts = (1..900_u64, 1..900_u64);
    open((list(open(candidate), 2), counts).prop_map(|(candidates, (prompt, answer))| {
        let usage =
            json!({"promptTokenCount": prompt, "candidatesTokenCount": answer, "totalTokenCount": prompt + answer});
        json!({"candidates": candidates, "modelVersion": "m", "responseId": "i", "usageMetadata": usage})
    }))
}

fn request(operation: Operation) -> BoxedStrategy<Value> {
    match operation {
        Operation::GenerateContent => contents_request(),
        Operation::Messages => message_request(),
        Operation::Responses => responses_request(),
        _ => chat_request(),
    }
}

/// A message or a delta of chat completions.
fn chat_message() -> BoxedStrategy<Value> {
    let function = open((text(), text()).prop_map(|(name, arguments)| json!({"name": name, "arguments": arguments})));
    let call = open(function.prop_map(|function| json!({"index": 0, "id": "c", "function": function})));
    let texts = (text(), text());
    open((texts, list(call, 2)).prop_map(|((content, thought), calls)| {
        json!({"role": "assistant", "content": content, "reasoning_content": thought, "tool_calls": calls})
    }))
}

fn usage() -> BoxedStrategy<Value> {
    let counts = (1..900_u64, 1..900_u64);
    open(counts.prop_map(|(input, output)| {
        json!({"prompt_tokens": input, "completion_tokens": output, "input_tokens": input, "output_tokens": output})
    }))
}

/// A whole answer.
fn answer(operation: Operation) -> BoxedStrategy<Value> {
    if operation == Operation::GenerateContent {
        return contents_answer(Some("STOP"));
    }
    let parts = match operation {
        Operation::Messages => list(part(MESSAGE_PARTS), 3).boxed(),
        Operation::Responses => list(part(ITEM_PARTS), 3).boxed(),
        _ => {
            let choice =
                chat_message().prop_map(|message| json!({"index": 0, "message": message, "finish_reason": "stop"}));
            list(open(choice), 2).boxed()
        }
    };
    open((parts, usage()).prop_map(move |(parts, usage)| match operation {
        Operation::Messages => {
            json!({"id": "i", "type": "message", "role": "assistant", "model": "m", "content": parts, "stop_reason": "end_turn", "usage": usage})
        }
        Operation::Responses => {
            json!({"id": "i", "object": "response", "model": "m", "output": parts, "status": "completed", "usage": usage})
        }
        _ => json!({"id": "i", "object": "chat.completion", "model": "m", "choices": parts, "usage": usage}),
    }))
}

/// The events of a streamed answer.
fn stream(operation: Operation) -> BoxedStrategy<Vec<Value>> {
    if operation == Operation::GenerateContent {
        let whole = (vec(contents_answer(None), 0..4), contents_answer(Some("STOP")));
        return whole
            .prop_map(|(mut events, last)| {
                events.push(last);
                events
            })
            .boxed();
    }
    let piece = match operation {
        Operation::Messages => {
            let delta = part(&[("text_delta", "text"), ("thinking_delta", "thinking"), ("brand_new", "data")]);
            open(delta.prop_map(|delta| json!({"type": "content_block_delta", "index": 0, "delta": delta})))
        }
        Operation::Responses => {
            let kinds = proptest::sample::select(vec!["response.output_text.delta", "response.brand_new"]);
            open((kinds, text()).prop_map(|(kind, delta)| json!({"type": kind, "delta": delta})))
        }
        _ => {
            let choice = chat_message().prop_map(|delta| json!({"index": 0, "delta": delta, "finish_reason": null}));
            open(open(choice).prop_map(|choice| json!({"id": "i", "model": "m", "choices": [choice], "usage": null})))
        }
    };
    let whole = (answer(operation), vec(piece, 1..5), usage());
    let join = move |(answer, mut events, usage): (Value, Vec<Value>, Value)| {
        match operation {
            Operation::Messages => {
                events.insert(0, json!({"type": "message_start", "message": answer}));
                events.push(json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}));
                events.push(json!({"type": "message_stop"}));
            }
            Operation::Responses => {
                events.insert(0, json!({"type": "response.created", "response": answer}));
                events.push(json!({"type": "response.completed", "response": answer}));
            }
            _ => {
                events.push(
                    json!({"id": "i", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
                );
                events.push(json!({"id": "i", "model": "m", "choices": [], "usage": usage}));
            }
        }
        events
    };
    whole.prop_map(join).boxed()
}

/// As servers send it.
fn framed(operation: Operation, events: &[Value]) -> String {
    let mut out = String::new();
    for event in events {
        if let Some(name) = event["type"].as_str() {
            writeln!(out, "event: {name}").unwrap();
        }
        write!(out, "data: {event}\n\n").unwrap();
    }
    if operation == Operation::Chat {
        out.push_str("data: [DONE]\n\n");
    }
    out
}

/// The same under the name that the client knows.
fn renamed(mut value: Value) -> Value {
    for place in ["/model", "/message/model", "/response/model", "/modelVersion"] {
        if let Some(model) = value.pointer_mut(place) {
            *model = "shown".into();
        }
    }
    value
}

/// One of the table, with what is made for its dialect.
fn of<T: std::fmt::Debug + Clone + 'static>(
    table: &'static [(Operation, ProviderKind)],
    make: fn(Operation) -> BoxedStrategy<T>,
) -> impl Strategy<Value = (Operation, ProviderKind, T)> {
    let made = move |(operation, kind): (Operation, ProviderKind)| (Just(operation), Just(kind), make(operation));
    proptest::sample::select(table).prop_flat_map(made)
}

proptest! {
    // Bodies are large: few of them hold many members.
    #![proptest_config(ProptestConfig { cases: 50, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests((operation, kind, body) in of(REQUESTS, request), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&body) } else { serde_json::to_string(&body) }.unwrap();
        let sent = Backend::new(kind, "shown").encode(operation, text).unwrap().body.to_bytes();
        prop_assert_eq!(serde_json::from_slice::<Value>(&sent).unwrap(), renamed(body));
    }

    #[test]
    fn answers((operation, kind, body) in of(ANSWERS, answer)) {
        let decoded = kind.adapter().unwrap().decode(operation, Bytes::from(body.to_string()), &shown()).unwrap();
        let usage = decoded.usage.unwrap();
        let count = |places: [&str; 2]| places.iter().find_map(|place| body.pointer(place)?.as_u64());
        prop_assert_eq!(Some(usage.prompt), count(["/usage/prompt_tokens", "/usageMetadata/promptTokenCount"]));
        prop_assert_eq!(Some(usage.completion), count(["/usage/completion_tokens", "/usageMetadata/candidatesTokenCount"]));
        prop_assert_eq!(serde_json::from_slice::<Value>(&decoded.body.to_bytes()).unwrap(), renamed(body));
    }

    #[test]
    fn streams((operation, kind, told) in of(ANSWERS, stream), size in 1..200_usize) {
        let (heard, usage) = streamed(kind, operation, framed(operation, &told).as_bytes(), size);
        prop_assert!(usage.is_some());
        let told: Vec<Value> = told.into_iter().map(renamed).collect();
        prop_assert_eq!(events(&heard), told);
    }
}

//! Whatever the request: no tokenizer counts more than the bound.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Value, json};
use turnpike_llm::{
    bound::{Call, estimate, prompt_bound, prompt_exact},
    provider::{Capabilities, Operation},
    request::Request,
    tokens,
};

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[ -~]{0,80}",
        2 => any::<String>(),
        // What tokenizers are worst at: rare letters, digits, white space, noise.
        1 => "[\u{1f300}-\u{1f6ff}\u{4e00}-\u{9fff}\u{0e00}-\u{0e7f}]{0,40}",
        1 => "[0-9\n\t ]{0,200}",
        1 => "[a-zA-Z0-9+/]{0,200}",
        1 => (text_word(), 1_usize..300).prop_map(|(word, times)| word.repeat(times)),
    ]
}

fn text_word() -> impl Strategy<Value = String> {
    prop_oneof![Just("the ".to_owned()), Just("}{".to_owned()), Just("\u{0}".to_owned()), "\\PC{1,4}"]
}

fn part() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => text().prop_map(|text| json!({"type": "text", "text": text})),
        1 => "[A-Za-z0-9+/]{0,4000}".prop_map(|data| json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{data}")}})),
        1 => text().prop_map(|path| json!({"type": "image_url", "image_url": {"url": format!("https://example.com/{path}"), "detail": "low"}})),
        1 => "[A-Za-z0-9+/]{0,4000}".prop_map(|data| json!({"type": "input_audio", "input_audio": {"data": data, "format": "wav"}})),
        1 => text().prop_map(|id| json!({"type": "file", "file": {"file_id": id, "file_data": "data:application/pdf;base64,AA"}})),
        1 => any_json(),
    ]
}

/// Anything, with keys that mean something elsewhere.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text().prop_map(Value::from)
    ];
    let key = prop_oneof![
        prop::sample::select(vec![
            "url",
            "data",
            "content",
            "text",
            "name",
            "arguments",
            "type",
            "image_url",
            "role",
            "file_data"
        ])
        .prop_map(str::to_owned),
        text()
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn content() -> impl Strategy<Value = Value> {
    prop_oneof![text().prop_map(Value::from), prop::collection::vec(part(), 0..4).prop_map(Value::from), any_json()]
}

/// Items of Responses, with citations in what was answered before.
fn items() -> impl Strategy<Value = Value> {
    let part = prop_oneof![
        2 => text().prop_map(|text| json!({"type": "input_text", "text": text})),
        1 => text().prop_map(|path| json!({"type": "input_image", "image_url": format!("https://example.com/{path}")})),
        1 => (text(), text(), any_json()).prop_map(|(text, url, cited)| {
            json!({"type": "output_text", "text": text, "annotations": [{"type": "url_citation", "url": url}, cited]})
        }),
        1 => any_json(),
    ];
    let content = prop_oneof![text().prop_map(Value::from), prop::collection::vec(part, 0..4).prop_map(Value::from)];
    let item = prop_oneof![
        3 => content.prop_map(|content| json!({"type": "message", "role": "user", "content": content})),
        1 => text().prop_map(|output| json!({"type": "function_call_output", "call_id": "c", "output": output})),
        1 => any_json(),
    ];
    prop_oneof![text().prop_map(Value::from), prop::collection::vec(item, 0..4).prop_map(Value::from), any_json()]
}

fn message() -> impl Strategy<Value = Value> {
    let content = content();
    let call = text().prop_map(
        |arguments| json!([{"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}]),
    );
    let role = prop::sample::select(vec!["system", "user", "assistant", "tool"]);
    (role, content, prop::option::of(call), text()).prop_map(|(role, content, calls, name)| {
        let mut message = json!({"role": role, "content": content, "name": name});
        if let Some(calls) = calls {
            message["tool_calls"] = calls;
        }
        message
    })
}

/// A block of Anthropic's.
fn block() -> impl Strategy<Value = Value> {
    let plain = prop_oneof![
        3 => text().prop_map(|text| json!({"type": "text", "text": text, "cache_control": {"type": "ephemeral"}})),
        2 => "[A-Za-z0-9+/]{0,4000}".prop_map(|data| json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}})),
        1 => text().prop_map(|path| json!({"type": "image", "source": {"type": "url", "url": format!("https://example.com/{path}")}})),
        1 => text().prop_map(|text| json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": text}})),
        1 => any_json(),
    ];
    prop_oneof![
        4 => plain.clone(),
        1 => (text(), any_json()).prop_map(|(name, input)| json!({"type": "tool_use", "id": "t", "name": name, "input": input})),
        1 => prop::collection::vec(plain, 0..3).prop_map(|content| json!({"type": "tool_result", "tool_use_id": "t", "content": content})),
        1 => text().prop_map(|text| json!({"type": "thinking", "thinking": text, "signature": "c2ln"})),
    ]
}

fn anthropics() -> impl Strategy<Value = (Operation, Value)> {
    let content = prop_oneof![text().prop_map(Value::from), prop::collection::vec(block(), 0..4).prop_map(Value::from)];
    let turn = content.clone().prop_map(|content| json!({"role": "user", "content": content}));
    let tools = prop::collection::vec(any_json().prop_map(|schema| json!({"name": "f", "input_schema": schema})), 0..3);
    (prop::collection::vec(turn, 0..4), content, tools).prop_map(|(messages, system, tools)| {
        (
            Operation::Messages,
            json!({"model": "m", "max_tokens": 9, "system": system, "messages": messages, "tools": tools}),
        )
    })
}

fn request() -> impl Strategy<Value = (Operation, Value)> {
    let tools = prop::collection::vec(
        any_json()
            .prop_map(|parameters| json!({"type": "function", "function": {"name": "f", "parameters": parameters}})),
        0..3,
    );
    let input = prop_oneof![
        text().prop_map(Value::from),
        prop::collection::vec(text(), 0..5).prop_map(Value::from),
        prop::collection::vec(any::<u32>(), 0..50).prop_map(Value::from),
        prop::collection::vec(prop::collection::vec(0_u32..200_000, 0..9), 0..5).prop_map(Value::from),
        prop::collection::vec(any_json(), 0..4).prop_map(Value::from),
    ];
    prop_oneof![
        4 => (prop::collection::vec(message(), 0..5), tools).prop_map(|(messages, tools)| (Operation::Chat, json!({"model": "m", "messages": messages, "tools": tools}))),
        4 => anthropics(),
        2 => (items(), content()).prop_map(|(input, instructions)| (Operation::Responses, json!({"model": "m", "input": input, "instructions": instructions}))),
        1 => (text(), prop::collection::vec(any_json(), 0..4)).prop_map(|(query, documents)| (Operation::Rerank, json!({"model": "m", "query": query, "documents": documents}))),
        1 => input.clone().prop_map(|input| (Operation::Completions, json!({"model": "m", "prompt": input}))),
        1 => input.prop_map(|input| (Operation::Embeddings, json!({"model": "m", "input": input}))),
    ]
}

/// As JSON, with all of what is not ASCII escaped or none.
fn written(body: &Value, is_escaped: bool) -> String {
    let body = body.to_string();
    if !is_escaped {
        return body;
    }
    let mut out = String::new();
    for character in body.chars() {
        if character.is_ascii() {
            out.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}").unwrap();
            }
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_tokenizer_counts_more_than_the_bound((operation, body) in request(), is_escaped in any::<bool>()) {
        let request = Request::scan(written(&body, is_escaped).into()).unwrap();
        let capabilities = Capabilities::default();
        // Those of cl100k, of o200k, and one whose tokenizer is not there.
        for model in ["gpt-4", "text-embedding-3-small", "gpt-4o", "o3", "llama-3", "claude-sonnet-4-5"] {
            let call = Call { operation, model, capabilities: &capabilities, params: None };
            let (bound, exact, counted) =
                (prompt_bound(&request, call), prompt_exact(&request, call), tokens::prompt(model, &request));
            prop_assert!(counted <= exact, "{model}: counted {counted}, exact {exact}");
            prop_assert!(exact <= bound, "{model}: exact {exact}, bound {bound}");
            prop_assert!(tokens::rough(&request) <= bound);
            prop_assert!(estimate(&request, call, 1 << 40) <= bound.saturating_add(1024));
        }
    }
}

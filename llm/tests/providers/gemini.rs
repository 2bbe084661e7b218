//! What Google's models are asked, and that what they sign comes back to them.

use std::fmt::Write;

use bytes::Bytes;
use serde_json::{Value, json};
use turnpike_llm::provider::{Operation, ProviderKind, Shown};

use super::fixture::Backend;

fn golden(name: &str, text: &str) {
    insta::with_settings!({ snapshot_path => "../golden", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}

fn gemini(model: &'static str) -> Backend {
    Backend::new(ProviderKind::Gemini, model)
}

fn sent(model: &'static str, body: &Value) -> Result<Value, String> {
    match gemini(model).encode(Operation::Chat, body.to_string()) {
        Ok(encoded) => Ok(serde_json::from_slice(&encoded.body.to_bytes()).unwrap()),
        Err(error) => Err(format!("{error} [{}]", error.param.as_deref().unwrap_or_default())),
    }
}

/// As text, in the order in which it is written.
fn written(model: &'static str, body: &str) -> String {
    match gemini(model).encode(Operation::Chat, body.to_owned()) {
        Ok(encoded) => String::from_utf8(encoded.body.to_bytes().into()).unwrap(),
        Err(error) => format!("refused: {error}"),
    }
}

const SCHEMAS: &[(&str, &str)] = &[
    ("order is kept", r#"{"type":"object","properties":{"z":{"type":"string"},"a":{"type":"string"}}}"#),
    (
        "null in type",
        r#"{"type":"object","properties":{"a":{"type":["string","null"]},"b":{"type":["string","integer","null"]}}}"#,
    ),
    (
        "null in anyOf",
        r#"{"type":"object","properties":{"a":{"description":"A","anyOf":[{"type":"integer"},{"type":"null"}]},"b":{"anyOf":[{"type":"string"},{"type":"integer"},{"type":"null"}],"description":"B","title":"t"}}}"#,
    ),
    (
        "oneOf",
        r#"{"type":"object","properties":{"a":{"oneOf":[{"type":"string"},{"type":"object","properties":{"x":{"type":"number"}}}]}}}"#,
    ),
    (
        "allOf",
        r##"{"$defs":{"n":{"type":"object","properties":{"x":{"type":"number"}},"required":["x"]}},"type":"object","properties":{"a":{"allOf":[{"$ref":"#/$defs/n"},{"required":["y"],"properties":{"y":{"type":"string"}}}],"description":"both"}}}"##,
    ),
    (
        "members that go together",
        r#"{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}},"anyOf":[{"required":["a"]},{"required":["b"]}]}"#,
    ),
    (
        "objects of two kinds",
        r#"{"type":"object","oneOf":[{"properties":{"a":{"type":"string"}}},{"properties":{"b":{"type":"string"}}}]}"#,
    ),
    (
        "unknown members",
        r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","$id":"x","type":"object","strict":true,"additionalProperties":{"type":"string"},"properties":{"a":{"type":"integer","exclusiveMinimum":0,"minimum":1,"multipleOf":2,"examples":[1]}}}"#,
    ),
    (
        "members named like keywords",
        r#"{"type":"object","properties":{"$ref":{"type":"string"},"additionalProperties":{"type":"boolean"},"type":{"type":"string"}},"required":["$ref","type"]}"#,
    ),
    (
        "formats",
        r#"{"type":"object","properties":{"a":{"type":"string","format":"email"},"b":{"type":"string","format":"date-time"},"c":{"type":"integer","format":"int32"},"d":{"type":"number","format":"uuid"}}}"#,
    ),
    (
        "enums",
        r#"{"type":"object","properties":{"a":{"enum":["x","y",null]},"b":{"type":"integer","enum":[1,2],"description":"How many."},"c":{"const":"only"},"d":{"const":true},"e":{"type":"string","enum":["",  "x"]}}}"#,
    ),
    (
        "arrays",
        r#"{"type":"object","properties":{"a":{"type":"array"},"b":{"items":{"type":"integer"},"minItems":1,"maxItems":3,"uniqueItems":true},"c":{"type":"array","prefixItems":[{"type":"string"},{"type":"number"}]},"d":{"type":"array","items":[{"type":"string"}]}}}"#,
    ),
    ("no type", r#"{"type":"object","properties":{"a":{},"b":{"description":"anything"},"c":true}}"#),
    (
        "required that is not there",
        r#"{"type":"object","properties":{"a":{"type":"string"}},"required":["a","b","a"]}"#,
    ),
    ("nothing in it", r#"{"type":"object","properties":{}}"#),
    ("empty", r"{}"),
    (
        "recursive",
        r##"{"type":"object","properties":{"root":{"$ref":"#/definitions/node"}},"definitions":{"node":{"type":"object","properties":{"next":{"$ref":"#/definitions/node","description":"the next"}}}}}"##,
    ),
    ("recursive to the root", r##"{"type":"object","properties":{"child":{"$ref":"#"}}}"##),
    (
        "ref to nothing",
        r##"{"type":"object","properties":{"a":{"$ref":"#/$defs/gone","description":"lost"},"b":{"$ref":"https://example.com/s.json"}}}"##,
    ),
    (
        "ref with escapes",
        r##"{"type":"object","properties":{"a":{"$ref":"#/$defs/a~1b~0c"}},"$defs":{"a/b~c":{"type":"string"}}}"##,
    ),
    ("ref to itself", r##"{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/a"}}}"##),
    ("no schema", r#""text""#),
];

#[test]
fn schemas_are_cut_down() {
    let mut text = String::new();
    for (name, schema) in SCHEMAS {
        let body = format!(
            r#"{{"messages":[{{"role":"user","content":"Hei"}}],"tools":[{{"type":"function","function":{{"name":"f","parameters":{schema}}}}}]}}"#
        );
        let sent = written("gemini-2.5-flash", &body);
        let declared = sent.split_once(r#""functionDeclarations":["#).map_or(sent.as_str(), |(_, rest)| rest);
        writeln!(text, "{name}\n  {schema}\n  {}", declared.trim_end_matches("]}]}")).unwrap();
    }
    golden("gemini_schemas", &text);
}

#[test]
fn references_that_multiply_are_refused() {
    let defs: serde_json::Map<String, Value> = (0..15)
        .map(|at| {
            let next = json!({ "$ref": format!("#/$defs/d{}", at + 1) });
            (format!("d{at}"), json!({ "type": "object", "properties": { "a": next.clone(), "b": next } }))
        })
        .collect();
    let tool = json!({ "name": "f", "parameters": { "$defs": defs, "$ref": "#/$defs/d0" } });
    let body = json!({ "messages": [{ "role": "user", "content": "Hei" }], "tools": [{ "type": "function", "function": tool }] });
    assert_eq!(
        sent("gemini-2.5-flash", &body).unwrap_err(),
        "Invalid value for 'tools[0].function.parameters': it holds too much once its $refs are written out. \
         [tools[0].function.parameters]"
    );
}

#[test]
fn deep_schemas_are_refused() {
    let schema = (0..80).fold(json!({ "type": "string" }), |inner, _| json!({ "type": "array", "items": inner }));
    let schema = json!({ "type": "object", "properties": { "a": schema } });
    let body = json!({ "messages": [{ "role": "user", "content": "Hei" }],
        "tools": [{ "type": "function", "function": { "name": "f", "parameters": schema } }] });
    assert!(sent("gemini-2.5-flash", &body).unwrap_err().contains("nested too deeply"));
}

#[test]
fn each_generation_thinks_in_its_own_way() {
    const MODELS: &[&str] = &[
        "gemini-1.5-pro",
        "gemini-2.0-flash",
        "gemini-2.5-flash",
        "gemini-2.5-flash-image",
        "gemini-2.5-pro",
        "gemini-3-pro-preview",
        "gemini-3-flash-preview",
        "gemini-3.1-pro-preview",
        "gemini-flash-latest",
        "gemma-3-27b-it",
        "tunedModels/mine",
    ];
    let asked = [
        json!({ "reasoning_effort": "none" }),
        json!({ "reasoning_effort": "minimal" }),
        json!({ "reasoning_effort": "medium" }),
        json!({ "reasoning_effort": "max" }),
        json!({ "thinking": { "type": "enabled", "budget_tokens": 50_000 } }),
        json!({ "thinking": { "type": "adaptive" } }),
        json!({ "thinking_config": { "thinking_budget": 7 } }),
    ];
    let mut text = String::new();
    for model in MODELS {
        writeln!(text, "{model}").unwrap();
        for asked in &asked {
            let mut body = asked.clone();
            body["messages"] = json!([{ "role": "user", "content": "Think." }]);
            let told = sent(model, &body).map(|sent| sent["generationConfig"]["thinkingConfig"].to_string());
            writeln!(text, "  {asked}\n    {}", told.unwrap_or_else(|error| error)).unwrap();
        }
    }
    golden("gemini_thinking", &text);
}

#[test]
fn googles_own_members_find_their_places() {
    const CASES: &[(&str, &str)] = &[
        ("safety", r#""safety_settings":[{"category":"HARM_CATEGORY_HARASSMENT","threshold":"BLOCK_NONE"}]"#),
        ("cached content", r#""cached_content":"cachedContents/abc""#),
        (
            "generation config",
            r#""temperature":0.1,"generationConfig":{"temperature":0.7,"top_k":3,"responseModalities":["TEXT"]}"#,
        ),
        (
            "as of Google's endpoint",
            r#""extra_body":{"google":{"thinking_config":{"include_thoughts":true},"cached_content":"cachedContents/abc"}}"#,
        ),
        ("images wanted", r#""modalities":["text","image"],"image_config":{"aspectRatio":"16:9"}"#),
        (
            "search in Google's words",
            r#""tools":[{"googleSearch":{}},{"url_context":{}},{"type":"google_search","google_search":{"exclude_domains":["x.com"]}}]"#,
        ),
        (
            "search in others' words",
            r#""tools":[{"type":"web_search_preview"},{"type":"code_interpreter","container":{"type":"auto"}},{"type":"web_search_20250305","name":"web_search"}]"#,
        ),
        ("a tool of another's", r#""tools":[{"type":"computer_use_preview"}]"#),
        ("limits in Google's words", r#""generationConfig":{"maxOutputTokens":100000}"#),
        ("audio in Google's words", r#""generationConfig":{"responseModalities":["audio"]}"#),
        ("choices in Google's words", r#""extra_body":{"generation_config":{"candidate_count":8}}"#),
        ("penalties", r#""frequency_penalty":0,"presence_penalty":0.5"#),
        (
            "json beside tools",
            r#""response_format":{"type":"json_object"},"tools":[{"type":"function","function":{"name":"now"}}]"#,
        ),
    ];
    let mut text = String::new();
    for model in ["gemini-2.5-flash", "gemini-3-flash-preview"] {
        writeln!(text, "{model}").unwrap();
        for (name, members) in CASES {
            let body = format!(r#"{{"messages":[{{"role":"user","content":"Hei"}}],{members}}}"#);
            writeln!(text, "  {name}: {members}\n    {}", written(model, &body)).unwrap();
        }
    }
    golden("gemini_own_members", &text);
}

#[test]
fn media_go_as_data_or_as_files_of_googles() {
    let mut text = String::new();
    for kind in [ProviderKind::Gemini, ProviderKind::VertexAI] {
        writeln!(text, "{kind:?}").unwrap();
        for part in [
            json!({ "type": "image_url", "image_url": { "url": "gs://bucket/cat.png" } }),
            json!({ "type": "image_url", "image_url": { "url": "https://generativelanguage.googleapis.com/v1beta/files/abc" } }),
            json!({ "type": "image_url", "image_url": { "url": "https://www.youtube.com/watch?v=abc" } }),
            json!({ "type": "image_url", "image_url": { "url": "https://example.com/cat.png" } }),
            json!({ "type": "file", "file": { "file_id": "files/abc", "filename": "a.pdf" } }),
            json!({ "type": "file", "file": { "file_id": "gs://bucket/a.mp4" } }),
            json!({ "type": "file", "file": { "file_id": "file-abc" } }),
            json!({ "type": "file", "file": { "file_data": "data:text/plain;base64,SGVp" } }),
        ] {
            let body = json!({ "messages": [{ "role": "user", "content": [part] }] }).to_string();
            let told = match Backend::new(kind, "gemini-2.5-flash").encode(Operation::Chat, body) {
                Ok(encoded) => String::from_utf8(encoded.body.to_bytes().into()).unwrap(),
                Err(error) => error.to_string(),
            };
            writeln!(text, "  {part}\n    {told}").unwrap();
        }
    }
    golden("gemini_media", &text);
}

/// An answer of Google's as its client saw it.
fn answered(parts: &Value) -> Value {
    let answer = json!({ "candidates": [{ "content": { "role": "model", "parts": parts }, "finishReason": "STOP" }] });
    let adapter = ProviderKind::Gemini.adapter().unwrap();
    let decoded = adapter.decode(Operation::Chat, Bytes::from(answer.to_string()), &Shown::default()).unwrap();
    let seen: Value = serde_json::from_slice(&decoded.body.to_bytes()).unwrap();
    seen["choices"][0]["message"].clone()
}

/// What Google hears of it in the next request.
fn heard(message: &Value) -> Value {
    let mut messages = vec![json!({ "role": "user", "content": "Hei" }), message.clone()];
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        messages.push(json!({ "role": "tool", "tool_call_id": call["id"], "content": "5" }));
    }
    messages.push(json!({ "role": "user", "content": "Go on." }));
    sent("gemini-3-pro-preview", &json!({ "messages": messages })).unwrap()
}

#[test]
fn signatures_of_calls_survive_clients_that_know_ids_only() {
    let parts = json!([
        { "functionCall": { "id": "a1", "name": "now", "args": {} }, "thoughtSignature": "+/+/AQ==" },
        { "functionCall": { "id": "a2", "name": "now", "args": { "at": 1.5 } } },
    ]);
    let mut message = answered(&parts);
    assert_eq!(message["tool_calls"][0]["extra_content"]["google"]["thought_signature"], "+/+/AQ==");
    let whole = heard(&message);
    assert_eq!(whole["contents"][1]["parts"], parts);
    for call in message["tool_calls"].as_array_mut().unwrap() {
        call.as_object_mut().unwrap().remove("extra_content");
    }
    assert_eq!(heard(&message), whole);
    let results = whole["contents"][2]["parts"].as_array().unwrap();
    let ids: Vec<&Value> = results.iter().map(|part| &part["functionResponse"]["id"]).collect();
    assert_eq!(ids, [&json!("a1"), &json!("a2"), &Value::Null]);
}

#[test]
fn signatures_of_texts_come_back_with_the_text() {
    let message =
        answered(&json!([{ "text": "Hm.", "thought": true }, { "text": "Hei.", "thoughtSignature": "AQID" }]));
    let parts = &heard(&message)["contents"][1]["parts"];
    assert_eq!(*parts, json!([{ "text": "Hm.", "thought": true }, { "text": "Hei.", "thoughtSignature": "AQID" }]));
}

#[test]
fn other_providers_signatures_are_not_shown_to_google_nor_googles_to_them() {
    let thinking = |signature: &str| {
        json!({ "messages": [
        { "role": "user", "content": "Hei" },
        { "role": "assistant", "content": "Hei.", "thinking_blocks": [{ "type": "thinking", "thinking": "Hm.", "signature": signature }] },
        { "role": "user", "content": "Go on." },
    ] })
    };
    let parts = sent("gemini-3-pro-preview", &thinking("EqoBCkgI")).unwrap()["contents"][1]["parts"].clone();
    assert_eq!(parts, json!([{ "text": "Hm.", "thought": true }, { "text": "Hei." }]));
    let claude = Backend::new(ProviderKind::Anthropic, "claude-sonnet-4-5");
    let kept = claude.chat(&thinking("EqoBCkgI"))["messages"][1]["content"].clone();
    assert_eq!(kept[0]["signature"], "EqoBCkgI");
    let dropped = claude.chat(&thinking("google:AQID"))["messages"][1]["content"].clone();
    assert_eq!(dropped, json!([{ "type": "text", "text": "Hei." }]));
}

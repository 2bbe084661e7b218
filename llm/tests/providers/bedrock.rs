//! What is Bedrock's alone: what its models differ in, names of exceptions in headers, names of tools and formats that come
//! back as the client's.

use std::fmt::Write;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};
use turnpike_llm::{
    error::ErrorClass,
    price::{cost, lookup},
    provider::{Operation, Provider, ProviderKind, Shown},
};

use super::{fixture::Backend, frames};

const NOVA: &str = "amazon.nova-2-lite-v1:0";
const SONNET_4: &str = "anthropic.claude-sonnet-4-20250514-v1:0";
const SONNET_4_5: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
const SONNET_4_6: &str = "eu.anthropic.claude-sonnet-4-6";
const OPUS_5_5: &str = "global.anthropic.claude-opus-5-5";
const PROFILE: &str = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/k3qn2x9u1c7d";

fn bedrock() -> &'static dyn Provider {
    ProviderKind::Bedrock.adapter().unwrap()
}

fn chat(members: Value) -> Value {
    let mut body = json!({"model": "any", "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hei"}]});
    let Value::Object(members) = members else { panic!("members of a request") };
    body.as_object_mut().unwrap().extend(members);
    body
}

fn tool(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "strict": true, "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": false}}})
}

fn schema() -> Value {
    json!({"type": "json_schema", "json_schema": {"name": "person", "strict": true, "schema": {
        "type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"], "additionalProperties": false}}})
}

/// Each parameter that models differ in, to each model.
#[test]
fn models_differ() {
    let call = json!([{"role": "user", "content": "?"}, {"role": "assistant", "tool_calls": [{"id": "c", "type": "function",
        "function": {"name": "f", "arguments": "{}"}}]}, {"role": "tool", "tool_call_id": "c", "content": ""}]);
    let marked = json!([{"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]}]);
    let asks = [
        ("effort", chat(json!({"reasoning_effort": "xhigh"}))),
        ("effort and few tokens", chat(json!({"reasoning_effort": "high", "max_tokens": 1500}))),
        ("effort and too few tokens", chat(json!({"reasoning_effort": "high", "max_tokens": 1000}))),
        ("budget", chat(json!({"thinking": {"type": "enabled", "budget_tokens": 3000}}))),
        ("no thinking", chat(json!({"reasoning_effort": "none"}))),
        (
            "calls without their thoughts",
            chat(json!({"reasoning_effort": "low", "messages": call, "tools": [tool("f")]})),
        ),
        ("calls without tools", chat(json!({"messages": call}))),
        ("tools forbidden", chat(json!({"messages": call, "tools": [tool("f")], "tool_choice": "none"}))),
        (
            "one tool at a time",
            chat(json!({"tools": [tool("f")], "tool_choice": "required", "parallel_tool_calls": false})),
        ),
        ("a tool", chat(json!({"tools": [tool("f")], "tool_choice": {"type": "function", "function": {"name": "f"}}}))),
        ("schema", chat(json!({"response_format": schema()}))),
        ("schema with thoughts", chat(json!({"response_format": schema(), "reasoning_effort": "low"}))),
        ("marks", chat(json!({"messages": marked}))),
        ("drawing", chat(json!({"temperature": 0.5, "top_p": 0.9, "top_k": 5, "stop": ["END"]}))),
        (
            "own members",
            chat(
                json!({"guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"}, "performanceConfig": {"latency": "optimized"},
            "requestMetadata": {"team": "a"}, "anthropic_beta": ["context-1m-2025-08-07"],
            "additionalModelRequestFields": {"thinking": {"type": "disabled"}, "x": 1}, "reasoning_effort": "low"}),
            ),
        ),
    ];
    let mut text = String::new();
    for (what, body) in asks {
        writeln!(text, "{what}").unwrap();
        for model in [
            SONNET_4,
            SONNET_4_5,
            SONNET_4_6,
            OPUS_5_5,
            NOVA,
            PROFILE,
            "openai.gpt-oss-120b-1:0",
            "meta.llama3-1-70b-instruct-v1:0",
            "mistral.mixtral-8x7b-instruct-v0:1",
            "cohere.command-r-v1:0",
        ] {
            let short = model.rsplit(['.', '/']).next().unwrap();
            match Backend::new(ProviderKind::Bedrock, model).encode(Operation::Chat, body.to_string()) {
                Ok(encoded) => {
                    let mut sent: Value = serde_json::from_slice(&encoded.body.to_bytes()).unwrap();
                    // What all of them have alike.
                    let sent = sent.as_object_mut().unwrap();
                    for (name, common) in [
                        ("messages", json!([{"role": "user", "content": [{"text": "Hei"}]}])),
                        ("system", json!([{"text": "Be brief."}])),
                    ] {
                        if sent.get(name) == Some(&common) {
                            sent.remove(name);
                        }
                    }
                    writeln!(text, "  {short:36} {}", Value::from(sent.clone())).unwrap();
                }
                Err(error) => writeln!(text, "  {short:36} refused: {}", error.param.unwrap()).unwrap(),
            }
        }
    }
    insta::with_settings!({ snapshot_path => "../golden", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("bedrock_models", text);
    });
}

#[test]
fn a_model_is_one_segment_of_the_path() {
    for (model, segment) in [
        (SONNET_4_5, "us.anthropic.claude-sonnet-4-5-20250929-v1%3A0"),
        (PROFILE, "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fk3qn2x9u1c7d"),
    ] {
        let backend = Backend::new(ProviderKind::Bedrock, model);
        for (operation, stream, action) in [
            (Operation::Chat, false, "converse"),
            (Operation::Chat, true, "converse-stream"),
            (Operation::Embeddings, false, "invoke"),
        ] {
            let expected = format!("https://bedrock-runtime.us-east-1.amazonaws.com/model/{segment}/{action}");
            assert_eq!(backend.url(operation, stream), expected);
        }
    }
}

#[test]
fn exceptions_are_named_in_a_header() {
    for (name, status, class) in [
        ("ThrottlingException", 429, ErrorClass::RateLimit),
        ("ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/", 400, ErrorClass::RateLimit),
        ("ServiceQuotaExceededException", 400, ErrorClass::RateLimit),
        ("ModelNotReadyException", 429, ErrorClass::RateLimit),
        ("ModelErrorException", 424, ErrorClass::ServerError),
        ("ModelTimeoutException", 408, ErrorClass::Timeout),
        ("AccessDeniedException", 403, ErrorClass::Authentication),
        ("UnrecognizedClientException", 403, ErrorClass::Authentication),
        ("ExpiredTokenException", 400, ErrorClass::Authentication),
        ("ResourceNotFoundException", 404, ErrorClass::NotFound),
        ("ValidationException", 400, ErrorClass::BadRequest),
        ("SomethingNewException", 400, ErrorClass::BadRequest),
        ("InternalServerException", 500, ErrorClass::ServerError),
        ("ServiceUnavailableException", 503, ErrorClass::ServerError),
    ] {
        let headers = HeaderMap::from_iter([("x-amzn-errortype".parse().unwrap(), HeaderValue::from_static(name))]);
        let error = bedrock().error(StatusCode::from_u16(status).unwrap(), &headers, br#"{"message":"No."}"#);
        assert_eq!((error.class, error.status), (class, status), "{name}");
        assert_eq!(error.kind.as_deref(), name.split(':').next());
    }
}

/// What the client is shown of an answer to its request.
fn told(request: &Value, answer: &Value) -> Value {
    let decoded = bedrock().decode(Operation::Chat, answer.to_string().into(), &shown(request)).unwrap();
    serde_json::from_slice(&decoded.body.to_bytes()).unwrap()
}

fn shown(request: &Value) -> Shown {
    let encoded = Backend::new(ProviderKind::Bedrock, SONNET_4).encode(Operation::Chat, request.to_string()).unwrap();
    Shown { model: "shown".into(), call_id: "call-1".into(), recall: encoded.recall, ..Shown::default() }
}

/// The chunks that the client is shown of a stream.
fn streamed(request: &Value, events: &str) -> Vec<Value> {
    let mut decoder = bedrock().stream(Operation::Chat, shown(request));
    let mut bytes = decoder.push(Bytes::from(frames::messages(events))).unwrap().to_vec();
    bytes.extend_from_slice(&decoder.end().unwrap());
    let lines = str::from_utf8(&bytes).unwrap().lines().filter_map(|line| line.strip_prefix("data: "));
    lines.filter(|line| *line != "[DONE]").map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn answer(content: &Value) -> Value {
    json!({"output": {"message": {"role": "assistant", "content": content}}, "stopReason": "tool_use"})
}

#[test]
fn tools_come_back_under_the_clients_names() {
    let long = "mcp.server/".repeat(9);
    let request = chat(
        json!({"tools": [tool(&long), tool("plain")], "tool_choice": {"type": "function", "function": {"name": long}}}),
    );
    let sent = Backend::new(ProviderKind::Bedrock, SONNET_4).chat(&request);
    let name = sent["toolConfig"]["tools"][0]["toolSpec"]["name"].as_str().unwrap();
    assert!(
        name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)),
        "{name}"
    );
    assert_eq!(sent["toolConfig"]["toolChoice"]["tool"]["name"], name);
    let use_of = |name: &str| json!({"toolUse": {"toolUseId": "t", "name": name, "input": {}}});
    let answer = told(&request, &answer(&json!([use_of(name), use_of("plain")])));
    let calls = &answer["choices"][0]["message"]["tool_calls"];
    assert_eq!((&calls[0]["function"]["name"], &calls[1]["function"]["name"]), (&json!(long), &json!("plain")));
    let start = json!({"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "t", "name": name}}});
    let chunks = streamed(
        &request,
        &format!("event contentBlockStart {start}\nevent messageStop {{\"stopReason\":\"tool_use\"}}\n"),
    );
    assert_eq!(chunks[0]["choices"][0]["delta"]["tool_calls"][0]["function"]["name"], json!(long));
}

#[test]
fn a_format_that_went_as_a_tool_comes_back_as_text() {
    let request = chat(json!({"response_format": schema()}));
    let call = json!({"toolUse": {"toolUseId": "t", "name": "json_tool_call", "input": {"age": 3}}});
    let whole = told(&request, &answer(&json!([call, call])));
    let choice = &whole["choices"][0];
    assert_eq!((&choice["message"]["content"], &choice["finish_reason"]), (&json!("{\"age\":3}"), &json!("stop")));
    assert_eq!(choice["message"].get("tool_calls"), None);
    // A tool of the client's own may have that name.
    let own = told(&chat(json!({"tools": [tool("json_tool_call")]})), &answer(&json!([call])));
    assert_eq!(own["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "json_tool_call");
}

#[test]
fn a_streamed_format_leaves_no_gap_among_calls() {
    let request = chat(json!({"response_format": schema(), "tools": [tool("f")]}));
    let start = |index: u32, name: &str| {
        format!(
            "event contentBlockStart {{\"contentBlockIndex\":{index},\"start\":{{\"toolUse\":{{\"toolUseId\":\"t{index}\",\"name\":\"{name}\"}}}}}}\n"
        )
    };
    let input = |index: u32, json: &str| {
        let delta = json!({"contentBlockIndex": index, "delta": {"toolUse": {"input": json}}});
        format!("event contentBlockDelta {delta}\nevent contentBlockStop {{\"contentBlockIndex\":{index}}}\n")
    };
    let stop = "event messageStop {\"stopReason\":\"tool_use\"}\n";
    let only = format!("{}{}{stop}", start(0, "json_tool_call"), input(0, "{\"age\":3}"));
    let chunks = streamed(&request, &only);
    assert_eq!(chunks[0]["choices"][0]["delta"], json!({"role": "assistant", "content": "{\"age\":3}"}));
    assert_eq!((chunks.len(), &chunks[1]["choices"][0]["finish_reason"]), (2, &json!("stop")));
    let both = [
        start(0, "json_tool_call"),
        input(0, "{\"age\":3}"),
        start(1, "json_tool_call"),
        input(1, "{\"age\":4}"),
        start(2, "f"),
        input(2, "{}"),
        stop.to_owned(),
    ]
    .concat();
    let chunks = streamed(&request, &both);
    let calls: Vec<&Value> = chunks
        .iter()
        .map(|chunk| &chunk["choices"][0]["delta"]["tool_calls"][0])
        .filter(|call| !call.is_null())
        .collect();
    assert_eq!(calls.len(), 2);
    assert!(calls.iter().all(|call| call["index"] == 0));
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");
    assert!(!chunks.iter().any(|chunk| chunk.to_string().contains("age\\\":4")));
}

#[test]
fn documents_have_plain_names_that_differ() {
    let file = |name: &str| json!({"type": "file", "file": {"filename": name, "file_data": "data:application/pdf;base64,JVBERi0="}});
    let content = json!([file("Q1_report (final).pdf"), file("Q1_report (final).pdf"), file("../../etc/passwd"), file(""), {"type": "text", "text": "?"}]);
    let sent = Backend::new(ProviderKind::Bedrock, SONNET_4)
        .chat(&chat(json!({"messages": [{"role": "user", "content": content}]})));
    let blocks = sent["messages"][0]["content"].as_array().unwrap();
    let names: Vec<&str> = blocks.iter().filter_map(|block| block["document"]["name"].as_str()).collect();
    assert_eq!(names, ["Q1 report (final)", "Q1 report (final) (2)", "etc passwd", "document"]);
}

#[test]
fn caches_are_charged_at_their_rates() {
    let body = include_bytes!("bedrock/chat/cached.json");
    let usage = bedrock().decode(Operation::Chat, Bytes::from_static(body), &Shown::default()).unwrap().usage.unwrap();
    let price = lookup(ProviderKind::Bedrock, SONNET_4_5, Some("us-east-1")).unwrap().price();
    // 20 tokens at 3.30 USD a million, 3000 at 0.33, 200 at 4.125, 1000 at 6.60, and 2 at 16.50.
    assert_eq!(cost(&usage, std::time::Duration::ZERO, &price), 66_000 + 990_000 + 825_000 + 6_600_000 + 33_000);
}

#[test]
fn embeddings_of_each_family() {
    let sent = |model: &'static str, body: Value| {
        let encoded = Backend::new(ProviderKind::Bedrock, model).encode(Operation::Embeddings, body.to_string());
        encoded
            .map(|encoded| serde_json::from_slice::<Value>(&encoded.body.to_bytes()).unwrap())
            .map_err(|error| error.param.unwrap().into_owned())
    };
    let two = json!({"model": "m", "input": ["a", "b"]});
    let sized = json!({"model": "m", "input": "a", "dimensions": 256, "normalize": true});
    assert_eq!(sent("amazon.titan-embed-text-v1", sized.clone()), Err("dimensions".to_owned()));
    assert_eq!(
        sent("amazon.titan-embed-text-v2:0", sized.clone()),
        Ok(json!({"normalize": true, "inputText": "a", "dimensions": 256}))
    );
    assert_eq!(
        sent("cohere.embed-english-v3", two.clone()),
        Ok(json!({"texts": ["a", "b"], "input_type": "search_document"}))
    );
    assert_eq!(sent("cohere.embed-english-v3", sized.clone()), Err("dimensions".to_owned()));
    assert_eq!(
        sent(
            "us.cohere.embed-v4:0",
            json!({"model": "m", "input": ["a"], "dimensions": 256, "input_type": "search_query"})
        ),
        Ok(
            json!({"input_type": "search_query", "texts": ["a"], "embedding_types": ["float"], "output_dimension": 256})
        )
    );
}

#[test]
fn texts_for_nova_say_what_they_are_for() {
    const NOVA: &str = "us.amazon.nova-2-multimodal-embeddings-v1:0";
    let sent = |more: Value| {
        let mut body = json!({"model": "m", "input": ["a", "b"]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let encoded =
            Backend::new(ProviderKind::Bedrock, NOVA).encode(Operation::Embeddings, body.to_string()).unwrap();
        assert_eq!(encoded.further.len(), 1);
        serde_json::from_slice::<Value>(&encoded.body.to_bytes()).unwrap()
    };
    let text = json!({"truncationMode": "NONE", "value": "a"});
    let expected = |params: Value| json!({"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": params});
    assert_eq!(sent(json!({})), expected(json!({"embeddingPurpose": "GENERIC_INDEX", "text": text})));
    assert_eq!(
        sent(json!({"dimensions": 384, "input_type": "search_query"})),
        expected(json!({"embeddingPurpose": "GENERIC_RETRIEVAL", "embeddingDimension": 384, "text": text}))
    );
    let answer = Bytes::from_static(br#"{"embeddings":[{"embeddingType":"TEXT","embedding":[0.5,1]}]}"#);
    let joined = bedrock().join(Operation::Embeddings, &[answer.clone(), answer], &Shown::default()).unwrap();
    let body: Value = serde_json::from_slice(&joined.body.to_bytes()).unwrap();
    assert_eq!((body["data"].as_array().unwrap().len(), &body["data"][1]["embedding"]), (2, &json!([0.5, 1])));
    assert_eq!(joined.usage, None, "the gateway estimates it");
}

#[test]
fn texts_that_go_one_a_call_come_back_as_one_answer() {
    let titan = Backend::new(ProviderKind::Bedrock, "amazon.titan-embed-text-v2:0");
    let asked = |inputs: Value, others: &str| {
        titan.encode(
            Operation::Embeddings,
            json!({"input": inputs, "model": "m", "dimensions": 2, "x": others}).to_string(),
        )
    };
    let encoded = asked(json!(["a", "b", "c"]), "y").unwrap();
    let sent: Vec<Value> = std::iter::once(&encoded.body)
        .chain(&encoded.further)
        .map(|body| serde_json::from_slice(&body.to_bytes()).unwrap())
        .collect();
    let one = |text: &str| json!({"x": "y", "dimensions": 2, "inputText": text});
    assert_eq!(sent, [one("a"), one("b"), one("c")]);
    assert!(asked(json!(["a"]), "y").unwrap().further.is_empty());
    let many = |count: usize| json!(vec!["a"; count]);
    assert_eq!(asked(many(2048), "y").unwrap().further.len(), 2047);
    assert_eq!(asked(many(2049), "y").unwrap_err().param.unwrap(), "input");
    assert_eq!(asked(many(2), &"y".repeat(5000)).unwrap_err().param.unwrap(), "input");

    let answers =
        [r#"{"embedding":[0.5,1],"inputTextTokenCount":3}"#, r#"{"embedding":[2,-1],"inputTextTokenCount":4}"#];
    let bodies = answers.map(|body| Bytes::from_static(body.as_bytes()));
    let joined = bedrock().join(Operation::Embeddings, &bodies, &Shown::default()).unwrap();
    assert_eq!(joined.usage.unwrap().prompt, 7);
    let body: Value = serde_json::from_slice(&joined.body.to_bytes()).unwrap();
    let vectors: Vec<&Value> = body["data"].as_array().unwrap().iter().map(|datum| &datum["embedding"]).collect();
    assert_eq!((vectors, &body["data"][1]["index"]), (vec![&json!([0.5, 1]), &json!([2, -1])], &json!(1)));
    // One that does not tell its tokens, and one that is none.
    let silent = [bodies[0].clone(), Bytes::from_static(br#"{"embedding":[1]}"#)];
    assert_eq!(bedrock().join(Operation::Embeddings, &silent, &Shown::default()).unwrap().usage, None);
    let broken = [bodies[0].clone(), Bytes::from_static(br#"{"embeddings":[[1],[2]]}"#)];
    assert!(bedrock().join(Operation::Embeddings, &broken, &Shown::default()).is_err());
}

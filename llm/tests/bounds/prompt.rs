//! The bound of a prompt, part by part.

use bytes::Bytes;
use serde_json::{Value, json};
use turnpike_llm::{
    bound::{Call, estimate, prompt_bound, prompt_exact},
    provider::{Capabilities, Operation},
    request::Request,
};

const WINDOW: u64 = 128_000;
/// What surrounds one message at most.
const AROUND: u64 = 256 + 16;

fn scan(body: impl Into<Bytes>) -> Request {
    Request::scan(body.into()).unwrap()
}

fn of(operation: Operation, model: &str, window: Option<u64>, body: &str) -> u64 {
    let capabilities = Capabilities { context_window: window, ..Capabilities::default() };
    let call = Call { operation, model, capabilities: &capabilities, params: None };
    let request = scan(body.to_owned());
    let bound = prompt_bound(&request, call);
    assert!(prompt_exact(&request, call) <= bound, "{body}");
    bound
}

fn chat(content: &Value) -> String {
    json!({"messages": [{"role": "user", "content": content}]}).to_string()
}

fn bound(content: &Value) -> u64 {
    of(Operation::Chat, "gpt-4o", Some(WINDOW), &chat(content))
}

fn image(url: &str) -> Value {
    json!([{"type": "image_url", "image_url": {"url": url}}])
}

#[test]
fn text_costs_at_most_a_token_a_byte() {
    let body = chat(&json!("hi"));
    assert_eq!(bound(&json!("hi")), body.len() as u64 + AROUND);
    assert_eq!(of(Operation::Chat, "any", None, &body), body.len() as u64 + AROUND);
    // More than the window is refused by the upstream.
    assert_eq!(bound(&json!("x".repeat(200_000))), WINDOW);
}

#[test]
fn images_cost_what_the_model_makes_of_the_largest_whatever_their_bytes() {
    let small = bound(&image("data:image/png;base64,AAAA"));
    let large = bound(&image(&format!("data:image/png;base64,{}", "A".repeat(3 << 20))));
    assert_eq!(small, large);
    let url = "https://example.com/a.png";
    assert_eq!(bound(&image(url)), small + url.len() as u64);
    for (model, tokens) in [
        ("gpt-4o", 1445),
        ("gpt-4o-2024-08-06", 1445),
        ("openai/gpt-4o-mini", 48_169),
        ("gpt-4.1-mini", 2489),
        ("gpt-5", 1190),
        // Another generation may cut images in another way.
        ("gpt-5.9", 16_384),
        ("o3", 1275),
        ("qwen2-vl", 16_384),
    ] {
        let with = of(Operation::Chat, model, None, &chat(&image("data:image/png;base64,AAAA")));
        let without = of(Operation::Chat, model, None, &chat(&json!([{"type": "text", "image_url": {"urx": ""}}])));
        assert_eq!(with, without + tokens + "image_url".len() as u64 - "text".len() as u64, "{model}");
    }
    // Mistral takes the URL without an object around it.
    let short = json!([{"type": "image_url", "image_url": format!("data:image/png;base64,{}", "A".repeat(1 << 20))}]);
    assert!(bound(&short) < 2000, "{}", bound(&short));
}

#[test]
fn base64_anywhere_else_is_text() {
    let data = format!("data:image/png;base64,{}", "A".repeat(9000));
    for content in [
        json!(data),
        json!([{"type": "text", "text": data}]),
        json!([{"type": "text", "text": "x", "a": {"image_url": {"url": data}}}]),
    ] {
        assert!(bound(&content) > 9000, "{content:.80}");
    }
    let tool = json!({"messages": [], "tools": [{"type": "function", "function": {"name": "f", "parameters": {"image_url": {"url": data}}}}]});
    assert!(of(Operation::Chat, "gpt-4o", Some(WINDOW), &tool.to_string()) > 9000);
}

#[test]
fn what_is_only_referred_to_may_fill_the_window() {
    for content in [
        json!([{"type": "file", "file": {"file_id": "file-1"}}]),
        json!([{"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}}]),
        json!([{"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}}]),
        json!([{"video_url": {"url": "https://example.com/a.mp4"}}]),
        json!([{"type": "some_new_part", "x": 1}]),
        image("gs://bucket/image"),
        image("data:application/pdf;base64,AAAA"),
    ] {
        assert_eq!(bound(&content), WINDOW, "{content}");
        assert_eq!(of(Operation::Chat, "gpt-4o", None, &chat(&content)), 1 << 20, "{content}");
    }
    for body in [
        json!({"messages": [], "previous_response_id": "r"}),
        json!({"messages": [], "web_search_options": {}}),
        json!({"messages": [], "tools": [{"type": "web_search"}]}),
        json!({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}),
    ] {
        assert_eq!(of(Operation::Chat, "gpt-4o", Some(WINDOW), &body.to_string()), WINDOW, "{body}");
    }
}

#[test]
fn a_key_that_is_spelled_with_escapes_hides_nothing() {
    for body in [
        r#"{"messages":[{"content":[{"type":"text","im\u0061ge_url":{"url":"https://a"}}]}]}"#,
        r#"{"messages":[{"content":[{"type":"im\u0061ge_url","image_url":{"\u0075rl":"https://a"}}]}]}"#,
        r#"{"mess\u0061ges":[{"content":[{"type":"file","file":{"file_id":"f"}}]}]}"#,
        r#"{"messages":[],"tools":[{"t\u0079pe":"web_search"}]}"#,
    ] {
        assert_eq!(of(Operation::Chat, "gpt-4o", Some(WINDOW), body), WINDOW, "{body}");
    }
}

#[test]
fn sound_is_counted_by_its_size() {
    let sound =
        |bytes: usize| json!([{"type": "input_audio", "input_audio": {"data": "A".repeat(bytes), "format": "mp3"}}]);
    assert_eq!(bound(&sound(88_000)) - bound(&sound(8000)), 10_000);
}

#[test]
fn messages_and_tools_cost_something_around_them() {
    let two = json!({"messages": [{"role": "user", "content": "hi"}, {"role": "user", "content": "hi"}]}).to_string();
    assert_eq!(of(Operation::Chat, "gpt-4o", None, &two), two.len() as u64 + AROUND + 16);
    let tools = json!({"messages": [{"role": "user", "content": "hi"}], "tools": [{"type": "function", "function": {"name": "f"}}]});
    let tools = tools.to_string();
    assert_eq!(of(Operation::Chat, "gpt-4o", None, &tools), tools.len() as u64 + AROUND + 1024 + 64);
}

#[test]
fn every_prompt_of_several_may_fill_the_window() {
    let body = json!({"prompt": ["a".repeat(5000), "b"]}).to_string();
    assert_eq!(of(Operation::Completions, "m", Some(1000), &body), 2000);
    let tokens = json!({"prompt": vec![1; 5000]}).to_string();
    assert_eq!(of(Operation::Completions, "m", Some(1000), &tokens), 1000);
    let texts = json!({"input": ["a".repeat(5000), "b"]}).to_string();
    assert_eq!(of(Operation::Embeddings, "m", Some(1000), &texts), texts.len() as u64 + 256);
    let media = json!({"input": [{"image": "https://example.com/a.png"}]}).to_string();
    assert_eq!(of(Operation::Embeddings, "m", Some(100_000), &media), 100_000);
}

#[test]
fn the_tokenizer_says_less_than_the_bytes_and_not_too_little() {
    let text = "The quick brown fox jumps over the lazy dog. ".repeat(100);
    let request = scan(chat(&json!(text)));
    let capabilities = Capabilities::default();
    let call = Call { operation: Operation::Chat, model: "gpt-4o", capabilities: &capabilities, params: None };
    let (tokens, exact) = (turnpike_llm::tokens::prompt("gpt-4o", &request), prompt_exact(&request, call));
    assert!((tokens..tokens + tokens / 10 + AROUND + 32).contains(&exact), "{tokens} {exact}");
    // Whose tokenizer is not there gets twice as much room, and a token for each byte that is not ASCII.
    let other = Call { model: "llama", ..call };
    assert!(prompt_exact(&request, other) > 2 * tokens - 32);
    let japanese = scan(chat(&json!("お誕生日おめでとう".repeat(100))));
    assert!(prompt_exact(&japanese, other) > 2700);
    assert!(prompt_exact(&japanese, call) < 1400);
}

#[test]
fn rates_count_an_estimate() {
    let capabilities = Capabilities::default();
    let call = Call { operation: Operation::Chat, model: "gpt-4o", capabilities: &capabilities, params: None };
    let body = chat(&json!("x".repeat(4000)));
    let (request, text) = (scan(body.clone()), body.len() as u64 / 4);
    assert_eq!(estimate(&request, call, 1_000_000), text + 1024);
    assert_eq!(estimate(&request, call, 1000), text + 250);
    let asked = json!({"messages": [], "max_tokens": 8}).to_string();
    assert_eq!(estimate(&scan(asked.clone()), call, 1000), asked.len() as u64 / 4 + 8);
    let seen = scan(chat(&image(&format!("data:image/png;base64,{}", "A".repeat(1 << 20)))));
    assert!(estimate(&seen, call, 1000) < 1100, "an image's bytes are no text");
}

fn messages(content: &Value) -> u64 {
    let body = json!({"max_tokens": 9, "system": "Be brief.", "messages": [{"role": "user", "content": content}]});
    of(Operation::Messages, "claude-sonnet-4-5", Some(WINDOW), &body.to_string())
}

#[test]
fn anthropic_s_blocks_are_told_apart() {
    let image =
        |data: &str| json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}});
    let result = |content: Value| json!([{"type": "tool_result", "tool_use_id": "t", "content": content}]);
    let large = "A".repeat(3 << 20);
    for wrapped in [
        |image| json!([image]),
        |image: Value| json!([{"type": "tool_result", "tool_use_id": "t", "content": [image]}]),
    ] {
        let small = messages(&wrapped(image("AAAA")));
        assert_eq!(messages(&wrapped(image(&large))), small);
        assert!((4784..8000).contains(&small), "{small}");
    }
    let call = json!([{"type": "tool_use", "id": "t", "name": "f", "input": {"filter": {"type": "odd"}, "list": [{"type": "odd"}]}}]);
    let written = r#"[{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}]"#;
    let request = format!(r#"{{"messages": [{{"role": "user", "content": {written}}}]}}"#);
    assert!(of(Operation::Messages, "claude-sonnet-4-5", Some(WINDOW), &request) < 8000, "the other order");
    let texts = json!([{"type": "text", "text": "hi"}]);
    let document = json!([{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "hi"}}]);
    for plain in [json!("hi"), texts.clone(), call, result(json!("hi")), result(texts), document] {
        assert!(messages(&plain) < 2000, "{plain}");
    }
    assert!(messages(&json!([{"type": "text", "text": large}])) == WINDOW);
}

#[test]
fn what_is_no_text_or_image_of_anthropic_s_may_fill_the_window() {
    let data = "A".repeat(9000);
    for content in [
        json!([{"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": data}}]),
        json!([{"type": "image", "source": {"type": "file", "file_id": "file_1"}}]),
        json!([{"type": "image", "source": {"type": "base64", "media_type": "application/pdf", "data": data}}]),
        json!([{"type": "image", "source": {"type": "text", "media_type": "image/png", "data": data}}]),
        json!([{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}}]}]),
    ] {
        assert_eq!(messages(&content), WINDOW, "{content:.80}");
    }
    // To every other dialect the parts are of an unknown type.
    let image = json!([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}]);
    assert_eq!(bound(&image), WINDOW);
}

#[test]
fn items_of_responses_are_bound_by_what_they_hold() {
    let items = |input: Value| of(Operation::Responses, "m", Some(WINDOW), &json!({"input": input}).to_string());
    let part = |content: Value| items(json!([{"type": "message", "role": "user", "content": [content]}]));
    assert!(items(json!("Hi")) < 1000);
    let result = json!({"type": "function_call_output", "call_id": "c", "output": "x"});
    assert!(items(json!([{"role": "user", "content": "Hi"}, result])) < 1000);
    let image = |data: &str| part(json!({"type": "input_image", "image_url": format!("data:image/png;base64,{data}")}));
    assert_eq!(image("AAAA"), image(&"A".repeat(3 << 20)), "whatever its bytes");
    // What they refer to may fill the window.
    for refers in [
        items(json!([{"type": "item_reference", "id": "i"}])),
        items(json!([{"image": "https://example.com/a.png"}])),
        part(json!({"type": "input_file", "file_url": "https://example.com/a.pdf"})),
        part(json!({"type": "input_image", "file_id": "f"})),
    ] {
        assert_eq!(refers, WINDOW);
    }
    assert_eq!(of(Operation::CountTokens, "m", Some(WINDOW), &chat(&json!("Hi"))), 0);
}

#[test]
fn contents_are_read_as_messages_are() {
    let bound = |body: &Value| {
        let capabilities = Capabilities { context_window: Some(WINDOW), ..Capabilities::default() };
        let operation = Operation::GenerateContent;
        let call = Call { operation, model: "gemini-2.5-flash", capabilities: &capabilities, params: None };
        let request = Request::scan_contents(body.to_string().into(), false).unwrap();
        let bound = prompt_bound(&request, call);
        assert!(prompt_exact(&request, call) <= bound, "{body}");
        bound
    };
    let said = |part: Value| json!({"contents": [{"role": "user", "parts": [part]}]});
    let text = said(json!({"text": "hi"}));
    assert_eq!(bound(&text), text.to_string().len() as u64 + AROUND);
    let blob = |kind: &str, size: usize| said(json!({"inlineData": {"mimeType": kind, "data": "A".repeat(size)}}));
    let image = bound(&blob("image/png", 4));
    assert_eq!(image, bound(&blob("image/png", 3 << 20)), "an image costs what it shows");
    assert!(image > bound(&text));
    assert!(bound(&blob("audio/wav", 80_000)) > bound(&blob("audio/wav", 8)));
    // What cannot be told from here may fill the window.
    for unknown in [
        blob("application/pdf", 4),
        blob("video/mp4", 4),
        said(json!({"fileData": {"fileUri": "files/a"}})),
        said(json!({"brandNew": "x"})),
        json!({"contents": {"parts": {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}}}),
        json!({"contents": [], "cachedContent": "cachedContents/a"}),
        json!({"contents": [], "tools": [{"googleSearch": {}}]}),
        json!({"contents": [], "tools": {"googleSearch": {}}}),
        json!({"contents": [], "systemInstruction": {"parts": [{"fileData": {"fileUri": "files/a"}}]}}),
    ] {
        assert_eq!(bound(&unknown), WINDOW, "{unknown}");
    }
    let tools = json!({"contents": [], "tools": [{"functionDeclarations": [{"name": "f", "parameters": {}}]}]});
    assert!(bound(&tools) < 2500, "functions are text");
}

//! What is seen of requests in each dialect, without reading more than is wanted.

use bytes::Bytes;
use serde_json::{Value, json};
use turnpike_llm::{
    features::{self, Features, Wanted},
    provider::Operation,
    request::Request,
};

fn features(operation: Operation, body: &Value, wanted: Wanted<'_>) -> Features {
    features::of(operation, &Request::scan(Bytes::from(body.to_string())).unwrap(), wanted)
}

fn prefix(operation: Operation, body: &Value) -> u64 {
    features(operation, body, Wanted { prefix: true, words: None }).prefix.unwrap()
}

fn words(operation: Operation, body: &Value) -> (u64, bool) {
    let keywords = ["analyze".into(), "step by step".into(), "分析".into()];
    let found = features(operation, body, Wanted { prefix: false, words: Some(&keywords) });
    (found.words, found.is_complex)
}

fn said(text: &str) -> (u64, bool) {
    words(Operation::Chat, &json!({"messages": [{"role": "user", "content": text}]}))
}

#[test]
fn needs_are_found_in_each_dialect() {
    let image = "data:image/png;base64,".to_owned() + &"A".repeat(1 << 20);
    let schema = json!({"type": "json_schema", "schema": {}});
    let chat = json!({
        "messages": [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": image}}]}],
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}},
        "max_tokens": 9,
    });
    let messages = json!({
        "messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A".repeat(1 << 20)}}]}],
        "tools": [{"name": "f", "input_schema": {}}],
        "output_config": {"format": schema},
        "max_tokens": 9,
    });
    let responses = json!({
        "input": [{"role": "user", "content": [{"type": "input_image", "image_url": image}]}],
        "tools": [{"type": "function", "name": "f"}],
        "text": {"format": schema},
        "max_output_tokens": 9,
    });
    let cases = [(Operation::Chat, chat), (Operation::Messages, messages), (Operation::Responses, responses)];
    for (operation, body) in cases {
        let found = features(operation, &body, Wanted::default());
        assert!(found.has_images && found.has_tools && found.wants_schema, "{operation:?}: {found:?}");
        assert_eq!(found.output_tokens, Some(9), "{operation:?}");
        // The image counts by what it shows, not by its megabyte.
        assert!((765..2000).contains(&found.prompt_tokens), "{operation:?}: {found:?}");
        assert_eq!((found.prefix, found.words, found.is_complex), (None, 0, false), "{operation:?}");
    }
    let plain = features(
        Operation::Chat,
        &json!({"messages": [{"role": "user", "content": "x".repeat(4000)}]}),
        Wanted::default(),
    );
    assert!(plain.prompt_tokens.abs_diff(1000) < 20, "{plain:?}");
    assert!(!plain.has_images && !plain.has_tools && !plain.wants_schema);
}

#[test]
fn a_conversation_keeps_its_prefix_from_turn_to_turn() {
    let system = json!({"role": "system", "content": "Be brief."});
    let first = json!({"role": "user", "content": "Who was Ada?"});
    let more = json!([system, first, {"role": "assistant", "content": "A mathematician."}, {"role": "user", "content": "When?"}]);
    let one = prefix(Operation::Chat, &json!({"model": "a", "messages": [system, first]}));
    assert_eq!(prefix(Operation::Chat, &json!({"messages": more, "temperature": 1})), one);
    let other = json!([system, {"role": "user", "content": "Who was Bob?"}]);
    assert_ne!(prefix(Operation::Chat, &json!({"messages": other})), one);
    let elsewhere = json!([{"role": "system", "content": "Be long."}, first]);
    assert_ne!(prefix(Operation::Chat, &json!({"messages": elsewhere})), one);
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    assert_ne!(prefix(Operation::Chat, &json!({"messages": [system, first], "tools": tools})), one);
    // Marks of what is to be cached move from turn to turn and are no text.
    let marked = |mark: bool| {
        let mut part = json!({"type": "text", "text": "Who was Ada?"});
        if mark {
            part["cache_control"] = json!({"type": "ephemeral"});
        }
        prefix(Operation::Messages, &json!({"system": "Be brief.", "messages": [{"role": "user", "content": [part]}]}))
    };
    assert_eq!(marked(true), marked(false));
    let responses = |input: Value| prefix(Operation::Responses, &json!({"instructions": "Be brief.", "input": input}));
    assert_eq!(responses(json!([first])), responses(json!([first, {"role": "assistant", "content": "Hm."}])));
}

#[test]
fn questions_about_one_long_document_share_a_prefix() {
    let about = |question: &str| {
        let text = "A long document. ".repeat(100) + question;
        prefix(Operation::Chat, &json!({"messages": [{"role": "user", "content": text}]}))
    };
    assert_eq!(about("Who?"), about("When?"));
    assert_ne!(
        prefix(Operation::Completions, &json!({"prompt": "Who?"})),
        prefix(Operation::Completions, &json!({"prompt": "When?"}))
    );
}

#[test]
fn words_are_those_of_the_user() {
    let chat = json!({"messages": [
        {"role": "system", "content": "You analyze everything that you are given."},
        {"role": "user", "content": "One two\nthree"},
        {"role": "assistant", "content": "Let me analyze it step by step."},
        {"role": "user", "content": [{"type": "text", "text": "four"}, {"type": "text", "text": "five"}]},
    ]});
    assert_eq!(words(Operation::Chat, &chat), (5, false));
    let messages = json!({"system": "Analyze.", "messages": [{"role": "user", "content": "one two"}]});
    assert_eq!(words(Operation::Messages, &messages), (2, false));
    assert_eq!(words(Operation::Responses, &json!({"instructions": "Analyze.", "input": "one two"})), (2, false));
    assert_eq!(
        words(
            Operation::Responses,
            &json!({"input": [{"role": "user", "content": [{"type": "input_text", "text": "Analyze it"}]}]})
        ),
        (2, true)
    );
    assert_eq!(words(Operation::Completions, &json!({"prompt": ["one two", "three"]})), (3, false));
    // Ten characters without a space are five words.
    assert_eq!(said("今日東京天気如何何時").0, 5);
}

#[test]
fn a_prompt_is_complex_by_its_words_its_code_or_by_request() {
    for text in [
        "ANALYZE this",
        "please analyze.",
        "Think Step by Step",
        "请分析一下",
        "fix:\n```\nx\n```",
        "why?\ndef f():\n  pass",
    ] {
        assert!(said(text).1, "{text}");
    }
    for text in ["analyzed", "reanalyze", "hello", "step by", ""] {
        assert!(!said(text).1, "{text}");
    }
    // Only the beginning of a long text is searched, all of it is counted.
    let long = "word ".repeat(20_000) + "analyze";
    assert_eq!(said(&long), (20_001, false));
    let asked = |operation, name: &str, value: Value| {
        let mut body = json!({"messages": [{"role": "user", "content": "hi"}]});
        body[name] = value;
        words(operation, &body).1
    };
    assert!(asked(Operation::Chat, "reasoning_effort", json!("high")));
    assert!(!asked(Operation::Chat, "reasoning_effort", json!("low")));
    assert!(asked(Operation::Responses, "reasoning", json!({"effort": "medium"})));
    assert!(asked(Operation::Messages, "thinking", json!({"type": "enabled", "budget_tokens": 2048})));
    assert!(!asked(Operation::Messages, "thinking", json!({"type": "disabled"})));
}

#[test]
fn odd_requests_have_no_features_and_are_no_error() {
    for body in [
        json!({"messages": 7}),
        json!({"messages": [7, "x", [], {}]}),
        json!({}),
        json!({"input": [[1, 2]]}),
        json!({"text": "x"}),
    ] {
        let found = features(Operation::Chat, &body, Wanted { prefix: true, words: Some(&[]) });
        assert!(!found.is_complex && !found.has_tools, "{body}");
    }
}

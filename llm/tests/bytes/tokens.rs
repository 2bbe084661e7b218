//! Estimates against counts known from OpenAI's tokenizer.

use bytes::Bytes;
use serde_json::{Value, json};
use turnpike_llm::{request::Request, stream::Tape, tokens};

fn prompt(body: &Value) -> u64 {
    tokens::prompt("gpt-4o", &Request::scan(Bytes::from(body.to_string())).unwrap())
}

#[test]
fn counts_as_the_models_tokenizer_does() {
    // "tiktoken is great!" is the example of OpenAI's cookbook: 6 tokens in both.
    assert_eq!(tokens::count("gpt-4o", "tiktoken is great!"), 6);
    assert_eq!(tokens::count("gpt-4", "tiktoken is great!"), 6);
    // The cookbook's comparison of encodings.
    assert_eq!(tokens::count("gpt-3.5-turbo", "お誕生日おめでとう"), 9);
    assert_eq!(tokens::count("gpt-4o", "お誕生日おめでとう"), 8);
    assert_eq!(tokens::count("openai/gpt-4", "お誕生日おめでとう"), 9);
    assert_eq!(tokens::count("text-embedding-3-small", "お誕生日おめでとう"), 9);
    assert_eq!(tokens::count("llama-3", "お誕生日おめでとう"), 8);
    assert_eq!(tokens::count("gpt-4.1", ""), 0);
}

#[test]
fn long_texts_are_estimated() {
    assert_eq!(tokens::count("gpt-4o", &"a ".repeat(1 << 20)), (2 << 20) / 4);
}

#[test]
fn counts_a_prompt_as_the_cookbook_does() {
    // Its example_messages: 124 tokens for gpt-4o, by the API's own count.
    let messages = json!([
        {"role": "system", "content": "You are a helpful, pattern-following assistant that translates corporate jargon into plain English."},
        {"role": "system", "name": "example_user", "content": "New synergies will help drive top-line growth."},
        {"role": "system", "name": "example_assistant", "content": "Things working well together will increase revenue."},
        {"role": "system", "name": "example_user", "content": "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."},
        {"role": "system", "name": "example_assistant", "content": "Let's talk later when we're less busy about how to do better."},
        {"role": "user", "content": "This late pivot means we don't have time to boil the ocean for the client deliverable."},
    ]);
    let counted = prompt(&json!({"messages": messages}));
    assert!(counted.abs_diff(124) <= 5, "{counted}");
}

#[test]
fn counts_parts_images_tools_and_inputs() {
    let one = prompt(&json!({"messages": [{"role": "user", "content": "hi"}]}));
    assert_eq!(one, 3 + 3 + 1 + 1);
    let parts = json!([{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,".to_owned() + &"A".repeat(2 << 20)}}]);
    assert_eq!(prompt(&json!({"messages": [{"role": "user", "content": parts}]})), one + 765);
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {}}}]);
    assert!(prompt(&json!({"messages": [{"role": "user", "content": "hi"}], "tools": tools})) > one + 10);
    assert_eq!(prompt(&json!({"prompt": "hi"})), 1);
    assert_eq!(prompt(&json!({"input": ["hi", "hi"]})), 2);
    assert_eq!(prompt(&json!({"input": [1, 2, 3]})), 3);
    assert_eq!(prompt(&json!({"input": [[1, 2], [3]]})), 3);
    assert_eq!(prompt(&json!({"input": null, "messages": 7})), 0);
    let shown =
        json!([{"role": "user", "content": [{"type": "input_image", "image_url": "https://example.com/a.png"}]}]);
    assert_eq!(prompt(&json!({"input": shown})), 3 + 3 + 1 + 765);
    // What a model cited before is text, and nothing before the messages is an image.
    let cited = json!([{"type": "url_citation", "url": "hi"}]);
    let cited =
        json!([{"role": "assistant", "content": [{"type": "output_text", "text": "hi", "annotations": cited}]}]);
    assert_eq!(prompt(&json!({"input": cited})), 3 + 3 + 1 + 1 + 1);
    assert_eq!(prompt(&json!({"system": [{"image_url": "hi"}]})), 3 + 3 + 1);
    let long = "word ".repeat(300_000);
    assert_eq!(prompt(&json!({"messages": [{"role": "user", "content": long}]})), 1_500_000 / 4 + 7);
}

#[test]
fn a_tape_keeps_a_bounded_text() {
    let mut tape = Tape::default();
    assert!(tape.is_empty());
    tape.add_escaped(br"tik\u0074oken \ud83d");
    tape.add_escaped(br"\ude00");
    tape.add(" \"is\"\ngreat!");
    assert_eq!(tape.text(), "tiktoken \u{1f600} \"is\"\ngreat!");
    assert_eq!(tape.tokens("gpt-4o"), tokens::count("gpt-4o", &tape.text()));
    let before = tape.tokens("gpt-4o");
    tape.add_escaped(&vec![b'x'; 300 << 10]);
    tape.add_escaped(b"later text");
    assert_eq!(tape.tokens("gpt-4o"), before + ((300 << 10) + 10) / 4);
    assert!(!tape.text().contains("later"));
}

//! What is not billed by its text: rankings, images, sound.

use std::fmt::Write;

use serde_json::json;
use turnpike_llm::{
    bound::{Call, Output, estimate, most_output, output_bound, prompt_bound, prompt_exact, queries},
    provider::{Capabilities, Operation},
    request::Request,
};

fn bounds(operation: Operation, request: &Request, capabilities: &Capabilities) -> (u64, u64, u64) {
    let call = Call { operation, model: "m", capabilities, params: None };
    let Output::Asked(output) = output_bound(request, call) else { panic!("nothing is left to the model") };
    assert_eq!(most_output(request, call), Some(output));
    let prompt = prompt_bound(request, call);
    assert!(prompt_exact(request, call) <= prompt);
    (prompt, output, queries(request, call))
}

fn scan(body: &serde_json::Value) -> Request {
    Request::scan(body.to_string().into()).unwrap()
}

#[test]
fn a_ranking_counts_its_query_with_every_document() {
    let capabilities = Capabilities::default();
    let few = scan(&json!({"model": "m", "query": "12345678", "documents": ["a", "b", "c"]}));
    let (prompt, output, units) = bounds(Operation::Rerank, &few, &capabilities);
    assert_eq!((prompt, output, units), (few.bytes().len() as u64 + 30, 0, 1));
    let many: Vec<String> = (0..101).map(|at| at.to_string()).collect();
    let many = scan(&json!({"model": "m", "query": "q", "documents": many}));
    assert_eq!(bounds(Operation::Rerank, &many, &capabilities).2, 2);
    // Documents of more than 500 tokens count as several.
    let long = scan(&json!({"model": "m", "query": "q", "documents": vec!["x ".repeat(1000); 100]}));
    assert!(bounds(Operation::Rerank, &long, &capabilities).2 >= 4);
}

#[test]
fn images_are_as_many_as_asked() {
    let one = scan(&json!({"model": "m", "prompt": "a cat"}));
    let four = scan(&json!({"model": "m", "prompt": "a cat", "n": 4}));
    let unknown = Capabilities::default();
    let known = Capabilities { max_output_tokens: Some(6240), ..Capabilities::default() };
    assert_eq!(bounds(Operation::Images, &one, &unknown).2, 1);
    let (_, output, images) = bounds(Operation::Images, &four, &known);
    assert_eq!((output, images), (4 * 6240, 4));
    assert_eq!(bounds(Operation::Images, &four, &unknown).1, 4 * 16_384);
}

#[test]
fn speech_is_no_longer_than_its_text() {
    let request = scan(&json!({"model": "m", "input": "x".repeat(1000), "voice": "v"}));
    let (prompt, output, _) = bounds(Operation::Speech, &request, &Capabilities::default());
    assert!(prompt >= 1000 && output >= 1500, "{prompt} {output}");
    let call = Call { operation: Operation::Speech, model: "m", capabilities: &Capabilities::default(), params: None };
    assert_eq!(estimate(&request, call, 1_000_000), 2500);
}

#[test]
fn sound_is_bounded_by_its_bytes() {
    let mut form = String::from("--B\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n");
    write!(
        form,
        "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n{}\r\n--B--\r\n",
        "x".repeat(50_000)
    )
    .unwrap();
    let request = Request::scan_form(form.into(), "multipart/form-data; boundary=B").unwrap();
    let (prompt, output, seconds) = bounds(Operation::Transcriptions, &request, &Capabilities::default());
    assert_eq!((output, seconds), (2000, 100));
    assert!((2000..3000).contains(&prompt), "{prompt}");
    let small = Capabilities { context_window: Some(1600), max_output_tokens: Some(200), ..Capabilities::default() };
    assert_eq!(bounds(Operation::Transcriptions, &request, &small), (1600, 200, 100));
}

//! How much output a request asks for.

use serde_json::{Value, json};
use turnpike_llm::{
    bound::{Call, Output, cap, choices, most_output, output_bound},
    provider::{Capabilities, CompiledParams, Operation},
    request::Request,
};

fn ask(operation: Operation, body: &Value, params: &CompiledParams) -> (Output, u64, Option<u64>) {
    let body = body.to_string().into();
    let request = match operation {
        Operation::GenerateContent => Request::scan_contents(body, false),
        _ => Request::scan(body),
    };
    let request = request.unwrap();
    let capabilities = Capabilities { max_output_tokens: Some(1000), ..Capabilities::default() };
    let call = Call { operation, model: "m", capabilities: &capabilities, params: Some(params) };
    (output_bound(&request, call), choices(&request, call), most_output(&request, call))
}

#[test]
fn what_the_client_allows_times_the_choices() {
    let plain = CompiledParams::default();
    for (operation, body, output, choices) in [
        (Operation::Chat, json!({"max_tokens": 5}), Output::Asked(5), 1),
        (Operation::Chat, json!({"max_tokens": 5, "n": 3}), Output::Asked(15), 3),
        (Operation::Chat, json!({"max_tokens": 5, "max_completion_tokens": 7}), Output::Asked(7), 1),
        (Operation::Chat, json!({"max_tokens": 7, "max_completion_tokens": 5}), Output::Asked(7), 1),
        (Operation::Chat, json!({"max_tokens": 5000, "n": 2}), Output::Asked(2000), 2),
        (Operation::Chat, json!({"n": 2}), Output::Absent, 2),
        (Operation::Chat, json!({"max_tokens": null}), Output::Absent, 1),
        (Operation::Chat, json!({"max_tokens": -1}), Output::Absent, 1),
        (Operation::Chat, json!({"max_tokens": 5, "best_of": 9}), Output::Asked(5), 1),
        (Operation::Chat, json!({"max_tokens": 5, "prediction": "1234567"}), Output::Asked(14), 1),
        (Operation::Completions, json!({"max_tokens": 5, "best_of": 9, "n": 2}), Output::Asked(45), 9),
        (Operation::Completions, json!({"max_tokens": 5, "n": 2, "prompt": ["a", "b", "c"]}), Output::Asked(30), 6),
        (Operation::Completions, json!({"max_tokens": 5, "prompt": [1, 2, 3]}), Output::Asked(5), 1),
        (Operation::Completions, json!({"max_tokens": 5, "prompt": [[1], [2, 3]]}), Output::Asked(10), 2),
        (Operation::Embeddings, json!({"max_tokens": 5}), Output::Asked(0), 1),
        (Operation::GenerateContent, json!({"contents": []}), Output::Absent, 1),
        (Operation::GenerateContent, json!({"generationConfig": null}), Output::Absent, 1),
        (
            Operation::GenerateContent,
            json!({"generationConfig": {"maxOutputTokens": "5", "candidateCount": 3}}),
            Output::Asked(15),
            3,
        ),
        (Operation::GenerateContent, json!({"generation_config": {"max_output_tokens": 5}}), Output::Asked(5), 1),
        (Operation::GenerateContent, json!({"max_tokens": 5}), Output::Asked(5), 1),
    ] {
        let found = ask(operation, &body, &plain);
        assert_eq!((found.0, found.1), (output, choices), "{body}");
    }
    assert_eq!(ask(Operation::Chat, &json!({"n": 4}), &plain).2, Some(4000));
    assert_eq!(ask(Operation::Embeddings, &json!({}), &plain).2, Some(0));
}

#[test]
fn choices_that_are_capped_stay_within_the_output() {
    let capabilities = Capabilities::default();
    let call = Call { operation: Operation::Chat, model: "m", capabilities: &capabilities, params: None };
    let capped = |body: Value| cap(&Request::scan(body.to_string().into()).unwrap(), call, 100);
    assert_eq!(capped(json!({})), 100);
    assert_eq!(capped(json!({"n": 3})), 33);
    // A prediction is billed beside what is limited.
    assert_eq!(capped(json!({"n": 2, "prediction": {"content": "12345678"}})), 39);
    assert_eq!(capped(json!({"n": 200})), 0);
}

#[test]
fn what_the_backend_changes_counts() {
    let text = |text: &str| text.to_owned();
    let defaults = [(text("max_tokens"), json!(9)), (text("n"), json!(2))].into();
    let params = CompiledParams::compile(&defaults, &[], &[].into());
    assert_eq!(ask(Operation::Chat, &json!({}), &params).0, Output::Asked(18));
    assert_eq!(ask(Operation::Chat, &json!({"max_tokens": 5, "n": 1}), &params).0, Output::Asked(5));
    // A limit that is dropped does not hold.
    let params = CompiledParams::compile(&[].into(), &[text("max_tokens")], &[].into());
    assert_eq!(ask(Operation::Chat, &json!({"max_tokens": 5}), &params).0, Output::Absent);
    let params = CompiledParams::compile(&[].into(), &[], &[(text("max_tokens"), text("max_new_tokens"))].into());
    assert_eq!(ask(Operation::Chat, &json!({"max_tokens": 5}), &params).0, Output::Absent);
}

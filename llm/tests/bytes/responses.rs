//! Whole answers: restamped, read, and refused where they are none.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use turnpike_llm::{
    error::{ErrorClass, UpstreamError},
    provider::{Decoded, Operation, Shown},
    response,
    usage::Usage,
};

fn shown() -> Shown {
    Shown { model: "my \"model\"".into(), include_usage: false, base64_embeddings: false, ..Shown::default() }
}

fn decode(operation: Operation, body: &str) -> Result<Decoded, UpstreamError> {
    response::decode(operation, &Bytes::copy_from_slice(body.as_bytes()), &shown())
}

#[test]
fn only_the_model_changes() {
    let body = r#"{ "id":"x", "created":1700000000, "model":"gpt-4o-2024", "choices":[{"message":{"content":"model"}}],"usage":{"prompt_tokens":3,"completion_tokens":4},"system_fingerprint":null}"#;
    let decoded = decode(Operation::Chat, body).unwrap();
    assert_eq!(decoded.body.to_bytes(), body.replace("\"gpt-4o-2024\"", "\"my \\\"model\\\"\""));
    assert_eq!(decoded.usage, Some(Usage { prompt: 3, completion: 4, ..Usage::default() }));
}

#[test]
fn an_answer_that_needs_nothing_is_the_same_buffer() {
    for body in [r#"{"model":"my \"model\"","choices":[]}"#, r#"{"choices":[],"usage":null}"#] {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let decoded = response::decode(Operation::Completions, &body, &shown()).unwrap();
        assert_eq!(decoded.body.parts()[0].as_ptr(), body.as_ptr());
        assert_eq!(decoded.usage, None);
    }
}

#[test]
fn what_is_no_answer_is_the_upstreams_fault() {
    for (body, says) in [
        ("", "empty"),
        ("<html>hello</html>", "expected a JSON object"),
        ("[]", "expected a JSON object"),
        ("null", "expected a JSON object"),
        (r#"{"choices":[]"#, "ends early"),
        ("{}", "no 'choices'"),
        (r#"{"choices":null,"error":null}"#, "no 'choices'"),
        (r#"{"choices":{}}"#, "no 'choices'"),
    ] {
        let error = decode(Operation::Chat, body).unwrap_err();
        assert_eq!((error.class, error.status), (ErrorClass::BadAnswer, 0), "{body}");
        assert!(error.message.contains(says), "{body}: {error}");
    }
    let error = decode(Operation::Embeddings, r#"{"choices":[]}"#).unwrap_err();
    assert!(error.message.contains("no 'data'"), "{error}");
}

#[test]
fn an_error_under_200_keeps_its_words() {
    let cases = [
        (json!({"error": {"message": "slow down", "type": "rl", "code": 429}}), ErrorClass::RateLimit, "slow down"),
        (json!({"error": {"message": "boom", "code": "internal"}, "choices": null}), ErrorClass::ServerError, "boom"),
        (json!({"error": "plain words"}), ErrorClass::ServerError, "plain words"),
        (json!({"object": "error", "message": "too long", "code": 400}), ErrorClass::BadRequest, "too long"),
        (json!({"detail": "Not Found"}), ErrorClass::ServerError, "Not Found"),
        (
            json!({"error": {"message": "This model's maximum context length is 8192 tokens", "code": 400}}),
            ErrorClass::ContextWindow,
            "maximum context",
        ),
    ];
    for (body, class, says) in cases {
        let error = decode(Operation::Chat, &body.to_string()).unwrap_err();
        assert_eq!((error.class, error.status), (class, 0), "{body}");
        assert!(error.message.contains(says), "{body}: {error}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        head in proptest::sample::select(vec!["", "{", "{\"choices\":[", "{\"data\":[{\"embedding\":", "{\"error\":"]),
        tail in proptest::collection::vec(any::<u8>(), 0..60),
        base64_embeddings: bool,
    ) {
        let body = Bytes::from([head.as_bytes(), &tail].concat());
        let shown = Shown { base64_embeddings, ..shown() };
        for operation in [Operation::Chat, Operation::Embeddings] {
            if let Ok(decoded) = response::decode(operation, &body, &shown) {
                prop_assert!(serde_json::from_slice::<Value>(&decoded.body.to_bytes()).is_ok());
            }
        }
    }

    #[test]
    fn a_cut_answer_is_refused(cut in any::<proptest::sample::Index>()) {
        let body = r#"{"object":"chat.completion","model":"m","choices":[{"index":0,"message":{"content":"h\u00e9 \"q\""}}],"usage":{"prompt_tokens":1}}"#;
        prop_assert!(decode(Operation::Chat, &body[..cut.index(body.len())]).is_err());
    }
}

//! What the gateway reads of a request, and what it refuses.

use std::fmt::Write;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use turnpike_llm::request::{GATEWAY_ONLY, Request, ScanError, gateway_only};

use super::arbitrary;

fn scan(text: &str) -> Result<Request, ScanError> {
    Request::scan(Bytes::copy_from_slice(text.as_bytes()))
}

fn refused(text: impl AsRef<[u8]>) -> (&'static str, Option<&'static str>, String) {
    let error = Request::scan(Bytes::copy_from_slice(text.as_ref())).unwrap_err();
    (error.code, error.param, error.to_string())
}

#[test]
fn reads_what_it_acts_on() {
    let request = scan(
        r#"{"mod\u0065l":"gpt-\u0034o","stream":true,"stream_options":{"x":1,"include_usage":true},"max_tokens":7,
            "max_completion_tokens":9,"n":2,"user":"ann","metadata":{"a":1,"tags":["t2","t1"]},"tags":["t1","t3"],
            "encoding_format":"base64","drop_params":false,"messages":[],"top_p":0.5,"top_p":0.6}"#,
    )
    .unwrap();
    assert_eq!(request.model(), Some("gpt-4o"));
    assert!(request.stream());
    assert!(request.include_usage());
    assert_eq!(request.max_output_tokens(), Some(9));
    assert_eq!(request.n(), 2);
    assert_eq!(request.user(), Some("ann"));
    assert_eq!(request.metadata(), Some(&br#"{"a":1,"tags":["t2","t1"]}"#[..]));
    assert_eq!(request.tags(), ["t1", "t3", "t2"]);
    assert!(request.base64_embeddings());
    assert_eq!(request.drop_params(), Some(false));
    assert_eq!(request.member("top_p"), Some(&b"0.6"[..]), "the last of two counts");
    assert_eq!(request.member("model"), Some(&br#""gpt-\u0034o""#[..]));
    assert!(request.has("messages") && !request.has("prompt"));
    assert!(request.has_gateway_only());
    assert_eq!(request.members().count(), 14);
}

#[test]
fn absent_and_null_are_defaults() {
    let null = r#"{"model":null,"stream":null,"stream_options":null,"max_tokens":null,"n":null,"user":null,"metadata":null,
        "tags":null,"encoding_format":null,"messages":null}"#;
    for text in ["{}", null] {
        let request = scan(text).unwrap();
        assert_eq!(request.model(), None);
        assert!(!request.stream() && !request.include_usage() && !request.base64_embeddings());
        assert_eq!((request.max_output_tokens(), request.n()), (None, 1));
        assert_eq!((request.user(), request.metadata(), request.drop_params()), (None, None, None));
        assert!(request.tags().is_empty());
    }
    assert!(!scan("{}").unwrap().has_gateway_only());
    assert_eq!(scan(r#"{"max_tokens":-1}"#).unwrap().max_output_tokens(), None, "no limit, to some servers");
    assert_eq!(scan(r#"{"max_tokens":12.0}"#).unwrap().max_output_tokens(), Some(12));
    assert_eq!(scan(r#"{"n":0}"#).unwrap().n(), 1);
    assert!(scan(r#"{"metadata":{"tags":"mine"}}"#).unwrap().tags().is_empty(), "the caller's own business");
}

#[test]
fn a_second_interpreted_key_is_refused_however_it_is_spelled() {
    for name in [
        "model",
        "stream",
        "stream_options",
        "max_tokens",
        "max_completion_tokens",
        "n",
        "user",
        "metadata",
        "tags",
        "encoding_format",
        "drop_params",
        "messages",
        "prompt",
        "input",
        "cache",
        "num_retries",
        "fallbacks",
        "context_window_fallbacks",
        "content_policy_fallbacks",
        "disable_fallbacks",
    ] {
        let mut escaped = String::new();
        for unit in name.encode_utf16() {
            write!(escaped, "\\u{unit:04x}").unwrap();
        }
        for second in [name, &escaped] {
            let text = format!("{{\"{name}\":null,\"x\":1,\"{second}\":null}}");
            let (code, param, message) = refused(&text);
            assert_eq!((code, param), ("duplicate_key", Some(name)), "{text}");
            assert!(message.contains(name));
        }
    }
    let (code, param, _) = refused(r#"{"model":"a","mod\u0065l":"b"}"#);
    assert_eq!((code, param), ("duplicate_key", Some("model")));
    let (code, param, _) = refused(r#"{"stream_options":{"include_usage":true,"include_\u0075sage":false}}"#);
    assert_eq!((code, param), ("duplicate_key", Some("stream_options.include_usage")));
    assert!(scan(r#"{"seed":1,"seed":2,"Model":1,"model":"x"}"#).is_ok());
}

#[test]
fn wrong_types_name_the_field() {
    for (text, param, expected) in [
        (r#"{"model":7}"#, "model", "a string"),
        (r#"{"model":["a"]}"#, "model", "a string"),
        (r#"{"stream":"true"}"#, "stream", "a boolean or null"),
        (r#"{"stream":1}"#, "stream", "a boolean or null"),
        (r#"{"stream_options":[]}"#, "stream_options", "an object or null"),
        (r#"{"stream_options":{"include_usage":"yes"}}"#, "stream_options.include_usage", "a boolean or null"),
        (r#"{"max_tokens":"10"}"#, "max_tokens", "an integer or null"),
        (r#"{"max_completion_tokens":{}}"#, "max_completion_tokens", "an integer or null"),
        (r#"{"n":true}"#, "n", "an integer or null"),
        (r#"{"user":1}"#, "user", "a string"),
        (r#"{"metadata":"a"}"#, "metadata", "an object or null"),
        (r#"{"tags":"a"}"#, "tags", "an array of strings or null"),
        (r#"{"tags":["a",1]}"#, "tags", "an array of strings or null"),
        (r#"{"encoding_format":1}"#, "encoding_format", "a string"),
        (r#"{"drop_params":"x"}"#, "drop_params", "a boolean or null"),
    ] {
        assert_eq!(refused(text), ("invalid_type", Some(param), format!("'{param}' must be {expected}.")), "{text}");
    }
}

#[test]
fn damaged_bodies_have_codes_of_their_own() {
    for (body, code, says) in [
        (&b""[..], "invalid_json", "empty"),
        (b"{\"model\":\"a\"", "invalid_json", "ends early (at byte 12)"),
        (b"{} trailing", "invalid_json", "after the JSON object (at byte 3)"),
        (b"[1]", "invalid_json", "expected a JSON object"),
        (b"\xEF\xBB\xBF{}", "byte_order_mark", "byte order mark"),
        (b"\xFE\xFF\0{\0}", "utf16_body", "UTF-16"),
        (b"{\0}\0", "utf16_body", "UTF-16"),
        (b"{\"model\":\"\xFF\"}", "invalid_utf8", "invalid UTF-8 (at byte 10)"),
    ] {
        let (found, param, message) = refused(body);
        assert_eq!((found, param), (code, None), "{body:?}");
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn the_gateway_only_table_says_what_never_leaves() {
    assert!(GATEWAY_ONLY.contains(&"api_key") && GATEWAY_ONLY.contains(&"mock_response"));
    for name in GATEWAY_ONLY {
        assert!(gateway_only(name));
    }
    assert!(gateway_only("litellm_session_id") && gateway_only("mock_testing_fallbacks"));
    for name in ["metadata", "model", "messages", "user", "litellm", "store", ""] {
        assert!(!gateway_only(name), "{name}");
    }
}

#[test]
fn debug_shows_no_prompt() {
    let request = scan(r#"{"messages":[{"content":"secret"}]}"#).unwrap();
    assert_eq!(format!("{request:?}"), "Request(35 bytes, 1 members)");
}

proptest! {
    #[test]
    fn no_body_makes_it_panic(object in arbitrary::object(), choices in proptest::collection::vec(any::<u8>(), 1..40)) {
        let text = arbitrary::spell(&Value::Object(object.clone()), &choices);
        match scan(&text) {
            Ok(request) => {
                prop_assert_eq!(request.model().map(Value::from), object.get("model").cloned().filter(|model| !model.is_null()));
                prop_assert_eq!(request.bytes().as_ref(), text.as_bytes());
            }
            Err(error) => prop_assert!(error.code == "invalid_type", "{}", error),
        }
    }
}

#[test]
fn stripping_leaves_what_the_provider_reads() {
    let body = json!({
        "cache": {"no-cache": true}, "model": "m", "tags": ["a"], "litellm_session_id": "s", "messages": [],
        "mock_testing_fallbacks": true, "num_retries": 3, "metadata": {"a": "b"}, "api_key": "sk-1", "timeout": 4,
    });
    let request = scan(&body.to_string()).unwrap();
    let mut edit = request.edit();
    edit.strip_gateway_only();
    let left: Value = serde_json::from_slice(&edit.finish().to_bytes()).unwrap();
    assert_eq!(left, json!({"model": "m", "messages": [], "metadata": {"a": "b"}}));
}

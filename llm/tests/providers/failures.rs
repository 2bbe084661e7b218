//! Error answers in every shape seen in the wild, and what they are taken for.

use std::{fmt::Write, time::Duration};

use http::{HeaderMap, HeaderValue, StatusCode};
use turnpike_llm::{
    error::{ErrorClass, UpstreamError},
    provider::ProviderKind,
};

fn failure(status: u16, headers: &[(&'static str, &'static str)], body: &[u8]) -> UpstreamError {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, HeaderValue::from_static(value));
    }
    let adapter = ProviderKind::OpenAI.adapter().unwrap();
    adapter.error(StatusCode::from_u16(status).unwrap(), &map, body)
}

const BODIES: &[(&str, u16, &str)] = &[
    (
        "OpenAI, bad request",
        400,
        r#"{"error":{"message":"Invalid type for 'n'.","type":"invalid_request_error","param":"n","code":"invalid_type"}}"#,
    ),
    (
        "OpenAI, context window",
        400,
        r#"{"error":{"message":"This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
    ),
    (
        "OpenAI, wrong key",
        401,
        r#"{"error":{"message":"Incorrect API key provided: sk-proj-********abcd. You can find your API key at https://platform.openai.com/account/api-keys.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#,
    ),
    (
        "OpenAI, rate limit",
        429,
        r#"{"error":{"message":"Rate limit reached for gpt-4o","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#,
    ),
    (
        "OpenAI, no quota",
        429,
        r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
    ),
    (
        "OpenAI, unknown model",
        404,
        r#"{"error":{"message":"The model `x` does not exist","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#,
    ),
    (
        "OpenAI, safety",
        400,
        r#"{"error":{"message":"Invalid prompt: your prompt was flagged as potentially violating our usage policy.","type":"invalid_request_error","param":null,"code":"invalid_prompt"}}"#,
    ),
    (
        "OpenAI, user too long",
        400,
        r#"{"error":{"message":"Invalid 'user': string too long. Expected a string with maximum length 64.","type":"invalid_request_error","param":"user","code":"string_above_max_length"}}"#,
    ),
    (
        "Azure, content filter",
        400,
        r#"{"error":{"message":"The response was filtered","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{}}}}"#,
    ),
    (
        "Azure, inner code only",
        400,
        r#"{"error":{"message":"Filtered.","code":"BadRequest","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
    ),
    (
        "Azure, no deployment",
        404,
        r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}"#,
    ),
    (
        "Groq, request too large",
        413,
        r#"{"error":{"message":"Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 9000","type":"tokens","code":"rate_limit_exceeded"}}"#,
    ),
    ("Groq, flex capacity", 498, r#"{"error":{"message":"Flex tier capacity exceeded"}}"#),
    (
        "Mistral, validation",
        422,
        r#"{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","stream_options","include_usage"],"msg":"Extra inputs are not permitted","input":true}]},"type":"invalid_request_error","param":null,"code":null}"#,
    ),
    (
        "Mistral, capacity",
        429,
        r#"{"object":"error","message":"Service tier capacity exceeded for this model.","type":"invalid_request_error","param":null,"code":"3505"}"#,
    ),
    (
        "vLLM, context window",
        400,
        r#"{"object":"error","message":"This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.","type":"BadRequestError","param":null,"code":400}"#,
    ),
    (
        "vLLM, newer",
        400,
        r#"{"error":{"message":"The decoder prompt (length 9000) is longer than the maximum model length of 4096.","type":"BadRequestError","param":null,"code":400}}"#,
    ),
    (
        "llama.cpp, context",
        400,
        r#"{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error","n_prompt_tokens":9000,"n_ctx":4096}}"#,
    ),
    (
        "llama-cpp-python, context",
        500,
        r#"{"error":{"message":"Requested tokens (5000) exceed context window of 2048","type":"internal_server_error","param":null,"code":null}}"#,
    ),
    (
        "TGI, validation",
        422,
        r#"{"error":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000","error_type":"validation"}"#,
    ),
    ("Ollama, not pulled", 404, r#"{"error":"model 'x' not found, try pulling it first"}"#),
    (
        "NIM, detail text",
        500,
        r#"{"type":"about:blank","status":500,"title":"Internal Server Error","detail":"Inference error"}"#,
    ),
    (
        "FastAPI, detail list",
        422,
        r#"{"detail":[{"loc":["body","messages",0,"role"],"msg":"field required","type":"value_error.missing"}]}"#,
    ),
    (
        "Google's endpoint",
        400,
        r#"[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}]"#,
    ),
    (
        "DeepSeek, no balance",
        402,
        r#"{"error":{"message":"Insufficient Balance","type":"unknown_error","param":null,"code":"invalid_request_error"}}"#,
    ),
    (
        "DeepSeek, safety",
        400,
        r#"{"error":{"message":"Content Exists Risk","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}"#,
    ),
    (
        "nginx",
        502,
        "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><center>nginx</center></body></html>",
    ),
    ("plain text", 503, "upstream connect error or disconnect/reset before headers"),
    ("empty", 500, ""),
    ("Cloudflare timeout", 524, "error code: 524"),
    ("gateway timeout", 504, r#"{"error":{"message":"stream timeout"}}"#),
    ("request timeout", 408, ""),
    ("overloaded", 529, r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#),
    (
        "forbidden",
        403,
        r#"{"error":{"message":"Country, region, or territory not supported","code":"unsupported_country_region_territory"}}"#,
    ),
    ("limit inside a 500", 500, r#"{"error":{"message":"Quota","code":429}}"#),
    ("redirect", 301, ""),
    ("valid JSON, no message", 400, r#"{"ok":false}"#),
];

#[test]
fn shapes_and_classes() {
    let mut text = String::new();
    for (name, status, body) in BODIES {
        let error = failure(*status, &[], body.as_bytes());
        assert_eq!(error.status, *status);
        writeln!(text, "{name} ({status}): {:?}\n  {}", error.class, error.message).unwrap();
        let parts = [("type", &error.kind), ("param", &error.param), ("code", &error.code)];
        for (part, value) in parts {
            if let Some(value) = value {
                writeln!(text, "  {part}: {value}").unwrap();
            }
        }
    }
    insta::with_settings!({ snapshot_path => "../golden", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("upstream_errors", text);
    });
}

#[test]
fn every_status_has_a_class() {
    for status in 300..=999 {
        let class = failure(status, &[], b"").class;
        let expected = match status {
            300..=399 => ErrorClass::BadAnswer,
            401 | 403 => ErrorClass::Authentication,
            402 | 500..=503 | 505..=523 | 525..=999 => ErrorClass::ServerError,
            404 | 405 | 410 => ErrorClass::NotFound,
            408 | 504 | 524 => ErrorClass::Timeout,
            429 | 498 => ErrorClass::RateLimit,
            400..=499 => ErrorClass::BadRequest,
            _ => panic!("{status}"),
        };
        assert_eq!(class, expected, "{status}");
    }
}

#[test]
fn retry_after() {
    let wait = |headers: &[(&'static str, &'static str)]| failure(429, headers, b"").retry_after;
    assert_eq!(wait(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
    assert_eq!(wait(&[("retry-after", "0.5")]), Some(Duration::from_millis(500)));
    assert_eq!(wait(&[("retry-after", "7"), ("retry-after-ms", "1250")]), Some(Duration::from_millis(1250)));
    assert_eq!(wait(&[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")]), None);
    assert_eq!(wait(&[("retry-after", "-1")]), None);
    assert_eq!(wait(&[("retry-after", "NaN")]), None);
    assert_eq!(wait(&[("retry-after", "1e300")]), None);
    assert_eq!(wait(&[("retry-after", "99999999")]), Some(Duration::from_hours(24)));
    assert_eq!(wait(&[]), None);
}

#[test]
fn a_message_is_bounded_on_a_character() {
    let body = format!(r#"{{"error":{{"message":"a{}"}}}}"#, "ø".repeat(5000));
    let message = failure(500, &[], body.as_bytes()).message;
    assert_eq!(message.len(), 4095);
    assert!(message.ends_with('ø'));
    let text = failure(500, &[], "é".repeat(100_000).as_bytes()).message;
    assert!(text.len() <= 4096 && text.starts_with('é'));
}

#[test]
fn a_refusal_does_not_quote_the_key() {
    let bodies = [
        r#"{"error":{"message":"Incorrect API key provided: sk-short."}}"#,
        r#"{"error":{"message":"Invalid token 'gsk_9f8e7d6c5b4a39281706f5e4'"}}"#,
        "key 0123456789abcdef0123456789abcdef is unknown",
    ];
    for body in bodies {
        let message = failure(401, &[], body.as_bytes()).message;
        assert!(message.contains("***"), "{message}");
        for secret in ["sk-short", "9f8e7d6c", "0123456789abcdef"] {
            assert!(!message.contains(secret), "{message}");
        }
    }
}

#[test]
fn strange_bodies_are_text() {
    let deep = "[".repeat(10_000);
    for body in [deep.as_bytes(), b"\xff\xfe", b"null", b"[]", b"{}", b"<html", b"\"just text\"", b"{\"error\":null}"] {
        let error = failure(500, &[], body);
        assert_eq!(error.class, ErrorClass::ServerError);
        assert!(!error.message.is_empty());
    }
    assert_eq!(failure(500, &[], b"\"just text\"").message, "just text");
}

//! What may be done about an upstream's error: by its status, and by its words where a status says too little.

use http::StatusCode;

use super::shape::Words;
use crate::error::ErrorClass;

/// Any of these (in lower case) in a message: the prompt is larger than the model takes.
const CONTEXT_WINDOW: &[&str] = &[
    "exceed context limit",
    "exceed context window",
    "exceed the context window",
    "exceeds the context window",
    "exceeds the model's context",
    "exceeds the context length",
    "this model's maximum context length is",
    "maximum context length of",
    "model's maximum context limit",
    "is longer than the model's context length",
    "is longer than the maximum model length",
    "longer than the maximum model length",
    "input tokens exceed the configured limit",
    "`inputs` tokens + `max_new_tokens` must be",
    "`inputs` must have less than",
    "exceeds the available context size",
    "exceeds the maximum number of tokens allowed",
    "length limit exceeded",
    "too large for model with",
    "prompt is too long",
    "too many tokens",
    "input is too long",
    "too many input tokens",
    "expected maxlength:",
];

/// Any of these in a message: refused by the provider's safety system.
const CONTENT_POLICY: &[&str] = &[
    "content_policy_violation",
    "content_filter_policy",
    "violating our usage policy",
    "violates our usage policy",
    "flagged as potentially violating",
    "rejected as a result of the safety system",
    "rejected as a result of our safety system",
    "the response was filtered due to the prompt triggering azure openai's content management",
    "the response was blocked.",
    "output blocked by content filtering policy",
    "content exists risk",
];

/// Any of these in a message: too much at once, whatever the status.
const RATE_LIMIT: &[&str] = &[
    "rate limit",
    "rate_limit",
    "ratelimit",
    "rate-limit",
    "too many requests",
    "request too large for",
    "service tier capacity exceeded",
    "exceeded your current quota",
];

/// Any of these in a message of a 400: some providers do not use 401.
const AUTHENTICATION: &[&str] = &["incorrect api key provided", "api key not valid", "invalid api key"];

pub(super) fn class(status: StatusCode, words: &Words) -> ErrorClass {
    let text = words.message.to_lowercase();
    let by_words = || {
        if is_context_window(&text, words) {
            Some(ErrorClass::ContextWindow)
        } else if is_content_policy(&text, words) {
            Some(ErrorClass::ContentPolicy)
        } else {
            None
        }
    };
    match status.as_u16() {
        // A redirect is not followed, and the rest never ends a call.
        0..=399 => ErrorClass::BadAnswer,
        401 | 403 if is_content_policy_code(words) => ErrorClass::ContentPolicy,
        401 | 403 => ErrorClass::Authentication,
        402 => ErrorClass::ServerError,
        404 | 405 | 410 => ErrorClass::NotFound,
        408 | 504 | 524 => ErrorClass::Timeout,
        // 498: Groq's flex capacity.
        429 | 498 => ErrorClass::RateLimit,
        400..=499 => by_words().unwrap_or_else(|| client_error(&text, words)),
        500.. => by_words().unwrap_or_else(|| server_error(&text, words)),
    }
}

fn client_error(text: &str, words: &Words) -> ErrorClass {
    let code = words.code.as_deref().unwrap_or_default();
    if matches!(code, "rate_limit_exceeded" | "insufficient_quota" | "429") || has(text, RATE_LIMIT) {
        ErrorClass::RateLimit
    } else if code == "invalid_api_key" || has(text, AUTHENTICATION) {
        ErrorClass::Authentication
    } else if matches!(code, "model_not_found" | "DeploymentNotFound") {
        ErrorClass::NotFound
    } else {
        ErrorClass::BadRequest
    }
}

fn server_error(text: &str, words: &Words) -> ErrorClass {
    // Within streams under 200, and from proxies.
    let limited = matches!(words.code.as_deref(), Some("429" | "rate_limit_exceeded"))
        || text.contains("service tier capacity exceeded");
    if limited { ErrorClass::RateLimit } else { ErrorClass::ServerError }
}

fn is_context_window(text: &str, words: &Words) -> bool {
    words.code.as_deref() == Some("context_length_exceeded")
        || has(text, CONTEXT_WINDOW)
        // The same words are used for a `user` that is too long.
        || (text.contains("string too long. expected a string with maximum length")
            && words.param.as_deref() != Some("user"))
        || (text.contains("current length is") && text.contains("while limit is"))
        || (text.contains("maximum input length is") && text.contains("tokens"))
}

fn is_content_policy(text: &str, words: &Words) -> bool {
    is_content_policy_code(words) || has(text, CONTENT_POLICY)
}

fn is_content_policy_code(words: &Words) -> bool {
    [words.code.as_deref(), words.inner_code.as_deref(), words.kind.as_deref()]
        .into_iter()
        .flatten()
        .any(|code| matches!(code, "content_policy_violation" | "content_filter" | "ResponsibleAIPolicyViolation"))
}

fn has(text: &str, any: &[&str]) -> bool {
    any.iter().any(|part| text.contains(part))
}

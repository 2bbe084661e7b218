//! Models that answer whoever proves to hold a key or token of this cloud: one path for each of the three clouds.

use http::{StatusCode, request::Parts};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Answer, Rules};

const JSON: &str = "application/json";

/// A model's answer.
pub(super) fn answer(rules: &Rules, head: &Parts, body: &[u8]) -> Answer {
    let path = head.uri.path();
    let (shown, natural) = if path.starts_with("/model/") {
        (rules.verify("bedrock", head, body), converse())
    } else if path.contains("/publishers/google/models/") {
        (rules.bearer(head), generated())
    } else if path.contains("/openai/deployments/") {
        (rules.bearer(head), completed())
    } else {
        (Err(format!("there is nothing at {path}")), Value::Null)
    };
    match shown {
        Ok(credential) => Answer::new(StatusCode::OK, JSON, natural.to_string(), "model").with(&credential),
        Err(reason) => {
            let body = json!({"message": reason}).to_string();
            Answer::refused(StatusCode::FORBIDDEN, JSON, body, "model", &reason)
        }
    }
}

impl Rules {
    /// The token that a call shows.
    pub(super) fn bearer(&self, head: &Parts) -> Result<String, String> {
        for other in ["api-key", "x-goog-api-key"] {
            if head.headers.contains_key(other) {
                return Err(format!("{other} beside a token"));
            }
        }
        let shown = head.headers.get("authorization").and_then(|value| value.to_str().ok());
        let shown = shown.and_then(|value| value.strip_prefix("Bearer ")).ok_or("no token is shown")?;
        let (token, expires) = self.tokens.iter().find(|(token, _)| token == shown).ok_or("the token is unknown")?;
        if *expires < Timestamp::now() { Err("the token has expired".to_owned()) } else { Ok(token.clone()) }
    }
}

fn converse() -> Value {
    json!({
        "output": {"message": {"role": "assistant", "content": [{"text": "Hello"}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 5, "outputTokens": 1, "totalTokens": 6},
        "metrics": {"latencyMs": 1},
    })
}

fn generated() -> Value {
    json!({
        "candidates": [{"content": {"role": "model", "parts": [{"text": "Hello"}]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 1, "totalTokenCount": 6},
        "modelVersion": "gemini-2.5-flash",
    })
}

fn completed() -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_760_000_000, "model": "gpt-4o-mini",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6},
    })
}

//! The checks that a real endpoint makes, so that a gateway cannot get away with sending it something else: of the head for
//! every dialect, of the body for `OpenAI`'s.

use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

use super::State;

/// Members that mean something to gateways only; the real API answers 400 to each.
const GATEWAY_ONLY: &[&str] = &[
    "cache",
    "tags",
    "fallbacks",
    "context_window_fallbacks",
    "disable_fallbacks",
    "num_retries",
    "stream_timeout",
    "mock_response",
    "mock_testing_fallbacks",
    "drop_params",
    "additional_drop_params",
    "allowed_openai_params",
    "guardrails",
    "timeout",
    "max_retries",
    "api_key",
    "api_base",
];
/// Members that begin like this are meant for gateways as well.
const GATEWAY_ONLY_PREFIXES: &[&str] = &["litellm_", "mock_"];

/// Why a request is refused.
#[derive(Debug)]
pub struct Refusal {
    /// The answer's.
    pub status: StatusCode,
    /// For people.
    pub message: String,
    /// The dialect's word for it, where it has one.
    pub code: Option<&'static str>,
}

impl Refusal {
    /// 400.
    pub fn bad(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into(), code: None }
    }

    /// 401.
    pub fn key(message: &str, code: &'static str) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, message: message.to_owned(), code: Some(code) }
    }

    /// 403.
    pub fn forbidden(message: &str, code: &'static str) -> Self {
        Self { status: StatusCode::FORBIDDEN, message: message.to_owned(), code: Some(code) }
    }

    /// 404.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, message: message.into(), code: Some("model_not_found") }
    }

    /// In `OpenAI`'s shape.
    pub(crate) fn body(&self) -> Value {
        json!({"error": {"message": self.message, "type": "invalid_request_error", "param": null, "code": self.code}})
    }
}

/// Checks the head: host, content type.
pub(super) fn head(state: &State, method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if text("host") != Some(&state.authority) {
        return Err(Refusal::bad("misdirected request: the Host header names another server"));
    }
    if headers.get_all("host").iter().count() > 1 || headers.get_all("content-length").iter().count() > 1 {
        return Err(Refusal::bad("repeated Host or Content-Length"));
    }
    let kind = text("content-type").unwrap_or_default();
    let is_known = kind.starts_with("application/json") || kind.starts_with("multipart/form-data");
    if *method == Method::POST && !is_known {
        return Err(Refusal::bad("Unsupported content type: use application/json"));
    }
    if headers.contains_key("expect") || headers.contains_key("content-encoding") {
        return Err(Refusal::bad("Expect and Content-Encoding are not supported"));
    }
    Ok(())
}

/// Parses a POST's body.
pub(super) fn parse(body: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::bad(format!("We could not parse the JSON body of your request: {error}")))
}

/// Reads a POST's form: texts as they are, files as their size.
pub(super) fn form(content_type: &str, body: &[u8]) -> Result<Value, Refusal> {
    let boundary = content_type.split_once("boundary=").map(|(_, boundary)| boundary.trim_matches('"'));
    let boundary = boundary.ok_or_else(|| Refusal::bad("the form has no boundary"))?;
    // One character a byte, so that sound is text too.
    let text: String = body.iter().copied().map(char::from).collect();
    let last = format!("--{boundary}--\r\n");
    let text = text.strip_suffix(&last).ok_or_else(|| Refusal::bad("the form does not end"))?;
    let mut members = serde_json::Map::new();
    for part in text.split(&format!("--{boundary}\r\n")).filter(|part| !part.is_empty()) {
        let (head, value) = part.split_once("\r\n\r\n").ok_or_else(|| Refusal::bad("a part has no head"))?;
        let value = value.strip_suffix("\r\n").ok_or_else(|| Refusal::bad("a part does not end"))?;
        let name = head.split_once("; name=\"").and_then(|(_, rest)| rest.split_once('"'));
        let (name, _) = name.ok_or_else(|| Refusal::bad("a part has no name"))?;
        let value = if head.contains("filename=") { json!(value.chars().count()) } else { json!(value) };
        if members.insert(name.to_owned(), value).is_some() {
            return Err(Refusal::bad("a part is given twice"));
        }
    }
    Ok(Value::Object(members))
}

/// Checks that the model is one of those that are served.
pub(super) fn model(state: &State, model: &str) -> Result<(), Refusal> {
    if state.models.as_ref().is_some_and(|known| !model.is_empty() && !known.iter().any(|name| name == model)) {
        return Err(Refusal::not_found(format!("The model `{model}` does not exist or you do not have access to it.")));
    }
    Ok(())
}

/// Checks a POST's body for its route.
pub(crate) fn body(path: &str, parsed: &Value) -> Result<(), Refusal> {
    let Some(members) = parsed.as_object() else {
        return Err(Refusal::bad("the body must be a JSON object"));
    };
    let foreign = members.keys().find(|key| {
        GATEWAY_ONLY.contains(&key.as_str()) || GATEWAY_ONLY_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
    });
    if let Some(key) = foreign {
        return Err(Refusal::bad(format!("Unrecognized request argument supplied: {key}")));
    }
    let model = members.get("model").and_then(Value::as_str).unwrap_or_default();
    let azure = path.contains("/openai/deployments/");
    if model.is_empty() && !azure {
        return Err(Refusal::bad("you must provide a model parameter"));
    }
    let required = match path.rsplit('/').next() {
        Some("embeddings" | "responses") => "input",
        Some("completions") if path.ends_with("/chat/completions") => "messages",
        _ => "prompt",
    };
    if !members.contains_key(required) {
        return Err(Refusal::bad(format!("Missing required parameter: '{required}'.")));
    }
    check_values(members)
}

fn check_values(members: &serde_json::Map<String, Value>) -> Result<(), Refusal> {
    let streamed = members.get("stream").and_then(Value::as_bool).unwrap_or(false);
    if members.get("stream_options").is_some_and(|value| !value.is_null()) && !streamed {
        return Err(Refusal::bad("The 'stream_options' parameter is only allowed when 'stream' is enabled."));
    }
    if members.get("messages").is_some_and(|value| value.as_array().is_none_or(Vec::is_empty)) {
        return Err(Refusal::bad("Invalid 'messages': expected a non-empty array."));
    }
    let Some(metadata) = members.get("metadata").filter(|value| !value.is_null()) else {
        return Ok(());
    };
    match metadata.as_object() {
        Some(_) if members.get("store") != Some(&Value::Bool(true)) => {
            Err(Refusal::bad("The 'metadata' parameter is only allowed when 'store' is enabled."))
        }
        Some(pairs) if pairs.len() <= 16 && pairs.values().all(Value::is_string) => Ok(()),
        _ => Err(Refusal::bad("Invalid 'metadata': expected at most 16 pairs of strings.")),
    }
}

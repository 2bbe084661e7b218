//! Finds message, type, param and code in an error body, whatever its shape.
//!
//! ```text
//! {"error":{"message","type","param","code","innererror":{"code"}}}   OpenAI, Azure, vLLM, Groq, DeepSeek, ...
//! [{"error":{"message","status","code"}}]                             Google's OpenAI endpoint
//! {"error":"text","error_type":"..."}                                 Ollama, TGI
//! {"object":"error","message","type","param","code"}                  Mistral, older vLLM
//! {"message":{"detail":[{"loc","msg"}]}}                              Mistral's validation
//! {"message"} | {"Message"} | {"__type","message"}                    AWS
//! {"detail":"text" | [{"loc","msg"}]}                                 FastAPI, NIM
//! text, HTML                                                          proxies
//! ```

use serde_json::Value;

/// Larger error bodies are not parsed: nobody writes that much on purpose.
const MAX_PARSED: usize = 256 * 1024;
/// As much of an unparsed body as is worth showing.
const MAX_TEXT: usize = 16 * 1024;

/// An upstream's own words; empty or `None` where it said nothing.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub(super) message: String,
    pub(super) kind: Option<String>,
    pub(super) param: Option<String>,
    pub(super) code: Option<String>,
    /// Azure's `innererror.code`: the reason behind a `content_filter`.
    pub(super) inner_code: Option<String>,
}

impl Words {
    pub(super) fn of(body: &[u8]) -> Self {
        let parsed = (body.len() <= MAX_PARSED).then(|| serde_json::from_slice::<Value>(body).ok()).flatten();
        parsed.and_then(|value| Self::of_value(&value)).unwrap_or_else(|| Self::of_text(body))
    }

    fn of_value(value: &Value) -> Option<Self> {
        match value {
            Value::Array(items) => items.first().and_then(Self::of_value),
            Value::Object(root) => match root.get("error") {
                Some(error @ Value::Object(_)) => Some(Self::of_object(error)),
                Some(Value::String(message)) => {
                    let words = Self::of_object(value);
                    Some(Self { message: message.clone(), ..words })
                }
                _ => Some(Self::of_object(value)).filter(|words| !words.message.is_empty()),
            },
            Value::String(message) => Some(Self { message: message.clone(), ..Self::default() }),
            Value::Null | Value::Bool(_) | Value::Number(_) => None,
        }
    }

    fn of_object(object: &Value) -> Self {
        let message = ["message", "Message", "detail", "msg", "title"].iter().find_map(|name| prose(object.get(name)?));
        Self {
            message: message.unwrap_or_default(),
            kind: ["type", "error_type", "status"]
                .iter()
                .find_map(|name| object.get(name)?.as_str())
                .map(str::to_owned),
            param: word(object.get("param").unwrap_or(&Value::Null)),
            code: word(object.get("code").unwrap_or(&Value::Null)),
            inner_code: ["innererror", "inner_error"].iter().find_map(|name| word(object.get(name)?.get("code")?)),
        }
    }

    fn of_text(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body.get(..MAX_TEXT).unwrap_or(body));
        let text = text.trim();
        let message = if text.starts_with('<') { html_title(text).unwrap_or_default() } else { text };
        Self { message: message.to_owned(), ..Self::default() }
    }
}

/// A message for people: text, a list of validation failures, or an object that holds one of them.
fn prose(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => {
            let lines: Vec<String> = items.iter().filter_map(validation).collect();
            (!lines.is_empty()).then(|| lines.join("; "))
        }
        Value::Object(object) => {
            ["detail", "message"].iter().find_map(|name| prose(object.get(*name)?)).or_else(|| Some(value.to_string()))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// One entry of FastAPI's `detail`: `body.stream_options: Extra inputs are not permitted`.
fn validation(item: &Value) -> Option<String> {
    if let Value::String(text) = item {
        return Some(text.clone());
    }
    let text = word(item.get("msg").or_else(|| item.get("message"))?)?;
    let path: Vec<String> = item.get("loc").and_then(Value::as_array).into_iter().flatten().filter_map(word).collect();
    Some(if path.is_empty() { text } else { format!("{}: {text}", path.join(".")) })
}

fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn html_title(html: &str) -> Option<&str> {
    let lower = html.to_ascii_lowercase();
    let start = lower.find("<title>")? + "<title>".len();
    let len = lower.get(start..)?.find("</title>")?;
    html.get(start..start + len).map(str::trim)
}

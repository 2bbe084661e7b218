//! Whole answers in the OpenAI dialect: the shown model's name put in, usage read, everything else left as it came.

use std::fmt::Display;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::{
    embeddings,
    error::{ErrorClass, UpstreamError},
    json::{self, Member},
    provider::{Decoded, Operation, Shown, upstream_error},
    splice::{self, Editor, Splices},
    usage::{Reading, Service, Usage},
};

mod large;
mod lists;
pub(crate) mod thoughts;

pub use large::LargeAnswer;
pub(crate) use lists::plain as plain_contents;

/// Turns a whole 2xx body into what the client is shown.
///
/// # Errors
/// The upstream's fault: not a JSON object, an error under a 2xx status, or an answer without its result.
pub fn decode(operation: Operation, body: &Bytes, shown: &Shown) -> Result<Decoded, UpstreamError> {
    let mut members = Vec::with_capacity(16);
    let mut reading = Reading::default();
    json::scan_into(body, &mut members, &mut reading).map_err(|error| bad_answer(&error))?;
    let result = match operation {
        Operation::Chat | Operation::Completions => "choices",
        Operation::Embeddings | Operation::Images | Operation::ImageEdits => "data",
        Operation::Messages => "content",
        Operation::CountTokens => "input_tokens",
        Operation::Responses => "output",
        Operation::GenerateContent => "candidates",
        Operation::CountContent => "totalTokens",
        Operation::Rerank | Operation::Moderations => "results",
        Operation::Speech | Operation::Transcriptions | Operation::Translations | Operation::PassThrough => "text",
    };
    let is_result = |value: &[u8]| match operation {
        Operation::CountTokens | Operation::CountContent => json::as_count(value).is_some(),
        Operation::Speech | Operation::Transcriptions | Operation::Translations => value.first() == Some(&b'"'),
        _ => value.first() == Some(&b'['),
    };
    if !json::member(body, &members, result).is_some_and(is_result) {
        let failed = ["error", "message", "detail"].iter().any(|name| is_told(body, &members, name));
        return Err(if failed { reported(body) } else { bad_answer(&format_args!("it holds no '{result}'")) });
    }
    // A count of tokens costs none.
    let usage = if operation.counts() { Some(Usage::default()) } else { reading.usage() };
    let service = Service::of(json::member(body, &members, "service_tier"));
    let usage = usage.map(|usage| usage.served(service));
    let model = json::quoted(&shown.model);
    let converted = match json::member(body, &members, "data") {
        Some(data) if operation == Operation::Embeddings => embeddings::convert(data, shown.base64_embeddings)?,
        _ => None,
    };
    let mut named = members.iter().filter(|member| member.is("model", body));
    let shown = match (named.next(), named.next(), converted) {
        (None, _, None) => Splices::from(body.clone()),
        (Some(only), None, None) if only.value.of(body) == model => Splices::from(body.clone()),
        (Some(only), None, None) => splice::replaced(body, only.value, &model.into()),
        (_, _, converted) => {
            let mut editor = Editor::new(body, &members);
            if editor.value("model").is_some_and(|value| value != model) {
                editor.replace("model", model);
            }
            if let Some(converted) = converted {
                editor.replace("data", converted);
            }
            editor.finish()
        }
    };
    Ok(Decoded { body: shown, usage })
}

fn is_told(body: &[u8], members: &[Member], name: &str) -> bool {
    json::member(body, members, name).is_some_and(|value| !matches!(value, b"null" | b"false" | b"\"\"" | b"{}"))
}

/// An answer that is not what it should be.
#[cold]
pub(crate) fn bad_answer(why: &dyn Display) -> UpstreamError {
    UpstreamError {
        class: ErrorClass::BadAnswer,
        status: 0,
        message: format!("The upstream's answer cannot be used: {why}."),
        kind: None,
        param: None,
        code: None,
        retry_after: None,
    }
}

/// An error object under a 2xx status; classed by the status that it names itself, else as the server's failure.
#[cold]
pub(crate) fn reported(body: &[u8]) -> UpstreamError {
    let named = |text: &[u8]| -> Option<StatusCode> {
        let members = json::scan(text).ok()?;
        let code = json::as_count(json::member(text, &members, "code")?)?;
        StatusCode::from_u16(u16::try_from(code).ok()?).ok().filter(|status| status.as_u16() >= 400)
    };
    let inner = json::scan(body).ok().and_then(|members| json::member(body, &members, "error"));
    let status = inner.and_then(named).or_else(|| named(body)).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    UpstreamError { status: 0, ..upstream_error(status, &HeaderMap::new(), body) }
}

//! What clients speak, for upstreams that speak something else: requests read into the neutral form, answers written from it.

use bytes::Bytes;

use crate::{
    chat::{Answer, Chat, Event},
    error::EncodeError,
    json,
    provider::{Dialect, Operation, Shown, Target},
    request::Request,
    splice::Splices,
    usage::Usage,
};

mod anthropic;
mod embeddings;
pub(crate) mod gemini;
mod openai;
mod responses;

pub(crate) use embeddings::{Embed, Vectors};

/// A client's request with the backend's `params` applied, what is the gateway's own taken out, and the output capped.
///
/// # Errors
/// The client's fault: a member of the wrong shape.
pub(crate) fn read(operation: Operation, request: &Request, target: &Target<'_>) -> Result<Chat, EncodeError> {
    let body = prepared(request, target);
    let members = json::scan(&body).map_err(|error| invalid("body", &error))?;
    let members = members.iter().map(|member| (member.name(&body), member.value.of(&body)));
    let mut chat = match operation {
        Operation::Messages | Operation::CountTokens => anthropic::request::read(members)?,
        Operation::Responses => responses::request::read(members)?,
        Operation::GenerateContent => gemini::request::read(members, request.stream())?,
        // Adapters refuse the others before.
        _ => openai::request::read(members)?,
    };
    target.fetched.put_into(&mut chat);
    chat.take_signatures();
    if let Some(most) = target.max_output_tokens {
        chat.max_tokens = Some(chat.max_tokens.map_or(most, |asked| asked.min(most)));
    }
    Ok(chat)
}

/// A client's embeddings request, likewise.
///
/// # Errors
/// The client's fault.
pub(crate) fn read_embed(request: &Request, target: &Target<'_>) -> Result<Embed, EncodeError> {
    let body = prepared(request, target);
    let members = json::scan(&body).map_err(|error| invalid("body", &error))?;
    Embed::read(members.iter().map(|member| (member.name(&body), member.value.of(&body))))
}

/// A whole answer in the client's dialect.
pub(crate) fn write(operation: Operation, answer: &Answer, shown: &Shown) -> Splices {
    let restored = (!shown.recall.is_empty()).then(|| {
        let mut answer = answer.clone();
        shown.recall.restore(&mut answer);
        answer
    });
    let answer = restored.as_ref().unwrap_or(answer);
    let body = match operation {
        Operation::Messages | Operation::CountTokens => anthropic::answer::write(answer, shown),
        Operation::Responses => responses::answer::write(answer, shown),
        Operation::GenerateContent => gemini::answer::write(answer, shown),
        // The others are refused by `read`.
        _ => openai::answer::write(answer, shown),
    };
    Splices::from(Bytes::from(body))
}

/// Writes one streamed answer in the client's dialect.
pub(crate) trait Writer: Send {
    /// The next piece; [`Event::Usage`] and [`Event::End`] never come here.
    fn write(&mut self, event: Event, out: &mut Vec<u8>);

    /// The end, with the tokens and their cost in nano-USD as far as known.
    fn end(&mut self, usage: Option<&Usage>, cost: Option<i64>, out: &mut Vec<u8>);
}

/// The writer of a client's dialect.
pub(crate) fn writer(operation: Operation, shown: Shown) -> Box<dyn Writer> {
    match operation {
        Operation::Messages | Operation::CountTokens => Box::new(anthropic::stream::Blocks::new(shown)),
        Operation::Responses => Box::new(responses::stream::Events::new(shown)),
        Operation::GenerateContent => Box::new(gemini::stream::Pieces::new(shown)),
        _ => Box::new(openai::stream::Chunks::new(shown)),
    }
}

/// [`Shown::repeated`] of a client of Gemini's that wants to see thoughts; others do not, as without it Google shows none.
pub(crate) const GEMINI_THOUGHTS: &[u8] = b"thoughts";

/// Members of the request that the answer repeats in this dialect, or what else of it says how the answer looks.
pub(crate) fn repeated(operation: Operation, request: &Request) -> Bytes {
    match operation.dialect() {
        Dialect::Responses => responses::answer::repeated(request),
        Dialect::Gemini if gemini::request::shows_thoughts(request) => Bytes::from_static(GEMINI_THOUGHTS),
        Dialect::OpenAi | Dialect::Anthropic | Dialect::Gemini => Bytes::new(),
    }
}

/// A client's body with what is the gateway's own taken out and the backend's `params` applied.
pub(crate) fn prepared(request: &Request, target: &Target<'_>) -> Bytes {
    let mut edit = request.edit();
    if request.has_gateway_only() {
        edit.strip_gateway_only();
    }
    target.params.apply(&mut edit);
    edit.finish().to_bytes()
}

/// OpenAI's `service_tier`: the classes that others have as well. Any other leaves it to the provider.
fn service_tier(text: &[u8]) -> Option<&'static str> {
    ["flex", "priority"].into_iter().find(|tier| json::as_str(text).is_some_and(|asked| asked == *tier))
}

/// A member that cannot be read.
pub(crate) fn invalid(param: &str, why: &dyn std::fmt::Display) -> EncodeError {
    EncodeError {
        message: format!("Invalid value for '{param}': {why}.").into(),
        param: Some(param.to_owned().into()),
        code: "invalid_value",
    }
}

/// Reads a member's JSON.
pub(crate) fn value<'a, T: serde::Deserialize<'a>>(param: &str, text: &'a [u8]) -> Result<T, EncodeError> {
    serde_json::from_slice(text).map_err(|error| invalid(param, &Plain(&error)))
}

/// A JSON error without its position, which is that within the member.
struct Plain<'a>(&'a serde_json::Error);

impl std::fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.0.to_string();
        f.write_str(text.split(" at line ").next().unwrap_or(&text))
    }
}

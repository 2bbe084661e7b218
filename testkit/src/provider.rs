//! What tells one provider's dialect from another: what it refuses and how a well-behaved answer looks.
//!
//! [`Upstream`](crate::Upstream) does the rest (connections, scripts, the log); `Demands::speaks` has it speak one of these.

use std::fmt::Debug;

use http::HeaderMap;
use serde_json::Value;

use crate::upstream::{Parts, Refusal, Say};

mod anthropic;
mod bedrock;
mod cohere;
mod google;
mod media;
mod ollama;
mod openai;
mod openai_like;
mod responses;
mod rows;

pub use anthropic::Anthropic;
pub use bedrock::{Bedrock, event, exception};
pub use cohere::Cohere;
pub use google::{Gemini, Vertex};
pub use media::{Media, SOUND};
pub use ollama::Ollama;
pub use openai::OpenAi;
pub use openai_like::OpenAiLike;
pub use responses::{OpenAiResponses, SEALED};

/// One request, as far as it came whole.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Without the query.
    pub path: &'a str,
    /// Without the question mark; empty where there is none.
    pub query: &'a str,
    /// All of them.
    pub headers: &'a HeaderMap,
    /// The bytes as they came.
    pub raw: &'a [u8],
    /// The same parsed.
    pub body: &'a Value,
    /// The only key that is let in.
    pub key: Option<&'a str>,
}

/// A provider's dialect.
pub trait Dialect: Debug + Send + Sync {
    /// The upstream's name of the model, wherever the dialect puts it.
    fn model<'a>(&self, asked: &Asked<'a>) -> &'a str {
        asked.body.get("model").and_then(Value::as_str).unwrap_or_default()
    }

    /// Checks [`Asked::key`].
    ///
    /// # Errors
    /// It is not there.
    fn authenticate(&self, asked: &Asked<'_>) -> Result<(), Refusal>;

    /// Refuses what the real one refuses of a POST.
    ///
    /// # Errors
    /// Why the request is refused.
    fn check(&self, asked: &Asked<'_>) -> Result<(), Refusal>;

    /// What the real one answers to it, in the pieces in which it is sent.
    fn answer(&self, asked: &Asked<'_>, say: &Say) -> Parts;

    /// An error's body.
    fn error(&self, refusal: &Refusal) -> Value;
}

impl<'a> Asked<'a> {
    /// A header's value where it is text.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Whether the request may come in with this value of the key.
    pub fn has_key(&self, sent: Option<&str>) -> bool {
        self.key.is_none_or(|key| sent == Some(key))
    }

    /// The key of `Authorization: Bearer`.
    pub fn bearer(&self) -> Option<&'a str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }

    /// A member of the body that is a string.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.body.get(name).and_then(Value::as_str)
    }

    /// Whether a member of the body is `true`.
    pub fn is_set(&self, name: &str) -> bool {
        self.body.get(name).and_then(Value::as_bool) == Some(true)
    }
}

/// Refuses members of an object that are not in the list, as APIs do that forbid extra fields.
///
/// # Errors
/// Names the first one.
pub fn only(object: &Value, known: &[&str]) -> Result<(), Refusal> {
    let members = object.as_object().ok_or_else(|| Refusal::bad("expected an object"))?;
    match members.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(Refusal::bad(format!("unknown field: {name}"))),
        None => Ok(()),
    }
}

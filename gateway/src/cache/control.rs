//! What a request says about caching: the member `cache` in the shape of `LiteLLM`'s clients, and `Cache-Control`.

use std::{borrow::Cow, time::Duration};

use http::{HeaderMap, header};
use turnpike_llm::{json, request::Request};

use crate::error::Error;

/// Longest `namespace`, bytes.
const MAX_NAMESPACE: usize = 256;

/// What a request asks of the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// A kept answer may be used.
    pub read: bool,
    /// The answer may be kept.
    pub write: bool,
    /// Longest time that the answer is kept, if shorter than what the model's settings say.
    pub ttl: Option<Duration>,
    /// Greatest age of a kept answer that may be used.
    pub max_age: Option<Duration>,
    /// Requests of different ones share nothing.
    pub namespace: Option<Box<str>>,
    /// Answers that call tools may be kept too.
    pub tool_calls: bool,
}

impl Default for Control {
    fn default() -> Self {
        Self { read: true, write: true, ttl: None, max_age: None, namespace: None, tool_calls: false }
    }
}

impl Control {
    /// Reads them.
    ///
    /// # Errors
    /// The client's fault: a value of the wrong type, or a member of `cache` that nobody knows.
    pub fn of(request: &Request, headers: &HeaderMap) -> Result<Self, Error> {
        let mut control = Self::default();
        for value in headers.get_all(header::CACHE_CONTROL) {
            control.directives(value.to_str().unwrap_or_default());
        }
        if let Some(value) = request.member("cache").filter(|value| *value != b"null") {
            control.members(value)?;
        }
        Ok(control)
    }

    /// Nothing is looked up, and nothing kept.
    pub fn is_off(&self) -> bool {
        !self.read && !self.write
    }

    /// RFC 9111; what is unknown is ignored, as it says.
    fn directives(&mut self, text: &str) {
        for directive in text.split(',') {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "no-cache" => self.read = false,
                "no-store" => self.write = false,
                "max-age" => {
                    let seconds = value.trim().trim_matches('"').parse().ok();
                    self.max_age = seconds.map(Duration::from_secs).or(self.max_age);
                }
                _ => {}
            }
        }
    }

    fn members(&mut self, value: &[u8]) -> Result<(), Error> {
        if value.first() != Some(&b'{') {
            return Err(wrong("cache", "an object such as {\"no-cache\": true}"));
        }
        for member in json::scan(value).map_err(turnpike_llm::request::ScanError::from)? {
            let said = member.value.of(value);
            if said == b"null" {
                continue;
            }
            match &*member.name(value) {
                "no-cache" | "no_cache" => self.read &= !boolean("cache.no-cache", said)?,
                "no-store" | "no_store" => self.write &= !boolean("cache.no-store", said)?,
                "use-cache" | "use_cache" if !boolean("cache.use-cache", said)? => {
                    (self.read, self.write) = (false, false);
                }
                "use-cache" | "use_cache" => {}
                "ttl" => self.ttl = Some(seconds("cache.ttl", said)?),
                "s-maxage" | "s-max-age" | "s_maxage" => self.max_age = Some(seconds("cache.s-maxage", said)?),
                "namespace" => self.namespace = Some(namespace(said)?),
                "tool-calls" | "tool_calls" => self.tool_calls = boolean("cache.tool-calls", said)?,
                other => return Err(unknown(other)),
            }
        }
        Ok(())
    }
}

fn boolean(field: &'static str, value: &[u8]) -> Result<bool, Error> {
    match value {
        b"true" => Ok(true),
        b"false" => Ok(false),
        _ => Err(wrong(field, "true or false")),
    }
}

fn seconds(field: &'static str, value: &[u8]) -> Result<Duration, Error> {
    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse::<f64>().ok());
    let time = number.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.ok_or_else(|| wrong(field, "a number of seconds, 0 or more"))
}

fn namespace(value: &[u8]) -> Result<Box<str>, Error> {
    match json::as_str(value) {
        Some(text) if text.len() <= MAX_NAMESPACE => Ok(text.into()),
        Some(_) | None => Err(wrong("cache.namespace", "a text of at most 256 bytes")),
    }
}

fn wrong(field: &'static str, expected: &str) -> Error {
    Error::Invalid { message: format!("'{field}' must be {expected}.").into(), param: Some(field) }
}

fn unknown(name: &str) -> Error {
    let name: Cow<'_, str> = name.chars().take(64).collect();
    Error::Invalid {
        message: format!(
            "'cache' has no member '{name}'. It takes no-cache, no-store, use-cache, ttl, s-maxage, namespace and tool-calls."
        )
        .into(),
        param: Some("cache"),
    }
}

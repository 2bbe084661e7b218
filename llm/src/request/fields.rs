//! Reading the members that the gateway acts on, each once and of the right type.

use std::borrow::Cow;

use super::{ScanError, gateway_only};
use crate::json::{self, Member, Span};

/// What the interpreted members say; defaults where they are absent or null.
#[derive(Clone, Default)]
pub(super) struct Fields {
    pub(super) model: Option<Box<str>>,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) max_tokens: Option<u64>,
    pub(super) max_completion_tokens: Option<u64>,
    pub(super) max_output_tokens: Option<u64>,
    pub(super) n: Option<u64>,
    pub(super) user: Option<Box<str>>,
    pub(super) metadata: Option<Span>,
    pub(super) tags: Vec<String>,
    pub(super) base64: bool,
    pub(super) drop_params: Option<bool>,
    pub(super) gateway_only: bool,
}

macro_rules! interpreted {
    ($($field:ident = $name:literal,)*) => {
        /// A member that the gateway reads, here or elsewhere: given twice, two readers could see two requests.
        #[derive(Clone, Copy)]
        enum Field { $($field),* }

        impl Field {
            fn of(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$field),)*
                    _ => None,
                }
            }

            fn name(self) -> &'static str {
                match self {
                    $(Self::$field => $name),*
                }
            }
        }
    };
}

interpreted! {
    Model = "model",
    Stream = "stream",
    StreamOptions = "stream_options",
    MaxTokens = "max_tokens",
    MaxCompletionTokens = "max_completion_tokens",
    MaxOutputTokens = "max_output_tokens",
    N = "n",
    User = "user",
    Metadata = "metadata",
    Tags = "tags",
    EncodingFormat = "encoding_format",
    DropParams = "drop_params",
    Messages = "messages",
    Prompt = "prompt",
    Input = "input",
    Cache = "cache",
    NumRetries = "num_retries",
    Fallbacks = "fallbacks",
    ContextWindowFallbacks = "context_window_fallbacks",
    ContentPolicyFallbacks = "content_policy_fallbacks",
    DisableFallbacks = "disable_fallbacks",
}

impl Fields {
    pub(super) fn read(body: &[u8], members: &[Member]) -> Result<Self, ScanError> {
        let mut fields = Self::default();
        let mut seen = 0_u32;
        for member in members {
            let name = match member.plain_name(body).map(std::str::from_utf8) {
                Some(Ok(plain)) => Cow::Borrowed(plain),
                _ => member.name(body),
            };
            if let Some(field) = Field::of(&name) {
                let bit = 1 << field as u32;
                if seen & bit != 0 {
                    return Err(duplicate(field));
                }
                seen |= bit;
                fields.take(field, member.value, body)?;
            }
            fields.gateway_only |= gateway_only(&name);
        }
        if let Some(metadata) = fields.metadata {
            fields.of_metadata(metadata.of(body))?;
        }
        Ok(fields)
    }

    /// Of a form's parts that are texts.
    pub(super) fn of_form<'a>(parts: impl Iterator<Item = (&'a str, &'a [u8])>) -> Result<Self, ScanError> {
        let mut fields = Self::default();
        let mut seen = 0_u32;
        for (name, text) in parts {
            let Some(field @ (Field::Model | Field::Stream | Field::User | Field::N)) = Field::of(name) else {
                continue;
            };
            let bit = 1 << field as u32;
            if seen & bit != 0 {
                return Err(duplicate(field));
            }
            seen |= bit;
            let text = std::str::from_utf8(text).map_err(|_| wrong_type(field.name(), "a text in UTF-8"))?;
            match field {
                Field::Model => fields.model = Some(text.into()),
                Field::Stream => fields.stream = matches!(text, "true" | "True" | "1"),
                Field::N => fields.n = count(field, text.trim().as_bytes())?.map(|n| n.max(1)),
                _ => fields.user = (!text.is_empty()).then(|| text.into()),
            }
        }
        Ok(fields)
    }

    fn take(&mut self, field: Field, span: Span, body: &[u8]) -> Result<(), ScanError> {
        let value = span.of(body);
        if value == b"null" {
            return Ok(());
        }
        match field {
            Field::Model => self.model = Some(string(field, value)?),
            Field::Stream => self.stream = boolean(field, value)?,
            Field::StreamOptions => self.stream_options(value)?,
            Field::MaxTokens => self.max_tokens = count(field, value)?,
            Field::MaxCompletionTokens => self.max_completion_tokens = count(field, value)?,
            Field::MaxOutputTokens => self.max_output_tokens = count(field, value)?,
            Field::N => self.n = count(field, value)?.map(|n| n.max(1)),
            Field::User => self.user = Some(string(field, value)?),
            Field::Metadata if value.first() == Some(&b'{') => self.metadata = Some(span),
            Field::Metadata => return Err(wrong_type("metadata", "an object or null")),
            Field::Tags => match strings(value)? {
                Some(tags) => self.add_tags(tags),
                None => return Err(wrong_type("tags", "an array of strings or null")),
            },
            Field::EncodingFormat => self.base64 = string(field, value)?.as_ref() == "base64",
            Field::DropParams => self.drop_params = Some(boolean(field, value)?),
            // Read elsewhere: by adapters, the token counter, the cache and routing.
            Field::Messages
            | Field::Prompt
            | Field::Input
            | Field::Cache
            | Field::NumRetries
            | Field::Fallbacks
            | Field::ContextWindowFallbacks
            | Field::ContentPolicyFallbacks
            | Field::DisableFallbacks => {}
        }
        Ok(())
    }

    fn stream_options(&mut self, value: &[u8]) -> Result<(), ScanError> {
        if value.first() != Some(&b'{') {
            return Err(wrong_type("stream_options", "an object or null"));
        }
        let mut seen = false;
        for member in json::scan(value)? {
            if !member.is("include_usage", value) {
                continue;
            }
            if std::mem::replace(&mut seen, true) {
                return Err(ScanError {
                    param: Some("stream_options.include_usage"),
                    ..duplicate(Field::StreamOptions)
                });
            }
            self.include_usage = match member.value.of(value) {
                b"true" => true,
                b"false" | b"null" => false,
                _ => {
                    return Err(wrong_type("stream_options.include_usage", "a boolean or null"));
                }
            };
        }
        Ok(())
    }

    /// `metadata` belongs to the caller: a `tags` in it that is no list of strings is left alone, and so is a `user_id` that
    /// is no string.
    fn of_metadata(&mut self, metadata: &[u8]) -> Result<(), ScanError> {
        let members = json::scan(metadata)?;
        if let Some(value) = json::member(metadata, &members, "tags")
            && let Some(tags) = strings(value)?
        {
            self.add_tags(tags);
        }
        if self.user.is_none() {
            let id = json::member(metadata, &members, "user_id").and_then(json::as_str);
            self.user = id.filter(|id| !id.is_empty()).map(Into::into);
        }
        Ok(())
    }

    fn add_tags(&mut self, tags: Vec<String>) {
        for tag in tags {
            if !self.tags.contains(&tag) {
                self.tags.push(tag);
            }
        }
    }
}

fn string(field: Field, value: &[u8]) -> Result<Box<str>, ScanError> {
    let text = json::as_str(value).ok_or_else(|| wrong_type(field.name(), "a string"))?;
    Ok(text.into())
}

fn boolean(field: Field, value: &[u8]) -> Result<bool, ScanError> {
    match value {
        b"true" => Ok(true),
        b"false" => Ok(false),
        _ => Err(wrong_type(field.name(), "a boolean or null")),
    }
}

/// Negative numbers mean "no limit" to some servers, so they are no error here.
fn count(field: Field, value: &[u8]) -> Result<Option<u64>, ScanError> {
    match value.first() {
        Some(b'-' | b'0'..=b'9') => Ok(json::as_count(value)),
        _ => Err(wrong_type(field.name(), "an integer or null")),
    }
}

/// `None` where the value is not an array of strings.
fn strings(value: &[u8]) -> Result<Option<Vec<String>>, ScanError> {
    if value.first() != Some(&b'[') {
        return Ok(None);
    }
    let elements = json::elements(value)?;
    Ok(elements.iter().map(|span| json::as_str(span.of(value)).map(Cow::into_owned)).collect())
}

#[cold]
fn duplicate(field: Field) -> ScanError {
    let name = field.name();
    ScanError {
        message: format!("Member '{name}' is given more than once.").into(),
        param: Some(name),
        code: "duplicate_key",
    }
}

#[cold]
fn wrong_type(name: &'static str, expected: &str) -> ScanError {
    ScanError { message: format!("'{name}' must be {expected}.").into(), param: Some(name), code: "invalid_type" }
}

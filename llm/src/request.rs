//! The client's request: its bytes, where its members lie, and the few of them that the gateway itself reads.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;

use crate::{
    bound::Media,
    conversation::Stored,
    json::{self, Cause, JsonError, Member},
    splice::Editor,
};

pub(crate) mod contents;
mod fields;
mod form;
mod gateway_only;

use fields::Fields;
pub(crate) use form::Form;
pub use gateway_only::{GATEWAY_ONLY, GATEWAY_ONLY_PREFIXES, gateway_only};

/// The client's body is not a request (HTTP 400). `Display` is for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ScanError {
    /// For the caller; never quotes the body.
    pub message: Cow<'static, str>,
    /// The offending member.
    pub param: Option<&'static str>,
    /// OpenAI's `code`: `duplicate_key`, `invalid_type`, `invalid_json`, `invalid_utf8`, `byte_order_mark`, `utf16_body`,
    /// `invalid_form`.
    pub code: &'static str,
}

impl From<JsonError> for ScanError {
    fn from(error: JsonError) -> Self {
        let code = match error.cause {
            Cause::ByteOrderMark => "byte_order_mark",
            Cause::Utf16 => "utf16_body",
            Cause::InvalidUtf8 => "invalid_utf8",
            Cause::Empty
            | Cause::NotAnObject
            | Cause::UnexpectedEnd
            | Cause::UnexpectedByte
            | Cause::ControlCharacter
            | Cause::InvalidEscape
            | Cause::InvalidNumber
            | Cause::TooDeep
            | Cause::TrailingData => "invalid_json",
        };
        let message = format!("The request body cannot be read as JSON: {error}.");
        Self { message: message.into(), param: None, code }
    }
}

/// A scanned request. Values that the gateway does not read are checked for grammar only.
#[derive(Clone)]
pub struct Request {
    body: Bytes,
    members: Vec<Member>,
    fields: Fields,
    media: Media,
    form: Option<Arc<Form>>,
    stored: Option<Arc<Stored>>,
}

impl std::fmt::Debug for Request {
    /// Names sizes only: prompts must not reach a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Request({} bytes, {} members)", self.body.len(), self.members.len())
    }
}

impl Request {
    /// Checks the whole body and reads the members that the gateway acts on.
    ///
    /// # Errors
    /// The client's fault: not one JSON object in UTF-8, a member that the gateway reads given twice (whatever its
    /// escapes), or one of the wrong type. Members that only upstreams read may be anything.
    pub fn scan(body: Bytes) -> Result<Self, ScanError> {
        let mut members = Vec::with_capacity(16);
        let mut media = Media::default();
        json::scan_into(&body, &mut members, &mut media)?;
        media.settle();
        let fields = Fields::read(&body, &members)?;
        Ok(Self { body, members, fields, media, form: None, stored: None })
    }

    /// Reads a form instead of JSON: `model`, `stream`, `user` and `n` are those of its parts, and it has no members.
    ///
    /// # Errors
    /// The client's fault: no form, one that can be read in two ways, or a part that the gateway reads given twice.
    pub fn scan_form(body: Bytes, content_type: &str) -> Result<Self, ScanError> {
        let form = Form::scan(&body, content_type)?;
        let fields = Fields::of_form(form.texts(&body))?;
        let (members, media) = (Vec::new(), Media::default());
        Ok(Self { body, members, fields, media, form: Some(Arc::new(form)), stored: None })
    }

    /// Reads a request in Gemini's words, whose path says whether it is streamed: `maxOutputTokens` and `candidateCount` of its
    /// settings are [`Self::max_output_tokens`] and [`Self::n`].
    ///
    /// # Errors
    /// As [`Self::scan`].
    pub fn scan_contents(body: Bytes, stream: bool) -> Result<Self, ScanError> {
        let mut members = Vec::with_capacity(16);
        let mut media = Media::of_contents();
        json::scan_into(&body, &mut members, &mut media)?;
        media.settle();
        let mut fields = Fields::read(&body, &members)?;
        contents::read(&body, &members, &mut fields)?;
        fields.stream = stream;
        Ok(Self { body, members, fields, media, form: None, stored: None })
    }

    /// Takes what may be anything: where it is no request as [`Self::scan`] wants it, none of its members are known.
    pub fn opaque(body: Bytes) -> Self {
        Self::scan(body.clone()).unwrap_or_else(|_| Self {
            body,
            members: Vec::new(),
            fields: Fields::default(),
            media: Media::default(),
            form: None,
            stored: None,
        })
    }

    /// `model`, unescaped; `None` where absent or null.
    pub fn model(&self) -> Option<&str> {
        self.fields.model.as_deref()
    }

    /// `stream`, false by default.
    pub fn stream(&self) -> bool {
        self.fields.stream
    }

    /// `stream_options.include_usage`, false by default.
    pub fn include_usage(&self) -> bool {
        self.fields.include_usage
    }

    /// Tokens that the client allows for one choice: `max_completion_tokens`, else `max_output_tokens`, else `max_tokens`.
    /// Negative = unlimited = `None`.
    pub fn max_output_tokens(&self) -> Option<u64> {
        let fields = &self.fields;
        fields.max_completion_tokens.or(fields.max_output_tokens).or(fields.max_tokens)
    }

    /// `n`, the number of choices; 1 by default.
    pub fn n(&self) -> u64 {
        self.fields.n.unwrap_or(1)
    }

    /// `user`, else `metadata.user_id` (Anthropic's): the end user in the client's words.
    pub fn user(&self) -> Option<&str> {
        self.fields.user.as_deref()
    }

    /// `metadata` as raw JSON (an object).
    pub fn metadata(&self) -> Option<&[u8]> {
        self.fields.metadata.map(|span| span.of(&self.body))
    }

    /// Strings of `tags`, then those of `metadata.tags`, in order, without duplicates.
    pub fn tags(&self) -> &[String] {
        &self.fields.tags
    }

    /// `encoding_format` is `base64`.
    pub fn base64_embeddings(&self) -> bool {
        self.fields.base64
    }

    /// The request's own `drop_params`.
    pub fn drop_params(&self) -> Option<bool> {
        self.fields.drop_params
    }

    /// The raw value of a member; of the last one where an uninterpreted member is given twice.
    pub fn member(&self, name: &str) -> Option<&[u8]> {
        json::member(&self.body, &self.members, name)
    }

    /// Whether a member is there, null or not.
    pub fn has(&self, name: &str) -> bool {
        self.members.iter().any(|member| member.is(name, &self.body))
    }

    /// Every member in order: unescaped key and raw value.
    pub fn members(&self) -> impl Iterator<Item = (Cow<'_, str>, &[u8])> {
        self.members.iter().map(|member| (member.name(&self.body), member.value.of(&self.body)))
    }

    /// Whether [`Editor::strip_gateway_only`] would delete anything.
    pub fn has_gateway_only(&self) -> bool {
        self.fields.gateway_only
    }

    /// Starts a changed copy that shares the unchanged bytes.
    pub fn edit(&self) -> Editor<'_> {
        Editor::new(&self.body, &self.members)
    }

    /// The parts of a form; `None` = it is JSON.
    pub(crate) fn form(&self) -> Option<&Form> {
        self.form.as_deref()
    }

    /// Says what is kept of its answer.
    pub fn keep(&mut self, stored: Stored) {
        self.stored = Some(Arc::new(stored));
    }

    /// What is kept of its answer; `None` = nothing.
    pub fn stored(&self) -> Option<&Arc<Stored>> {
        self.stored.as_ref()
    }

    /// What the prompt holds beside text.
    pub(crate) fn media(&self) -> &Media {
        &self.media
    }

    /// The body as it came.
    pub fn bytes(&self) -> &Bytes {
        &self.body
    }
}

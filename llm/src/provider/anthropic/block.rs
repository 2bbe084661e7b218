//! Parts of messages in Anthropic's words.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;
use serde_json::value::RawValue;

use super::beta::Betas;
use crate::{
    chat::{self, CacheLifetime, Content, Support, fitting},
    error::EncodeError,
};

/// Longer ids of calls are made shorter.
const MAX_ID: usize = 512;

/// A part, with its mark.
#[derive(Serialize)]
pub(super) struct Block<'a> {
    #[serde(flatten)]
    pub(super) says: Says<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<CacheControl>,
}

/// What a part holds.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Says<'a> {
    Text {
        text: &'a str,
    },
    Image {
        source: Source<'a>,
    },
    Document {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'a str>,
    },
    Thinking {
        thinking: &'a str,
        signature: &'a str,
    },
    RedactedThinking {
        data: &'a str,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: &'a str,
        input: Box<RawValue>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        content: Vec<Block<'a>>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Source<'a> {
    Base64 { media_type: &'a str, data: &'a str },
    Text { media_type: &'static str, data: String },
    Url { url: &'a str },
    File { file_id: &'a str },
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "ephemeral")]
pub(super) struct CacheControl {
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<&'static str>,
}

impl CacheControl {
    /// A mark.
    pub(super) fn of(lifetime: CacheLifetime) -> Self {
        Self { ttl: (lifetime == CacheLifetime::Hour).then_some("1h") }
    }
}

/// Makes parts.
pub(super) struct Blocks<'a, 'b> {
    pub(super) support: Support<'b>,
    pub(super) betas: &'a mut Betas,
}

impl Blocks<'_, '_> {
    /// A part; `None` for what Anthropic refuses though it says nothing: white space, and thoughts without a signature.
    pub(super) fn block<'c>(&mut self, block: &'c chat::Block) -> Result<Option<Block<'c>>, EncodeError> {
        let says = match &block.content {
            Content::Text(text) | Content::Refusal(text) if text.trim().is_empty() => return Ok(None),
            Content::Text(text) | Content::Refusal(text) => Says::Text { text },
            Content::Image { source, .. } => Says::Image { source: self.image(source)? },
            Content::Document { source, name } => self.document(source, name.as_deref())?,
            Content::Audio(_) => return Err(self.support.no_content("audio")),
            Content::Thinking { signature: None, .. } => return Ok(None),
            Content::Thinking { text, signature: Some(signature) } => Says::Thinking { thinking: text, signature },
            Content::RedactedThinking(data) => Says::RedactedThinking { data },
            Content::ToolCall(call) => Says::ToolUse { id: id(&call.id), name: &call.name, input: call.input() },
            Content::ToolResult { id: of, content, failed, .. } => {
                let content = content.iter().filter_map(|block| self.block(block).transpose());
                Says::ToolResult { tool_use_id: id(of), content: content.collect::<Result<_, _>>()?, is_error: *failed }
            }
        };
        // Thoughts cannot be marked.
        let markable = !matches!(says, Says::Thinking { .. } | Says::RedactedThinking { .. });
        Ok(Some(Block { says, cache_control: block.cache.filter(|_| markable).map(CacheControl::of) }))
    }

    fn image<'c>(&mut self, source: &'c chat::Source) -> Result<Source<'c>, EncodeError> {
        match source {
            chat::Source::Inline { media_type, data } => {
                let media_type = if media_type == "image/jpg" { "image/jpeg" } else { media_type };
                Ok(Source::Base64 { media_type, data })
            }
            chat::Source::Url(url) if url.starts_with("https://") => Ok(Source::Url { url }),
            chat::Source::Url(_) => {
                Err(self.support.no_content("images by http:// URL; send them by https:// or data: URL"))
            }
            chat::Source::File(id) => Ok(self.file(id)),
        }
    }

    fn document<'c>(&mut self, source: &'c chat::Source, title: Option<&'c str>) -> Result<Says<'c>, EncodeError> {
        let source = match source {
            chat::Source::Inline { media_type, .. } if media_type.starts_with("image/") => {
                return Ok(Says::Image { source: self.image(source)? });
            }
            chat::Source::Inline { media_type, data } if media_type == "application/pdf" => {
                Source::Base64 { media_type, data }
            }
            chat::Source::Inline { media_type, data } if media_type.starts_with("text/") => {
                let text = STANDARD.decode(data).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                let data = text.ok_or_else(|| self.support.no_content("text files that are not UTF-8 in base64"))?;
                Source::Text { media_type: "text/plain", data }
            }
            chat::Source::Inline { media_type, .. } => {
                return Err(self
                    .support
                    .no_content(&format!("files of type '{media_type}'; send PDF, text or images")));
            }
            chat::Source::Url(url) if url.starts_with("https://") => Source::Url { url },
            chat::Source::Url(_) => {
                return Err(self
                    .support
                    .no_content("files by other URLs than https://; send them in place as 'file_data'"));
            }
            chat::Source::File(id) => self.file(id),
        };
        Ok(Says::Document { source, title })
    }

    fn file<'c>(&mut self, file_id: &'c str) -> Source<'c> {
        self.betas.file();
        Source::File { file_id }
    }
}

/// An id of a call as Anthropic takes it: other providers' may have more than letters, digits, `_` and `-`.
fn id(id: &str) -> Cow<'_, str> {
    fitting(id, b"_-", MAX_ID)
}

//! Parts of messages in Anthropic's words.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    chat::{Block, CacheLifetime, Content, Source, ToolCall},
    error::EncodeError,
    inbound::{invalid, value},
    json,
};

/// Any block: which members it has goes by its type.
#[derive(Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    title: Option<String>,
    source: Option<Box<RawValue>>,
    content: Option<Box<RawValue>>,
    thinking: Option<String>,
    signature: Option<String>,
    data: Option<String>,
    id: Option<String>,
    name: Option<String>,
    input: Option<Box<RawValue>>,
    tool_use_id: Option<String>,
    is_error: Option<bool>,
    cache_control: Option<CacheControl>,
}

/// Where a block's media are.
#[derive(Deserialize)]
struct Place {
    #[serde(rename = "type")]
    kind: String,
    media_type: Option<String>,
    data: Option<String>,
    url: Option<String>,
    file_id: Option<String>,
    content: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
pub(super) struct CacheControl {
    ttl: Option<String>,
}

impl CacheControl {
    pub(super) fn lifetime(self) -> CacheLifetime {
        if self.ttl.as_deref() == Some("1h") { CacheLifetime::Hour } else { CacheLifetime::Default }
    }
}

/// What a message or a tool's result holds: a text or an array of blocks.
pub(super) fn read(param: &str, content: &RawValue) -> Result<Vec<Block>, EncodeError> {
    let text = content.get().as_bytes();
    if let Some(text) = json::as_str(text) {
        return Ok(if text.is_empty() { Vec::new() } else { vec![Content::Text(text.into_owned()).into()] });
    }
    let parts: Vec<Part> = value(param, text)?;
    let mut blocks = Vec::with_capacity(parts.len());
    for (at, part) in parts.into_iter().enumerate() {
        part.add(&format!("{param}[{at}]"), &mut blocks)?;
    }
    Ok(blocks)
}

impl Part {
    fn add(mut self, param: &str, blocks: &mut Vec<Block>) -> Result<(), EncodeError> {
        let before = blocks.len();
        let cache = self.cache_control.take().map(CacheControl::lifetime);
        match self.kind.as_str() {
            "document" => self.document(param, blocks)?,
            "search_result" => self.search_result(param, blocks)?,
            // What a tool did that the provider ran itself: its outcome is in the text that follows.
            kind if kind == "server_tool_use" || kind.ends_with("_tool_result") => {}
            _ => blocks.push(self.content(param)?.into()),
        }
        if let Some(last) = blocks.get_mut(before..).and_then(<[_]>::last_mut) {
            last.cache = cache;
        }
        Ok(())
    }

    fn content(self, param: &str) -> Result<Content, EncodeError> {
        let missing = |member: &str| invalid(param, &format_args!("a block of this type needs '{member}'"));
        Ok(match self.kind.as_str() {
            "text" => Content::Text(self.text.ok_or_else(|| missing("text"))?),
            "image" => {
                let source: Place = value(param, self.source.ok_or_else(|| missing("source"))?.get().as_bytes())?;
                Content::Image { source: source.media(param)?, detail: None }
            }
            "thinking" => Content::Thinking {
                text: self.thinking.ok_or_else(|| missing("thinking"))?,
                signature: self.signature.filter(|signature| !signature.is_empty()),
            },
            "redacted_thinking" => Content::RedactedThinking(self.data.ok_or_else(|| missing("data"))?),
            "tool_use" => {
                let id = self.id.ok_or_else(|| missing("id"))?;
                let name = self.name.ok_or_else(|| missing("name"))?;
                let arguments = self.input.ok_or_else(|| missing("input"))?.get().to_owned();
                Content::ToolCall(ToolCall { id, name, arguments, signature: None })
            }
            "tool_result" => {
                let id = self.tool_use_id.ok_or_else(|| missing("tool_use_id"))?;
                let content = self.content.map(|content| read(&format!("{param}.content"), &content)).transpose()?;
                let (content, failed) = (content.unwrap_or_default(), self.is_error.unwrap_or(false));
                Content::ToolResult { id, name: None, content, failed }
            }
            other => {
                return Err(invalid(param, &format_args!("blocks of type '{other}' cannot be sent to this model")));
            }
        })
    }

    /// Texts go on as texts, which every model reads; the rest as files.
    fn document(self, param: &str, blocks: &mut Vec<Block>) -> Result<(), EncodeError> {
        let title = self.title;
        let heading = |title: Option<String>| title.map(|title| Content::Text(title).into());
        let source = self.source.ok_or_else(|| invalid(param, &"a block of this type needs 'source'"))?;
        match value(param, source.get().as_bytes())? {
            Place { kind, data: Some(text), .. } if kind == "text" => {
                blocks.extend(heading(title));
                blocks.push(Content::Text(text).into());
            }
            Place { kind, content: Some(content), .. } if kind == "content" => {
                blocks.extend(heading(title));
                blocks.extend(read(&format!("{param}.source.content"), &content)?);
            }
            place => blocks.push(Content::Document { source: place.media(param)?, name: title }.into()),
        }
        Ok(())
    }

    fn search_result(self, param: &str, blocks: &mut Vec<Block>) -> Result<(), EncodeError> {
        let address = self.source.and_then(|source| Some(json::as_str(source.get().as_bytes())?.into_owned()));
        let heading: Vec<String> = self.title.into_iter().chain(address).collect();
        blocks.push(Content::Text(heading.join("\n")).into());
        if let Some(content) = self.content {
            blocks.extend(read(&format!("{param}.content"), &content)?);
        }
        Ok(())
    }
}

impl Place {
    fn media(self, param: &str) -> Result<Source, EncodeError> {
        let Self { kind, media_type, data, url, file_id, .. } = self;
        match (kind.as_str(), media_type, data, url, file_id) {
            ("base64", Some(media_type), Some(data), ..) => Ok(Source::Inline { media_type, data }),
            ("url", _, _, Some(url), _) => Ok(Source::Url(url)),
            ("file", _, _, _, Some(id)) => Ok(Source::File(id)),
            _ => Err(invalid(
                param,
                &"its source must be of type 'base64' with 'media_type' and 'data', 'url' with 'url', or 'file' with 'file_id'",
            )),
        }
    }
}

//! The messages of a chat request of OpenAI's dialect.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    chat::{Block, CacheLifetime, Chat, Content, Role, Source, ToolCall, Turn, signature::ExtraContent},
    error::EncodeError,
    inbound::{invalid, value},
};

#[derive(Deserialize)]
struct Message {
    role: String,
    content: Option<Parts>,
    name: Option<String>,
    tool_calls: Option<Vec<Call>>,
    function_call: Option<Function>,
    tool_call_id: Option<String>,
    refusal: Option<String>,
    reasoning_content: Option<String>,
    thinking_blocks: Option<Vec<Part>>,
    cache_control: Option<CacheControl>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "content must be a string, an array of parts or null")]
enum Parts {
    Text(String),
    Parts(Vec<Part>),
}

/// Any part: which members it has goes by its type.
#[derive(Deserialize)]
struct Part {
    #[serde(rename = "type", default = "text")]
    kind: String,
    text: Option<String>,
    refusal: Option<String>,
    thinking: Option<String>,
    signature: Option<String>,
    data: Option<String>,
    image_url: Option<ImageUrl>,
    input_audio: Option<InputAudio>,
    file: Option<Attached>,
    cache_control: Option<CacheControl>,
}

fn text() -> String {
    "text".to_owned()
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "image_url must be a string or an object with 'url'")]
enum ImageUrl {
    Plain(String),
    Object { url: String, detail: Option<String> },
}

#[derive(Deserialize)]
struct InputAudio {
    data: String,
    format: String,
}

#[derive(Deserialize)]
struct Attached {
    #[serde(rename = "file_id")]
    id: Option<String>,
    #[serde(rename = "file_data")]
    data: Option<String>,
    filename: Option<String>,
}

/// Anthropic's mark on a block, which its users send in OpenAI's dialect too.
#[derive(Deserialize)]
pub(super) struct CacheControl {
    ttl: Option<String>,
}

impl CacheControl {
    pub(super) fn lifetime(self) -> CacheLifetime {
        if self.ttl.as_deref() == Some("1h") { CacheLifetime::Hour } else { CacheLifetime::Default }
    }
}

#[derive(Deserialize)]
struct Call {
    #[serde(default)]
    id: String,
    function: Option<Function>,
    /// Google's place for a thought signature in this dialect.
    extra_content: Option<ExtraContent<'static>>,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    arguments: String,
}

/// Reads the messages.
pub(super) fn read(text: &[u8], chat: &mut Chat) -> Result<(), EncodeError> {
    let messages: Vec<&RawValue> = value("messages", text)?;
    for (at, raw) in messages.into_iter().enumerate() {
        let param = format!("messages[{at}]");
        let message: Message = value(&param, raw.get().as_bytes())?;
        message.add(&param, chat)?;
    }
    Ok(())
}

impl Message {
    fn add(mut self, param: &str, chat: &mut Chat) -> Result<(), EncodeError> {
        let mut blocks = match self.content.take() {
            None => Vec::new(),
            Some(Parts::Text(text)) if text.is_empty() => Vec::new(),
            Some(Parts::Text(text)) => vec![Content::Text(text).into()],
            Some(Parts::Parts(parts)) => parts
                .into_iter()
                .enumerate()
                .map(|(at, part)| part.block(&format!("{param}.content[{at}]")))
                .collect::<Result<_, _>>()?,
        };
        let cache = self.cache_control.take().map(CacheControl::lifetime);
        let role = match self.role.as_str() {
            "system" | "developer" => {
                if blocks.iter().any(|block: &Block| !matches!(block.content, Content::Text(_))) {
                    return Err(invalid(param, &"a system or developer message holds text only"));
                }
                mark(&mut blocks, cache);
                chat.system.append(&mut blocks);
                return Ok(());
            }
            "user" => Role::User,
            "assistant" => {
                blocks = self.assistant(param, blocks)?;
                Role::Assistant
            }
            "tool" | "function" => {
                let id = self.tool_call_id.take().or_else(|| self.name.clone());
                let id = id.ok_or_else(|| invalid(param, &"a tool message needs 'tool_call_id'"))?;
                blocks =
                    vec![Content::ToolResult { id, name: self.name.take(), content: blocks, failed: false }.into()];
                Role::User
            }
            _ => {
                return Err(invalid(
                    &format!("{param}.role"),
                    &"it must be system, developer, user, assistant or tool",
                ));
            }
        };
        mark(&mut blocks, cache);
        chat.turns.push(Turn { role, name: self.name, blocks });
        Ok(())
    }

    /// Thinking comes first and calls last, as the model said them.
    fn assistant(&mut self, param: &str, said: Vec<Block>) -> Result<Vec<Block>, EncodeError> {
        let mut blocks = Vec::with_capacity(said.len() + 2);
        match (self.thinking_blocks.take(), self.reasoning_content.take()) {
            (Some(thinking), _) if !thinking.is_empty() => {
                for (at, part) in thinking.into_iter().enumerate() {
                    blocks.push(part.block(&format!("{param}.thinking_blocks[{at}]"))?);
                }
            }
            (_, Some(text)) if !text.is_empty() => blocks.push(Content::Thinking { text, signature: None }.into()),
            _ => {}
        }
        blocks.extend(said);
        blocks.extend(self.refusal.take().map(|refusal| Content::Refusal(refusal).into()));
        for (at, call) in self.tool_calls.take().into_iter().flatten().enumerate() {
            let function = call
                .function
                .ok_or_else(|| invalid(&format!("{param}.tool_calls[{at}]"), &"only calls of functions can be sent"))?;
            let signature = call.extra_content.and_then(ExtraContent::signature);
            let Function { name, arguments } = function;
            blocks.push(Content::ToolCall(ToolCall { id: call.id, name, arguments, signature }).into());
        }
        if let Some(Function { name, arguments }) = self.function_call.take() {
            let call = ToolCall { id: name.clone(), name, arguments, signature: None };
            blocks.push(Content::ToolCall(call).into());
        }
        Ok(blocks)
    }
}

/// A mark on a message stands for one on its last part.
fn mark(blocks: &mut [Block], cache: Option<CacheLifetime>) {
    if let (Some(last), Some(_)) = (blocks.last_mut(), cache) {
        last.cache = cache;
    }
}

impl Part {
    fn block(self, param: &str) -> Result<Block, EncodeError> {
        let missing = |member: &str| invalid(param, &format_args!("a part of this type needs '{member}'"));
        let cache = self.cache_control.map(CacheControl::lifetime);
        let content = match self.kind.as_str() {
            "text" | "input_text" | "output_text" => Content::Text(self.text.ok_or_else(|| missing("text"))?),
            "refusal" => Content::Refusal(self.refusal.ok_or_else(|| missing("refusal"))?),
            "thinking" => {
                Content::Thinking { text: self.thinking.ok_or_else(|| missing("thinking"))?, signature: self.signature }
            }
            "redacted_thinking" => Content::RedactedThinking(self.data.ok_or_else(|| missing("data"))?),
            "image_url" => match self.image_url.ok_or_else(|| missing("image_url"))? {
                ImageUrl::Plain(url) => Content::Image { source: source(param, url)?, detail: None },
                ImageUrl::Object { url, detail } => Content::Image { source: source(param, url)?, detail },
            },
            "input_audio" => {
                let InputAudio { data, format } = self.input_audio.ok_or_else(|| missing("input_audio"))?;
                Content::Audio(Source::Inline { media_type: format!("audio/{format}"), data })
            }
            "file" => self.file.ok_or_else(|| missing("file"))?.content(param)?,
            other => return Err(invalid(param, &format_args!("parts of type '{other}' are not known"))),
        };
        Ok(Block { content, cache })
    }
}

impl Attached {
    fn content(self, param: &str) -> Result<Content, EncodeError> {
        let source = match (self.data, self.id) {
            (Some(data), _) if data.starts_with("data:") => source(param, data)?,
            (Some(data), _) => Source::Inline { media_type: "application/pdf".to_owned(), data },
            (None, Some(id)) if id.starts_with("http") || id.starts_with("gs://") => Source::Url(id),
            (None, Some(id)) => Source::File(id),
            (None, None) => return Err(invalid(param, &"a file needs 'file_data' or 'file_id'")),
        };
        Ok(Content::Document { source, name: self.filename })
    }
}

/// A URL, or what a `data:` URL holds.
pub(in crate::inbound) fn source(param: &str, url: String) -> Result<Source, EncodeError> {
    let Some(inside) = url.strip_prefix("data:") else {
        return Ok(Source::Url(url));
    };
    let (head, data) =
        inside.split_once(',').ok_or_else(|| invalid(param, &"the data: URL holds no comma and so no data"))?;
    let media_type = head
        .strip_suffix(";base64")
        .ok_or_else(|| invalid(param, &"a data: URL must be base64 (data:image/png;base64,...)"))?;
    let media_type = media_type.split(';').next().unwrap_or(media_type);
    Ok(Source::Inline { media_type: media_type.to_owned(), data: data.to_owned() })
}

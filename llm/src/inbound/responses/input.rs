//! The items of a request: messages, calls and their results, reasoning.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::item;
use crate::{
    chat::{Block, Chat, Content, Role, Source, ToolCall, Turn, signature::ExtraContent},
    error::EncodeError,
    inbound::{invalid, openai::source, value},
};

/// Any item: which members it has goes by its type.
#[derive(Deserialize)]
struct Item {
    #[serde(rename = "type", default = "message")]
    kind: String,
    role: Option<String>,
    content: Option<Said>,
    call_id: Option<String>,
    name: Option<String>,
    arguments: Option<String>,
    output: Option<Said>,
    summary: Option<Vec<Part>>,
    encrypted_content: Option<String>,
    extra_content: Option<ExtraContent<'static>>,
}

fn message() -> String {
    "message".to_owned()
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "it must be a string or an array of parts")]
enum Said {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    refusal: Option<String>,
    image_url: Option<String>,
    detail: Option<String>,
    #[serde(rename = "file_id")]
    id: Option<String>,
    #[serde(rename = "file_data")]
    data: Option<String>,
    #[serde(rename = "file_url")]
    url: Option<String>,
    filename: Option<String>,
    input_audio: Option<InputAudio>,
}

#[derive(Deserialize)]
struct InputAudio {
    data: String,
    format: String,
}

/// Reads `input`.
pub(super) fn read(text: &[u8], chat: &mut Chat) -> Result<(), EncodeError> {
    if text.first() == Some(&b'"') {
        let text: String = value("input", text)?;
        chat.turns.push(Turn { role: Role::User, name: None, blocks: vec![Content::Text(text).into()] });
        return Ok(());
    }
    let items: Vec<&RawValue> = value("input", text)?;
    for (at, raw) in items.into_iter().enumerate() {
        let param = format!("input[{at}]");
        let item: Item = value(&param, raw.get().as_bytes())?;
        item.add(&param, chat)?;
    }
    Ok(())
}

impl Item {
    fn add(self, param: &str, chat: &mut Chat) -> Result<(), EncodeError> {
        let missing = |member: &str| invalid(param, &format_args!("an item of this type needs '{member}'"));
        match self.kind.as_str() {
            "message" => self.message(param, chat),
            "function_call" => {
                let call = ToolCall {
                    id: self.call_id.ok_or_else(|| missing("call_id"))?,
                    name: self.name.ok_or_else(|| missing("name"))?,
                    arguments: self.arguments.unwrap_or_default(),
                    signature: self.extra_content.and_then(ExtraContent::signature),
                };
                said(chat, [Content::ToolCall(call).into()]);
                Ok(())
            }
            "function_call_output" => {
                let id = self.call_id.ok_or_else(|| missing("call_id"))?;
                let output = self.output.ok_or_else(|| missing("output"))?;
                let content = output.blocks(&format!("{param}.output"))?;
                result(chat, Content::ToolResult { id, name: None, content, failed: false }.into());
                Ok(())
            }
            "reasoning" => {
                let texts = self.summary.unwrap_or_default().into_iter().filter_map(|part| part.text);
                let thought = item::thought(texts.collect::<Vec<_>>().join("\n\n"), self.encrypted_content.as_deref());
                said(chat, thought.map(Block::from));
                Ok(())
            }
            "item_reference" => {
                Err(invalid(param, &"nothing is stored here; send the item itself in place of a reference"))
            }
            other => Err(invalid(
                param,
                &format_args!("items of type '{other}' are OpenAI's own and cannot be sent to this model's provider"),
            )),
        }
    }

    fn message(self, param: &str, chat: &mut Chat) -> Result<(), EncodeError> {
        let content = self.content.ok_or_else(|| invalid(param, &"a message needs 'content'"))?;
        let mut blocks = content.blocks(&format!("{param}.content"))?;
        match self.role.as_deref() {
            Some("system" | "developer") => {
                if blocks.iter().any(|block| !matches!(block.content, Content::Text(_))) {
                    return Err(invalid(param, &"a system or developer message holds text only"));
                }
                chat.system.append(&mut blocks);
            }
            Some("user") => chat.turns.push(Turn { role: Role::User, name: None, blocks }),
            Some("assistant") => said(chat, blocks),
            _ => {
                let why = "it must be system, developer, user or assistant";
                return Err(invalid(&format!("{param}.role"), &why));
            }
        }
        Ok(())
    }
}

/// What the model said in one go is one turn, whatever the number of items.
fn said(chat: &mut Chat, blocks: impl IntoIterator<Item = Block>) {
    match chat.turns.last_mut() {
        Some(last) if last.role == Role::Assistant => last.blocks.extend(blocks),
        _ => chat.turns.push(Turn { role: Role::Assistant, name: None, blocks: blocks.into_iter().collect() }),
    }
}

/// Results of calls made together are one turn.
fn result(chat: &mut Chat, block: Block) {
    let is_result = |block: &Block| matches!(block.content, Content::ToolResult { .. });
    match chat.turns.last_mut() {
        Some(last) if last.role == Role::User && last.blocks.iter().all(is_result) => last.blocks.push(block),
        _ => chat.turns.push(Turn { role: Role::User, name: None, blocks: vec![block] }),
    }
}

impl Said {
    fn blocks(self, param: &str) -> Result<Vec<Block>, EncodeError> {
        match self {
            Self::Text(text) if text.is_empty() => Ok(Vec::new()),
            Self::Text(text) => Ok(vec![Content::Text(text).into()]),
            Self::Parts(parts) => {
                let parts = parts.into_iter().enumerate();
                parts.map(|(at, part)| Ok(part.content(&format!("{param}[{at}]"))?.into())).collect()
            }
        }
    }
}

impl Part {
    fn content(self, param: &str) -> Result<Content, EncodeError> {
        let missing = |member: &str| invalid(param, &format_args!("a part of this type needs '{member}'"));
        Ok(match self.kind.as_str() {
            "input_text" | "output_text" | "text" | "summary_text" => {
                Content::Text(self.text.ok_or_else(|| missing("text"))?)
            }
            "refusal" => Content::Refusal(self.refusal.ok_or_else(|| missing("refusal"))?),
            "input_image" => {
                let source = match (self.image_url, self.id) {
                    (Some(url), _) => source(param, url)?,
                    (None, Some(id)) => Source::File(id),
                    (None, None) => return Err(missing("image_url")),
                };
                Content::Image { source, detail: self.detail }
            }
            "input_file" => {
                let source = match (self.data, self.url, self.id) {
                    (Some(data), ..) if data.starts_with("data:") => source(param, data)?,
                    (Some(data), ..) => Source::Inline { media_type: "application/pdf".to_owned(), data },
                    (None, Some(url), _) => Source::Url(url),
                    (None, None, Some(id)) => Source::File(id),
                    (None, None, None) => return Err(missing("file_data")),
                };
                Content::Document { source, name: self.filename }
            }
            "input_audio" => {
                let InputAudio { data, format } = self.input_audio.ok_or_else(|| missing("input_audio"))?;
                Content::Audio(Source::Inline { media_type: format!("audio/{format}"), data })
            }
            other => return Err(invalid(param, &format_args!("parts of type '{other}' are not known"))),
        })
    }
}

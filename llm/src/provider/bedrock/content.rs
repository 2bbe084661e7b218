//! Messages and the system prompt in Converse's blocks.

use serde_json::value::RawValue;

use super::{
    Call,
    wire::{self, CachePoint, Media, Message, ToolResult, ToolUse},
};
use crate::{
    chat::{self, Block, CacheLifetime, Chat, Content, Role, Source, ToolCall, fitting},
    error::EncodeError,
    inbound::invalid,
};

/// Longest name of a tool, and longest id of a call.
const MAX_NAME: usize = 64;
/// Longest name of a document.
const MAX_DOCUMENT_NAME: usize = 200;

/// By file extension or second half of the media type.
const IMAGES: &[(&str, &str)] = &[("png", "png"), ("jpeg", "jpeg"), ("jpg", "jpeg"), ("gif", "gif"), ("webp", "webp")];
const AUDIO: &[(&str, &str)] = &[
    ("wav", "wav"),
    ("x-wav", "wav"),
    ("mp3", "mp3"),
    ("mpeg", "mp3"),
    ("aac", "aac"),
    ("flac", "flac"),
    ("ogg", "ogg"),
    ("opus", "opus"),
    ("m4a", "m4a"),
    ("mp4", "mp4"),
    ("pcm", "pcm"),
    ("webm", "webm"),
];
const DOCUMENTS: &[(&str, &str)] = &[
    ("pdf", "pdf"),
    ("csv", "csv"),
    ("msword", "doc"),
    ("doc", "doc"),
    ("vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
    ("docx", "docx"),
    ("vnd.ms-excel", "xls"),
    ("xls", "xls"),
    ("vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    ("xlsx", "xlsx"),
    ("html", "html"),
    ("plain", "txt"),
    ("txt", "txt"),
    ("markdown", "md"),
    ("md", "md"),
];

impl Call<'_> {
    /// The conversation: roles take turns, a call's results come before anything else, nothing is blank.
    pub(super) fn messages(&mut self, chat: &mut Chat) -> Result<Vec<Message>, EncodeError> {
        let mut turns = chat::merged(std::mem::take(&mut chat.turns));
        let last = turns.len().saturating_sub(1);
        let mut messages: Vec<Message> = Vec::with_capacity(turns.len());
        for (at, turn) in turns.iter_mut().enumerate() {
            turn.blocks.sort_by_key(|block| !matches!(block.content, Content::ToolResult { .. }));
            let mut content = Vec::with_capacity(turn.blocks.len());
            for block in std::mem::take(&mut turn.blocks) {
                self.push(block, &mut content)?;
            }
            if let (true, Role::Assistant, Some(wire::Block::Text(text))) = (at == last, turn.role, content.last_mut())
            {
                // Claude refuses to go on from a blank.
                text.truncate(text.trim_end().len());
            }
            let role = match turn.role {
                Role::User => "user",
                Role::Assistant => "assistant",
            };
            match messages.last_mut() {
                _ if content.is_empty() => {}
                Some(last) if last.role == role => last.content.append(&mut content),
                _ => messages.push(Message { role, content }),
            }
        }
        match messages.first() {
            Some(first) if first.role == "user" => Ok(messages),
            _ => Err(invalid("messages", &"beside system messages the first must be the user's, and say something")),
        }
    }

    /// The system prompt.
    pub(super) fn system(&self, blocks: &[Block]) -> Vec<wire::Block> {
        let mut out = Vec::with_capacity(blocks.len());
        for block in blocks {
            if let Content::Text(text) = &block.content {
                if !is_blank(text) {
                    out.push(wire::Block::Text(text.clone()));
                }
                self.mark(block.cache, &mut out);
            }
        }
        out
    }

    fn push(&mut self, block: Block, out: &mut Vec<wire::Block>) -> Result<(), EncodeError> {
        let mut cache = block.cache;
        match block.content {
            Content::Text(text) | Content::Refusal(text) => {
                if !is_blank(&text) {
                    out.push(wire::Block::Text(text));
                }
            }
            Content::Image { source, .. } => out.push(self.image(source)?),
            Content::Document { source, name } => out.push(self.document(source, name.as_deref())?),
            Content::Audio(source) => out.push(self.audio(source)?),
            // Reasoning that nobody signed is no use to a model: it cannot be told from made-up words.
            Content::Thinking { text, signature } => {
                let known = signature.filter(|_| self.model.has_signatures());
                out.extend(known.map(|signature| {
                    wire::Block::ReasoningContent(wire::Reasoning::ReasoningText { text, signature })
                }));
            }
            Content::RedactedThinking(data) => {
                if self.model.has_signatures() {
                    out.push(wire::Block::ReasoningContent(wire::Reasoning::RedactedContent(data)));
                }
            }
            Content::ToolCall(call) => out.push(wire::Block::ToolUse(self.tool_use(&call))),
            Content::ToolResult { id, content, failed, .. } => {
                // A mark within a result stands for one behind it.
                cache = cache.or_else(|| content.iter().find_map(|block| block.cache));
                let mut inside = Vec::with_capacity(content.len());
                for block in content {
                    self.push_result(block, &mut inside)?;
                }
                let status = (failed && self.model.has_status()).then_some("error");
                let id = fitting(&id, b"_-.:", MAX_NAME).into_owned();
                out.push(wire::Block::ToolResult(ToolResult { id, content: inside, status }));
            }
        }
        self.mark(cache, out);
        Ok(())
    }

    fn push_result(&mut self, block: Block, out: &mut Vec<wire::Block>) -> Result<(), EncodeError> {
        match block.content {
            Content::Text(_) | Content::Refusal(_) | Content::Image { .. } | Content::Document { .. } => {
                self.push(Block { cache: None, ..block }, out)
            }
            Content::Audio(_) => Err(self.support.no_content("audio in the results of tools")),
            Content::Thinking { .. }
            | Content::RedactedThinking(_)
            | Content::ToolCall(_)
            | Content::ToolResult { .. } => Err(self.support.no_content("calls and reasoning in the results of tools")),
        }
    }

    /// Marks what came before, where the model can cache; otherwise a mark changes nothing.
    fn mark(&self, cache: Option<CacheLifetime>, out: &mut Vec<wire::Block>) {
        if let Some(lifetime) = cache.filter(|_| self.model.has_cache() && !out.is_empty()) {
            out.push(wire::Block::CachePoint(self.cache_point(lifetime)));
        }
    }

    /// An hour where the model knows it.
    pub(super) fn cache_point(&self, lifetime: CacheLifetime) -> CachePoint {
        let hour = lifetime == CacheLifetime::Hour && self.model.takes_schema();
        CachePoint { kind: "default", ttl: hour.then_some("1h") }
    }

    fn tool_use(&mut self, call: &ToolCall) -> ToolUse {
        ToolUse {
            id: fitting(&call.id, b"_-.:", MAX_NAME).into_owned(),
            name: self.tool_name(&call.name),
            input: input(&call.arguments),
        }
    }

    /// The name under which a tool goes.
    pub(super) fn tool_name(&mut self, own: &str) -> String {
        let sent = fitting(own, b"_-", MAX_NAME).into_owned();
        if sent != own {
            self.recall.renamed(&sent, own);
        }
        sent
    }

    fn image(&self, source: Source) -> Result<wire::Block, EncodeError> {
        let wrong = "such images; send png, jpeg, gif or webp";
        let (format, source) = self.media(source, IMAGES, "images", wrong)?;
        Ok(wire::Block::Image(Media { format, source }))
    }

    fn audio(&self, source: Source) -> Result<wire::Block, EncodeError> {
        let wrong = "audio of this format; send wav or mp3";
        let (format, source) = self.media(source, AUDIO, "audio", wrong)?;
        Ok(wire::Block::Audio(Media { format, source }))
    }

    fn document(&mut self, source: Source, name: Option<&str>) -> Result<wire::Block, EncodeError> {
        let wrong = "such files; send pdf, csv, doc, docx, xls, xlsx, html, txt or md";
        let (format, source) = self.media(source, DOCUMENTS, "files", wrong)?;
        let name = self.document_name(name.unwrap_or_default());
        Ok(wire::Block::Document(wire::Document { format, name, source }))
    }

    fn media(
        &self,
        source: Source,
        formats: &'static [(&'static str, &'static str)],
        what: &str,
        wrong: &str,
    ) -> Result<(&'static str, wire::Source), EncodeError> {
        let format = |word: &str| {
            let word = word.to_ascii_lowercase();
            formats.iter().find(|(known, _)| *known == word).map(|(_, format)| *format)
        };
        match source {
            Source::Inline { media_type, data } => {
                let kind = media_type.rsplit('/').next().and_then(format);
                let kind = kind.ok_or_else(|| self.support.no_content(wrong))?;
                Ok((kind, wire::Source::Bytes(data)))
            }
            Source::Url(uri) if uri.starts_with("s3://") => {
                let kind = uri.rsplit('.').next().and_then(format);
                let kind = kind.ok_or_else(|| self.support.no_content(wrong))?;
                Ok((kind, wire::Source::S3Location { uri }))
            }
            Source::Url(_) => Err(self.support.no_content(&format!("{what} by URL; send them as data: or s3:// URLs"))),
            Source::File(_) => {
                Err(self.support.no_content(&format!("{what} by file id; send them as data: or s3:// URLs")))
            }
        }
    }

    /// Letters, digits, single spaces, `-`, `()` and `[]`, and no two alike.
    fn document_name(&mut self, own: &str) -> String {
        let stem = own.rsplit_once('.').filter(|(_, extension)| !extension.contains('/')).map_or(own, |(stem, _)| stem);
        let plain: String = stem
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || "-()[]".contains(c) { c } else { ' ' })
            .take(MAX_DOCUMENT_NAME - 8)
            .collect();
        let words: Vec<&str> = plain.split_ascii_whitespace().collect();
        let base = if words.is_empty() { "document".to_owned() } else { words.join(" ") };
        let mut name = base.clone();
        let mut copy = 1;
        while self.documents.contains(&name) {
            copy += 1;
            name = format!("{base} ({copy})");
        }
        self.documents.push(name.clone());
        name
    }
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// A call's arguments as the object that they must be. Text that is none (cut at the most tokens, say) is kept under a name,
/// as the conversation could not go on otherwise.
fn input(arguments: &str) -> Box<RawValue> {
    let text = arguments.trim();
    let object = if text.is_empty() { "{}".to_owned() } else { text.to_owned() };
    let wrapped = || format!("{{\"arguments\":{}}}", serde_json::Value::from(arguments));
    let parsed = RawValue::from_string(object).ok().filter(|raw| raw.get().starts_with('{'));
    parsed.or_else(|| RawValue::from_string(wrapped()).ok()).unwrap_or_else(|| RawValue::NULL.to_owned())
}

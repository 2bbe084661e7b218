//! Token counts where the upstream gives none: exact for OpenAI's text, near for others.
//!
//! Counting is linear but not free, so it happens once at the end of a call and only for calls without usage. The
//! tables are built on first use (tens of megabytes); a gateway whose upstreams all report usage never pays for them.

use bpe_openai::Tokenizer;

use crate::{
    bound::PART,
    json::{self, Visitor},
    request::Request,
};

/// Rough size of a token, where counting would cost too much.
pub const BYTES_PER_TOKEN: u64 = 4;

/// Longer texts are estimated by their size.
pub(crate) const MAX_COUNTED: usize = 1 << 20;
/// What each message costs beside its text, and what the answer's beginning costs (OpenAI's cookbook).
const PER_MESSAGE: u64 = 3;
const PER_REPLY: u64 = 3;
/// An image of 1024 by 1024 at high detail; other sizes and models differ, but the size is not known here.
pub(crate) const PER_IMAGE: u64 = 765;

/// Tokens of a text in the model's tokenizer, or the nearest there is. Texts over 1 MiB are estimated by their size.
pub fn count(model: &str, text: &str) -> u64 {
    if text.len() > MAX_COUNTED {
        return text.len() as u64 / BYTES_PER_TOKEN;
    }
    tokenizer(model).count(text) as u64
}

/// Tokens of a request's prompt: messages, tools, prompt or input, and what stands before them. Media count as one image
/// each, whatever their size, and are only looked for in messages and input.
pub fn prompt(model: &str, request: &Request) -> u64 {
    // Gemini's clients may count a whole request, put inside.
    if let Some(inner) =
        ["generateContentRequest", "generate_content_request"].iter().find_map(|name| request.member(name))
    {
        let inner = Request::scan_contents(bytes::Bytes::copy_from_slice(inner), false);
        return inner.map_or(0, |inner| prompt(model, &inner));
    }
    let messages = ["messages", "contents"].iter().find_map(|name| request.member(name));
    let messages = messages.map_or(0, |messages| match messages.first() {
        // One content of Gemini's, without a list around it.
        Some(b'{') => texts_tokens(model, messages),
        _ => messages_tokens(model, messages, u32::MAX),
    });
    let instruction = ["systemInstruction", "system_instruction"].iter().find_map(|name| request.member(name));
    let messages = messages.saturating_add(instruction.map_or(0, |instruction| texts_tokens(model, instruction)));
    let tools = ["tools", "functions"].iter().filter_map(|name| request.member(name));
    let input = request.member("input").map_or(0, |input| input_tokens(model, input, PART));
    let texts =
        ["prompt", "system", "instructions", "query", "documents"].iter().filter_map(|name| request.member(name));
    let tools: u64 = tools.map(|tools| raw_tokens(model, tools)).sum();
    let texts: u64 = texts.map(|text| input_tokens(model, text, 0)).sum();
    messages.saturating_add(tools).saturating_add(input).saturating_add(texts)
}

/// Tokens of a request's prompt by its size, its media apart: what is known of one that is not kept.
pub fn rough(request: &Request) -> u64 {
    let media = request.media();
    let text = (request.bytes().len() as u64).saturating_sub(media.payload()) / BYTES_PER_TOKEN;
    text.saturating_add(media.shown())
}

fn tokenizer(model: &str) -> &'static Tokenizer {
    // "openai/gpt-4" and "azure/gpt-4" are gpt-4.
    let name = model.rsplit('/').next().unwrap_or(model);
    let old = name.starts_with("gpt-3.5")
        || name.starts_with("gpt-35")
        || name == "gpt-4"
        || name.starts_with("gpt-4-")
        || name.starts_with("text-embedding-");
    if old { bpe_openai::cl100k_base() } else { bpe_openai::o200k_base() }
}

/// Whether the model's own tokenizer is there.
pub(crate) fn is_own(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    ["gpt-", "chatgpt-", "o1", "o3", "o4-", "text-embedding-", "ft:gpt-"].iter().any(|start| name.starts_with(start))
}

fn raw_tokens(model: &str, json: &[u8]) -> u64 {
    std::str::from_utf8(json).map_or(0, |text| count(model, text))
}

fn messages_tokens(model: &str, messages: &[u8], media_within: u32) -> u64 {
    let mut parts = Parts { model, media_within, tokens: 0, left: MAX_COUNTED };
    let Ok(elements) = json::elements_with(messages, &mut parts) else {
        return 0;
    };
    let frame = PER_MESSAGE.saturating_mul(elements.len() as u64).saturating_add(PER_REPLY);
    parts.tokens.saturating_add(frame)
}

/// The texts somewhere in a value.
fn texts_tokens(model: &str, value: &[u8]) -> u64 {
    let mut parts = Parts { model, media_within: 0, tokens: 0, left: MAX_COUNTED };
    json::visit(value, &mut parts).map_or(0, |()| parts.tokens)
}

/// A text, texts, tokens, lists of tokens, or messages of any dialect.
fn input_tokens(model: &str, value: &[u8], media_within: u32) -> u64 {
    match value.first() {
        Some(b'"') => json::as_str(value).map_or(0, |text| count(model, &text)),
        Some(b'[') if value.len() > MAX_COUNTED => value.len() as u64 / BYTES_PER_TOKEN,
        Some(b'[') => {
            let elements = json::elements(value).unwrap_or_default();
            if elements.first().is_some_and(|span| span.of(value).first() == Some(&b'{')) {
                return messages_tokens(model, value, media_within);
            }
            elements.iter().map(|span| input_tokens(model, span.of(value), media_within)).sum()
        }
        // A number is a token already.
        Some(b'-' | b'0'..=b'9') => 1,
        _ => 0,
    }
}

/// Keys whose strings no model reads, in any dialect.
fn is_envelope(key: &[u8]) -> bool {
    let is_id = key == b"id" || key.ends_with(b"_id");
    is_id
        || matches!(key, b"type" | b"detail" | b"format" | b"media_type" | b"signature" | b"encrypted_content" | b"ttl")
        || matches!(key, b"mimeType" | b"mime_type" | b"thoughtSignature" | b"thought_signature")
}

/// Counts the strings of messages that a model reads.
struct Parts<'a> {
    model: &'a str,
    /// Media lie within so many brackets at most; deeper in, their keys are those of texts, such as a citation's `url`.
    media_within: u32,
    tokens: u64,
    /// Bytes that may still be counted; what comes after them is estimated by size.
    left: usize,
}

impl Parts<'_> {
    fn text(&mut self, escaped: &[u8]) -> u64 {
        match self.left.checked_sub(escaped.len()) {
            Some(left) => {
                self.left = left;
                count(self.model, &json::unescape(escaped))
            }
            None => escaped.len() as u64 / BYTES_PER_TOKEN,
        }
    }
}

impl Visitor for Parts<'_> {
    fn member(&mut self, _key: &[u8]) {}

    fn string(&mut self, key: &[u8], value: &[u8], _at: usize, depth: u32) {
        let tokens = match key {
            b"role" => 1,
            b"url" | b"image_url" | b"file_data" | b"data" | b"fileUri" if depth <= self.media_within => PER_IMAGE,
            key if is_envelope(key) => 0,
            _ => self.text(value),
        };
        self.tokens = self.tokens.saturating_add(tokens);
    }
}

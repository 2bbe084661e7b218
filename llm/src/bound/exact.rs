//! The texts of a prompt, counted with a tokenizer and with room for error.

use super::media::Media;
use crate::{
    json::{self, Visitor},
    request::Request,
    tokens,
};

/// Room for how providers write messages and tools that is not known here: one part in so many.
const ROOM: u64 = 10;

/// Members that are no part of a prompt, and the one that is read in another way.
const OTHER: &[&str] = &["messages", "contents", "model", "metadata", "user"];

/// Longer strings called `data` are not read.
const LARGE_DATA: usize = 4096;

/// Keys that say how a message is built; no template writes them.
const ENVELOPE: &[&[u8]] = &[
    b"role",
    b"content",
    b"type",
    b"text",
    b"name",
    b"tool_calls",
    b"tool_call_id",
    b"id",
    b"function",
    b"arguments",
    b"image_url",
    b"url",
    b"detail",
    b"input_audio",
    b"data",
    b"format",
    b"refusal",
    b"source",
    b"media_type",
    b"tool_use_id",
    b"cache_control",
    b"parts",
    b"inlineData",
    b"mimeType",
    b"functionCall",
    b"functionResponse",
    b"args",
    b"response",
];

/// Tokens of all texts of a request, at most.
pub(super) fn text(model: &str, request: &Request) -> u64 {
    let mut counter = Counter { model, is_own: tokens::is_own(model), left: tokens::MAX_COUNTED };
    let mut total =
        request.member("messages").map_or(0, |messages| counter.messages(Media::default(), b"messages", messages));
    if let Some(contents) = request.member("contents") {
        total = total.saturating_add(counter.messages(Media::of_contents(), b"contents", contents));
    }
    for (_, value) in request.members().filter(|(name, _)| !OTHER.contains(&name.as_ref())) {
        total = total.saturating_add(counter.value(value));
    }
    total
}

struct Counter<'a> {
    model: &'a str,
    /// The tokenizer is the model's own.
    is_own: bool,
    /// Bytes that are still counted; those after them count as a token each.
    left: usize,
}

impl Counter<'_> {
    fn text(&mut self, text: &str) -> u64 {
        let bytes = text.len() as u64;
        let Some(left) = self.left.checked_sub(text.len()) else { return bytes };
        self.left = left;
        let tokens = tokens::count(self.model, text);
        let most = if self.is_own {
            tokens.saturating_add(tokens / ROOM).saturating_add(1)
        } else {
            // Smaller vocabularies cut words into more pieces, digits into single ones, and what is not ASCII into bytes.
            let single = text.bytes().filter(|byte| byte.is_ascii_digit() || !byte.is_ascii()).count() as u64;
            tokens.saturating_mul(2).saturating_add(single)
        };
        most.min(bytes)
    }

    /// A string's text; a list's elements; of anything else the JSON as it stands.
    fn value(&mut self, value: &[u8]) -> u64 {
        match value.first() {
            Some(b'"') => json::as_str(value).map_or(value.len() as u64, |text| self.text(&text)),
            Some(b'[') => {
                let elements = json::elements(value).unwrap_or_default();
                // A number is a token already.
                let is_token = |element: &[u8]| element.first().is_some_and(u8::is_ascii_digit);
                let each = elements.iter().map(|span| span.of(value));
                each.map(|element| if is_token(element) { 1 } else { self.value(element) }).fold(1, u64::saturating_add)
            }
            _ => std::str::from_utf8(value).map_or(value.len() as u64, |json| self.text(json)),
        }
    }

    /// Messages under this member, as `media` reads them.
    fn messages(&mut self, mut media: Media, member: &[u8], messages: &[u8]) -> u64 {
        media.member(member);
        let mut texts = Texts { counter: self, media, tokens: 0, seen: 0 };
        if json::visit(messages, &mut texts).is_err() {
            return messages.len() as u64;
        }
        // What was not seen as a text is brackets, numbers, unusual keys and strings in lists: a token each byte.
        texts.tokens.saturating_add((messages.len() as u64).saturating_sub(texts.seen))
    }
}

struct Texts<'a, 'b> {
    counter: &'a mut Counter<'b>,
    /// Knows which strings are no texts.
    media: Media,
    tokens: u64,
    /// Bytes of keys and strings that were counted, with their quotes and colons.
    seen: u64,
}

impl Texts<'_, '_> {
    fn key(&mut self, key: &[u8]) {
        if ENVELOPE.contains(&key) {
            self.seen = self.seen.saturating_add(key.len() as u64 + 3);
        }
    }
}

impl Visitor for Texts<'_, '_> {
    fn open(&mut self, key: Option<&[u8]>, depth: u32) {
        self.media.open(key, depth);
        if let Some(key) = key {
            self.key(key);
        }
    }

    fn string(&mut self, key: &[u8], value: &[u8], at: usize, depth: u32) {
        self.key(key);
        self.seen = self.seen.saturating_add(value.len() as u64 + 2);
        let before = self.media.payload();
        self.media.string(key, value, at, depth);
        if self.media.payload() != before {
            return;
        }
        // Most likely an image of Anthropic's, of which the whole part has to be seen: not worth a tokenizer's time.
        let is_data = key == b"data" && value.len() > LARGE_DATA;
        let tokens = if is_data { value.len() as u64 } else { self.counter.text(&json::unescape(value)) };
        self.tokens = self.tokens.saturating_add(tokens);
    }
}

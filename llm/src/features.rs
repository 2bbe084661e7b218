//! What of a request decides which model can serve it, and which one should.
//!
//! Most of it was seen while the request was scanned and costs nothing. Reading the prompt costs a pass over it, so that is done
//! only for those who choose by it. Where the request does not have the shape of its dialect, nothing is found and nothing
//! is refused: that is the upstream's.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::{
    json::{self, Visitor},
    provider::Operation,
    request::{Request, contents::CONFIG},
    tokens,
};

mod words;

/// Of the first message after the instructions, so many bytes of text tell conversations apart. Enough to tell most of them,
/// and short enough that questions about the same document, which stands first, stay together.
const OPENING: usize = 512;

/// What costs a pass over the prompt.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// [`Features::prefix`].
    pub prefix: bool,
    /// [`Features::words`] and [`Features::is_complex`], with words that make a prompt complex, in lower case.
    pub words: Option<&'a [Box<str>]>,
}

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Of the prompt, by its size ([`tokens::rough`]).
    pub prompt_tokens: u64,
    /// Of one choice, as far as the client says.
    pub output_tokens: Option<u64>,
    /// It has images.
    pub has_images: bool,
    /// It has tools or functions.
    pub has_tools: bool,
    /// It wants JSON of a schema.
    pub wants_schema: bool,
    /// Hash of what an engine has in its cache after another turn of the same conversation: tools, instructions, and the
    /// beginning of what comes after them. The same in all gateways of a version.
    pub prefix: Option<u64>,
    /// Words that the user wrote, in all turns.
    pub words: u64,
    /// One of them makes a prompt complex, there is code among them, or the model is to reason.
    pub is_complex: bool,
}

/// Reads what is wanted.
pub fn of(operation: Operation, request: &Request, wanted: Wanted<'_>) -> Features {
    let media = request.media();
    let mut features = Features {
        prompt_tokens: tokens::rough(request),
        output_tokens: request.max_output_tokens(),
        has_images: media.images > 0,
        has_tools: media.tools > 0,
        wants_schema: operation.generates() && wants_schema(request),
        ..Features::default()
    };
    if wanted.prefix {
        features.prefix = prefix(request);
    }
    if let Some(keywords) = wanted.words {
        let found = words::of(request, keywords);
        features.words = found.count;
        features.is_complex = found.is_complex || is_to_reason(request);
    }
    features
}

/// A member of Gemini's settings.
fn configured<'a>(request: &'a Request, name: &str) -> Option<&'a [u8]> {
    CONFIG.iter().find_map(|config| inner(request.member(config)?, name))
}

/// Chat's `response_format`, Messages' `output_config.format`, Responses' `text.format`, Gemini's schemas.
fn wants_schema(request: &Request) -> bool {
    let format = |name: &str| request.member(name).and_then(|value| inner(value, "format"));
    let formats = [request.member("response_format"), format("output_config"), format("text")];
    let google = ["responseSchema", "response_schema", "responseJsonSchema", "response_json_schema"];
    if google.iter().any(|name| configured(request, name).is_some()) {
        return true;
    }
    formats.into_iter().flatten().any(|format| inner(format, "type") == Some(b"\"json_schema\""))
}

/// More than the least effort is asked for, in any dialect's words.
fn is_to_reason(request: &Request) -> bool {
    let effort = |value: &[u8]| matches!(value, b"\"medium\"" | b"\"high\"" | b"\"xhigh\"" | b"\"max\"");
    let level = |value: &[u8]| {
        let level = inner(value, "thinkingLevel").and_then(json::as_str);
        level.is_some_and(|level| matches!(level.to_ascii_lowercase().as_str(), "medium" | "high" | "xhigh"))
    };
    let thinks = |value: &[u8]| matches!(inner(value, "type"), Some(b"\"enabled\"" | b"\"adaptive\""));
    request.member("reasoning_effort").is_some_and(effort)
        || request.member("reasoning").and_then(|value| inner(value, "effort")).is_some_and(effort)
        || request.member("thinking").is_some_and(thinks)
        || ["thinkingConfig", "thinking_config"].iter().any(|name| configured(request, name).is_some_and(level))
}

fn prefix(request: &Request) -> Option<u64> {
    let mut hash = DefaultHasher::new();
    for name in ["tools", "system", "instructions", "systemInstruction"] {
        request.member(name).hash(&mut hash);
    }
    for message in messages(request)? {
        let text = text(message);
        if matches!(role(message), Some(b"\"system\"" | b"\"developer\"")) {
            text.hash(&mut hash);
        } else {
            text.get(..OPENING).unwrap_or(&text).hash(&mut hash);
            break;
        }
    }
    Some(hash.finish())
}

/// Messages of a chat, items of an input, or the one text that there is.
fn messages(request: &Request) -> Option<impl Iterator<Item = &[u8]>> {
    let value = ["messages", "contents", "input", "prompt"].iter().find_map(|name| request.member(name))?;
    let elements = json::elements(value).ok();
    let whole = elements.is_none().then_some(value);
    Some(whole.into_iter().chain(elements.into_iter().flatten().map(|span| span.of(value))))
}

/// Who wrote a message; `None` where it is a mere text.
fn role(message: &[u8]) -> Option<&[u8]> {
    inner(message, "role")
}

/// The texts of a message as they stand between their quotes, one after the other.
fn text(message: &[u8]) -> Vec<u8> {
    if let [b'"', inner @ .., b'"'] = message {
        return inner.to_vec();
    }
    let mut texts = Texts(Vec::new());
    // The request was scanned: a part of it is JSON.
    let _ = json::visit(message, &mut texts);
    texts.0
}

/// A member of a value that is an object.
fn inner<'a>(value: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let members = json::scan(value).ok()?;
    json::member(value, &members, name)
}

/// Gathers what is written, not what it is written in.
struct Texts(Vec<u8>);

impl Visitor for Texts {
    fn string(&mut self, key: &[u8], value: &[u8], _at: usize, _depth: u32) {
        if matches!(key, b"text" | b"content") {
            if !self.0.is_empty() {
                self.0.push(b' ');
            }
            self.0.extend_from_slice(value);
        }
    }
}

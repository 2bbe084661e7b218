//! What a prompt holds beside text, seen while the request is scanned: no second pass over a body that may be megabytes.
//!
//! Whatever is not surely text or an image of its own counts as a reference, whose size is unknown: an unknown type of part,
//! a key spelled with escapes, a file. Only base64 in the very place where images and sound lie is left out of the text.

use crate::{
    json::{self, Visitor},
    tokens::PER_IMAGE,
};

mod contents;

/// Bytes of base64 for one token of sound. The sparest common format (Opus and MP3 at 6 to 8 kbit/s) has 1000 characters a
/// second, and models count 10 to 50 tokens a second.
const SOUND_PER_TOKEN: u64 = 8;
/// Shortest key in whose place an escape could hide one of those that matter (`\u0075rl`).
const ESCAPABLE: usize = 8;

/// Media of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Media {
    /// Messages.
    pub(crate) messages: u32,
    /// Tools and functions.
    pub(crate) tools: u32,
    /// Images, in place or by URL.
    pub(crate) images: u32,
    /// Bytes of images in place.
    pub(crate) image_bytes: u64,
    /// Pieces of sound in place.
    pub(crate) sounds: u32,
    /// Their bytes.
    pub(crate) sound: u64,
    /// Something stands for a text or media that are not here, or cannot be told.
    pub(crate) refers: bool,
    /// Parts that only Anthropic's dialect knows: to every other they are of an unknown type.
    pub(crate) blocks: bool,
    /// The request is in Gemini's words.
    is_contents: bool,
    section: Section,
    part: Part,
    /// In a part of a tool's result.
    is_nested: bool,
    block: Block,
}

/// What was said of a part of Anthropic's so far: its members may come in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Block {
    kind: Kind,
    has_source: bool,
    place: Place,
    is_image: bool,
    is_sound: bool,
    /// Bytes in place.
    data: u64,
}

/// The part's type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Other,
    Image,
    Document,
}

/// The type of its source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Other,
    Base64,
    Url,
    Text,
}

/// The top-level member that is being read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Section {
    #[default]
    Other,
    Messages,
    System,
    Tools,
    Input,
    /// Gemini's messages.
    Contents,
    /// Gemini's system message.
    Instruction,
}

/// The object within a message's part that is being read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Other,
    Image,
    Sound,
    /// The `source` of a part of Anthropic's, its members within so many brackets.
    Source(u32),
    /// The `inlineData` of a part of Gemini's.
    Blob,
}

/// Brackets around the members of a message, of a tool and of an element of `input`: `[{`.
const ELEMENT: u32 = 2;
/// Brackets around the members of a part of a message's content, or of a tool call: `[{[{`.
pub(crate) const PART: u32 = 4;
/// The same of a part of a tool's result: `[{[{[{`.
const NESTED: u32 = 6;

impl Media {
    /// Bytes of the body that are no text.
    pub(crate) fn payload(&self) -> u64 {
        self.image_bytes.saturating_add(self.sound)
    }

    /// Whether something may be given by URL.
    pub(crate) fn may_be_elsewhere(&self) -> bool {
        self.images > 0 || self.refers
    }

    /// Tokens of images and sound, as far as that can be said without their sizes.
    pub(crate) fn shown(&self) -> u64 {
        u64::from(self.images).saturating_mul(PER_IMAGE).saturating_add(self.heard())
    }

    /// Tokens of sound, at most.
    pub(crate) fn heard(&self) -> u64 {
        (self.sound / SOUND_PER_TOKEN).saturating_add(u64::from(self.sounds).saturating_mul(PER_IMAGE))
    }

    /// Members beside the messages that have the upstream read something that is not in the request.
    fn refers_by(name: &[u8]) -> bool {
        matches!(
            name,
            b"previous_response_id"
                | b"conversation"
                | b"web_search_options"
                | b"search_parameters"
                | b"data_sources"
                | b"plugins"
                | b"container"
                | b"mcp_servers"
                | b"chat_template"
                | b"prompt_embeds"
                | b"cachedContent"
                | b"cached_content"
        )
    }

    /// A member of one of Responses' items. Others are media, for models that embed some.
    fn of_item(&mut self, key: &[u8], value: &[u8]) {
        self.refers |= match key {
            b"type" => !matches!(value, b"message" | b"function_call" | b"function_call_output" | b"reasoning"),
            b"role" | b"content" | b"id" | b"status" | b"call_id" | b"name" | b"arguments" | b"output"
            | b"encrypted_content" => false,
            _ => true,
        };
    }

    /// A member of a part of such an item.
    fn of_item_part(&mut self, key: &[u8], value: &[u8], depth: u32) {
        match key {
            // Citations and the like are text.
            _ if depth > PART => {}
            b"text" | b"refusal" | b"detail" => {}
            b"image_url" => self.image(value, true),
            b"type" => {
                self.refers |=
                    !matches!(value, b"input_text" | b"output_text" | b"summary_text" | b"refusal" | b"input_image");
            }
            _ => self.refers = true,
        }
    }

    fn image(&mut self, value: &[u8], in_place: bool) {
        self.images = self.images.saturating_add(1);
        if !in_place {
            return;
        }
        if value.starts_with(b"data:image") {
            self.image_bytes = self.image_bytes.saturating_add(value.len() as u64);
        } else if !value.starts_with(b"http") {
            self.refers = true;
        }
    }

    /// Nothing more will come of the part that was read.
    pub(crate) fn settle(&mut self) {
        let block = std::mem::take(&mut self.block);
        if self.is_contents {
            return self.settle_contents(block);
        }
        let Block { kind, has_source, place, is_image, data, .. } = block;
        match (kind, place) {
            (Kind::Image, Place::Base64) if is_image => self.image_bytes = self.image_bytes.saturating_add(data),
            (Kind::Image, Place::Url) | (Kind::Document, Place::Text) => {}
            _ => self.refers |= has_source,
        }
    }

    /// What kind of part this is.
    fn kind(&mut self, value: &[u8]) {
        match value {
            b"image" => {
                self.block.kind = Kind::Image;
                self.blocks = true;
                self.images = self.images.saturating_add(1);
            }
            b"document" => {
                self.block.kind = Kind::Document;
                self.blocks = true;
            }
            b"tool_use" | b"tool_result" => self.blocks = true,
            other => self.refers |= !is_known(other),
        }
    }

    /// A member of a part's `source`.
    fn of_source(&mut self, key: &[u8], value: &[u8]) {
        let block = &mut self.block;
        match key {
            b"type" => {
                block.place = match value {
                    b"base64" => Place::Base64,
                    b"url" => Place::Url,
                    b"text" => Place::Text,
                    _ => Place::Other,
                };
            }
            b"media_type" => block.is_image = value.starts_with(b"image/"),
            b"data" => {
                block.data = value.len() as u64;
                // As anything in place, whatever it turns out to be.
                self.sounds = self.sounds.saturating_add(1);
            }
            b"url" if value.starts_with(b"http") => {}
            _ => self.refers = true,
        }
    }

    fn of_message(&mut self, key: &[u8], value: &[u8], depth: u32) {
        if self.part == Part::Source(depth) {
            return self.of_source(key, value);
        }
        match key {
            b"type" if depth == PART || (depth == NESTED && self.is_nested) => self.kind(value),
            b"url" => self.image(value, self.part == Part::Image && depth == PART + 1),
            b"image_url" => self.image(value, depth == PART),
            b"data" | b"file_data" => {
                self.sounds = self.sounds.saturating_add(1);
                if self.part == Part::Sound && depth == PART + 1 {
                    self.sound = self.sound.saturating_add(value.len() as u64);
                }
            }
            _ if depth == PART => self.refers |= is_reference(key),
            _ => {}
        }
    }

    fn hidden(&mut self, key: &[u8]) {
        if key.len() >= ESCAPABLE && key.contains(&b'\\') {
            self.refers = true;
        }
    }
}

/// Types of parts and of tool calls of which everything is in the request.
fn is_known(kind: &[u8]) -> bool {
    matches!(
        kind,
        b"text"
            | b"image_url"
            | b"input_audio"
            | b"refusal"
            | b"function"
            | b"custom"
            | b"thinking"
            | b"redacted_thinking"
    ) || kind.starts_with(b"reasoning")
}

/// Keys of parts, which some servers take without a type.
fn is_reference(key: &[u8]) -> bool {
    matches!(
        key,
        b"file"
            | b"file_id"
            | b"file_url"
            | b"video"
            | b"video_url"
            | b"audio_url"
            | b"image_embeds"
            | b"audio_embeds"
            | b"prompt_embeds"
            | b"document"
            | b"source"
    )
}

impl Visitor for Media {
    fn member(&mut self, key: &[u8]) {
        self.settle();
        let name = json::unescape(key);
        self.section = match name.as_ref() {
            "messages" => Section::Messages,
            "system" => Section::System,
            "tools" | "functions" => Section::Tools,
            "input" => Section::Input,
            "contents" if self.is_contents => Section::Contents,
            "systemInstruction" | "system_instruction" if self.is_contents => Section::Instruction,
            other => {
                self.refers |= Self::refers_by(other.as_bytes());
                Section::Other
            }
        };
    }

    fn open(&mut self, key: Option<&[u8]>, depth: u32) {
        if depth < NESTED {
            self.is_nested = depth == NESTED - 1 && key.is_none();
        }
        match (self.section, depth, key) {
            (Section::Messages | Section::Input, 1, None) => self.messages = self.messages.saturating_add(1),
            (Section::Contents, ..) => return self.open_in_contents(key, depth),
            // Google takes one thing without a list around it too.
            (Section::Tools, 2 | 3, None) if self.is_contents => self.tools = self.tools.saturating_add(1),
            // Google's own tools bring what they find into the prompt.
            (Section::Tools, 1 | ELEMENT, Some(key)) if self.is_contents => {
                self.refers |= !matches!(key, b"functionDeclarations" | b"function_declarations");
            }
            (Section::Tools, 1, None) if !self.is_contents => self.tools = self.tools.saturating_add(1),
            // An earlier answer's sound, by its id; what is no text among Gemini's instructions.
            (Section::Messages, ELEMENT, Some(b"audio")) | (Section::Instruction, 2 | 3, Some(_)) => self.refers = true,
            // A part begins.
            (Section::Messages, 3 | 5, None) => self.settle(),
            (Section::Messages, PART, Some(b"source")) => {
                self.block.has_source = true;
                self.part = Part::Source(PART + 1);
                return;
            }
            (Section::Messages, NESTED, Some(b"source")) if self.is_nested => {
                self.block.has_source = true;
                self.part = Part::Source(NESTED + 1);
                return;
            }
            (Section::Messages, PART, Some(key)) => {
                self.hidden(key);
                self.refers |= is_reference(key);
                self.part = match key {
                    b"image_url" => Part::Image,
                    b"input_audio" => Part::Sound,
                    _ => Part::Other,
                };
                return;
            }
            (Section::Messages, _, Some(key)) => self.hidden(key),
            _ => {}
        }
        self.part = Part::Other;
    }

    fn string(&mut self, key: &[u8], value: &[u8], _at: usize, depth: u32) {
        match self.section {
            Section::Messages => {
                self.hidden(key);
                self.of_message(key, value, depth);
            }
            // Whatever it takes there beside texts.
            Section::System if depth == ELEMENT && key == b"type" => self.refers |= value != b"text",
            // A tool that the provider runs itself brings what it finds into the prompt.
            Section::Tools if depth == ELEMENT && key == b"type" => {
                self.refers |= !matches!(value, b"function" | b"custom");
            }
            Section::System | Section::Tools if depth == ELEMENT => self.hidden(key),
            Section::Input => {
                self.hidden(key);
                if depth <= ELEMENT { self.of_item(key, value) } else { self.of_item_part(key, value, depth) }
            }
            Section::Contents => self.of_contents_part(key, value, depth),
            Section::System | Section::Tools | Section::Instruction | Section::Other => {}
        }
    }
}

//! The same of requests in Gemini's words.

use super::{Block, Media, PART, Part};

impl Media {
    /// For a request in Gemini's words.
    pub(crate) fn of_contents() -> Self {
        Self { is_contents: true, ..Self::default() }
    }

    /// Nothing more will come of the part that was read.
    pub(super) fn settle_contents(&mut self, block: Block) {
        let Block { has_source, is_image, is_sound, data, .. } = block;
        if is_image {
            self.images = self.images.saturating_add(1);
            self.image_bytes = self.image_bytes.saturating_add(data);
        } else if is_sound {
            self.sounds = self.sounds.saturating_add(1);
            self.sound = self.sound.saturating_add(data);
        } else {
            self.refers |= has_source;
        }
    }

    /// Something begins in Gemini's messages.
    pub(super) fn open_in_contents(&mut self, key: Option<&[u8]>, depth: u32) {
        if let Some(key) = key {
            self.hidden(key);
        }
        match (depth, key) {
            (1, None) => self.messages = self.messages.saturating_add(1),
            (3, None) => self.settle(),
            (PART, Some(b"inlineData" | b"inline_data")) => {
                self.block.has_source = true;
                self.part = Part::Blob;
                return;
            }
            // What a tool gave, or a content that stands without a list around it.
            (_, Some(b"inlineData" | b"inline_data" | b"fileData" | b"file_data")) => self.refers = true,
            (PART, Some(key)) => self.refers |= !is_text_of_contents(key),
            _ => {}
        }
        self.part = Part::Other;
    }

    /// A string in Gemini's messages.
    pub(super) fn of_contents_part(&mut self, key: &[u8], value: &[u8], depth: u32) {
        self.hidden(key);
        match (self.part, key) {
            (Part::Blob, b"mimeType" | b"mime_type") if depth == PART + 1 => {
                self.block.is_image = value.starts_with(b"image/");
                self.block.is_sound = value.starts_with(b"audio/");
            }
            (Part::Blob, b"data") if depth == PART + 1 => self.block.data = value.len() as u64,
            _ if depth == PART => self.refers |= !is_text_of_contents(key),
            _ => {}
        }
    }
}

/// Members of Gemini's parts of which everything is in the request.
fn is_text_of_contents(key: &[u8]) -> bool {
    matches!(
        key,
        b"text"
            | b"thoughtSignature"
            | b"thought_signature"
            | b"functionCall"
            | b"function_call"
            | b"functionResponse"
            | b"function_response"
            | b"executableCode"
            | b"executable_code"
            | b"codeExecutionResult"
            | b"code_execution_result"
            | b"mediaResolution"
            | b"media_resolution"
    )
}

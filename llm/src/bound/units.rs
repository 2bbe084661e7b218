//! Bounds of what is not billed by the text alone: rankings, images, sound.

use super::{Call, images};
use crate::{
    json,
    provider::Operation,
    request::{Form, Request},
};

/// Documents of one search unit (Cohere).
const DOCUMENTS_PER_UNIT: u64 = 100;
/// Tokens of a document, the query included, that count as one; each further piece counts as one more.
const TOKENS_PER_DOCUMENT: u64 = 500;
/// Output tokens of an image where the model's `maxOutputTokens` is not known: OpenAI's largest have 6 240.
const PER_IMAGE: u64 = 16_384;
/// Output tokens of a byte of text that is spoken: twice what slow speech takes.
const SOUND_PER_BYTE: u64 = 8;
/// Bytes of a second of sound: less than any speech codec in use takes.
const BYTES_PER_SECOND: u64 = 500;
/// Tokens of a second of sound, and of what is said in it.
const PER_SECOND: u64 = 20;

/// Prompt tokens at most; `None` = as of any text.
pub(super) fn prompt(request: &Request, call: Call<'_>) -> Option<u64> {
    match call.operation {
        Operation::Rerank => {
            let (documents, query) = ranked(request);
            Some((request.bytes().len() as u64).saturating_add(documents.saturating_mul(query)))
        }
        Operation::Speech => Some(request.bytes().len() as u64),
        Operation::ImageEdits => {
            let form = request.form()?;
            let text = (request.bytes().len() as u64).saturating_sub(form.files());
            Some(text.saturating_add(form.file_count().saturating_mul(images::dearest(call.model))))
        }
        Operation::Transcriptions | Operation::Translations => {
            let (seconds, text) = sound(request);
            Some(seconds.saturating_mul(PER_SECOND).saturating_add(text))
        }
        _ => None,
    }
}

/// Output tokens at most; `None` = the operation writes text.
pub(super) fn output(request: &Request, call: Call<'_>) -> Option<u64> {
    let most = call.capabilities.max_output_tokens;
    match call.operation {
        operation if operation.generates() => None,
        Operation::Images | Operation::ImageEdits => Some(request.n().saturating_mul(most.unwrap_or(PER_IMAGE))),
        Operation::Speech => {
            let bytes = request.member("input").map_or(0, |input| input.len() as u64).saturating_mul(SOUND_PER_BYTE);
            Some(most.map_or(bytes, |most| bytes.min(most)))
        }
        Operation::Transcriptions | Operation::Translations => {
            let tokens = sound(request).0.saturating_mul(PER_SECOND);
            Some(most.map_or(tokens, |most| tokens.min(most)))
        }
        _ => Some(0),
    }
}

/// What is billed one by one, at most: searches, images, seconds.
pub fn queries(request: &Request, call: Call<'_>) -> u64 {
    match call.operation {
        Operation::Rerank => {
            let (documents, query) = ranked(request);
            // A token has a byte at least.
            let piece = TOKENS_PER_DOCUMENT - query.min(TOKENS_PER_DOCUMENT / 2);
            let pieces = documents.saturating_add(request.bytes().len() as u64 / piece);
            pieces.div_ceil(DOCUMENTS_PER_UNIT)
        }
        Operation::Images | Operation::ImageEdits => request.n(),
        Operation::Transcriptions | Operation::Translations => sound(request).0,
        _ => 1,
    }
}

/// Documents, and the query's bytes.
fn ranked(request: &Request) -> (u64, u64) {
    let documents = request.member("documents").and_then(|documents| json::elements(documents).ok());
    let query = request.member("query").map_or(0, |query| query.len() as u64);
    (documents.map_or(0, |documents| documents.len() as u64), query)
}

/// Seconds at most, and bytes of the other parts.
fn sound(request: &Request) -> (u64, u64) {
    let files = request.form().map_or(0, Form::files);
    (files.div_ceil(BYTES_PER_SECOND), (request.bytes().len() as u64).saturating_sub(files))
}

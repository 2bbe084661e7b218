//! Routes that every provider has in OpenAI's shape, if it has them: moderations, images, speech, transcriptions.
//!
//! Requests and answers go through as they are but for the model's name. What is read of them is what they use.
//!
//! | route | counted as |
//! |---|---|
//! | moderations | tokens, as reported or counted |
//! | images | tokens as reported, and each image as one of [`Usage::queries`] |
//! | speech | tokens as reported; else characters, and what sound they take |
//! | transcriptions | tokens as reported; else seconds of sound, as [`Usage::queries`] |

use bytes::Bytes;
use http::{HeaderValue, header};

use crate::{
    chat::Recall,
    error::{EncodeError, UpstreamError},
    inbound::invalid,
    json,
    provider::{Decoded, Encoded, Operation, Shown, Target},
    request::Request,
    response::{self, bad_answer},
    splice::Splices,
    usage::Usage,
};

mod stream;

pub use stream::Relayed;

/// Tokens of sound to two characters of text: 15 characters are a second, which is 20 tokens or so.
const SOUND_PER_TWO: u64 = 3;
/// Bytes of a second of sound where its length is not told: 128 kbit/s.
const BYTES_PER_SECOND: u64 = 16_000;

/// Writes the upstream's request.
///
/// # Errors
/// A content type that no header can hold.
pub(crate) fn encode(request: &Request, target: &Target<'_>) -> Result<Encoded, EncodeError> {
    let (content_type, body) = if let Some(form) = request.form() {
        let kind = HeaderValue::from_str(form.content_type());
        let kind = kind.map_err(|_| invalid("Content-Type", &"it holds control characters"))?;
        (kind, form.encode(request.bytes(), target.model, target.params))
    } else {
        let mut edit = request.edit();
        if request.has_gateway_only() {
            edit.strip_gateway_only();
        }
        edit.delete("metadata");
        target.params.apply(&mut edit);
        if request.model() != Some(target.model) {
            edit.set_string("model", target.model);
        }
        (HeaderValue::from_static("application/json"), edit.finish())
    };
    let headers = vec![(header::CONTENT_TYPE, content_type)];
    Ok(Encoded { headers, body, further: Vec::new(), recall: Recall::default() })
}

/// Reads what a whole answer used, and puts the shown model's name in where it has one.
///
/// # Errors
/// The upstream's fault: not an answer of this route.
pub(crate) fn decode(operation: Operation, body: &Bytes, shown: &Shown) -> Result<Decoded, UpstreamError> {
    match operation {
        Operation::Transcriptions | Operation::Translations => transcript(operation, body, shown),
        Operation::Images | Operation::ImageEdits => {
            let decoded = response::decode(operation, body, shown)?;
            let members = json::scan(body).map_err(|error| bad_answer(&error))?;
            let images = json::member(body, &members, "data").and_then(|data| json::elements(data).ok());
            let queries = images.map_or(0, |images| images.len() as u64);
            Ok(Decoded { usage: Some(Usage { queries, ..decoded.usage.unwrap_or_default() }), ..decoded })
        }
        _ => response::decode(operation, body, shown),
    }
}

/// JSON, or subtitles and plain text as the client asked.
fn transcript(operation: Operation, body: &Bytes, shown: &Shown) -> Result<Decoded, UpstreamError> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Ok(Decoded { body: Splices::from(body.clone()), usage: None });
    }
    let decoded = response::decode(operation, body, shown)?;
    let members = json::scan(body).map_err(|error| bad_answer(&error))?;
    let duration = json::member(body, &members, "duration").and_then(json::as_seconds);
    let usage = decoded.usage.or_else(|| Some(Usage { queries: duration?, ..Usage::default() }));
    Ok(Decoded { usage, ..decoded })
}

/// What a request uses as far as can be told from itself; `None` = count its text.
pub fn estimate(operation: Operation, request: &Request) -> Option<Usage> {
    let estimated = Usage { estimated: true, ..Usage::default() };
    match operation {
        Operation::Images | Operation::ImageEdits => Some(Usage { queries: request.n(), ..estimated }),
        Operation::Speech => {
            let input = request.member("input").and_then(json::as_str);
            let prompt = input.map_or(0, |text| text.chars().count() as u64);
            Some(Usage { prompt, completion: prompt.saturating_mul(SOUND_PER_TWO) / 2, ..estimated })
        }
        Operation::Transcriptions | Operation::Translations => {
            Some(Usage { queries: request.form()?.files().div_ceil(BYTES_PER_SECOND), ..estimated })
        }
        _ => None,
    }
}

//! Google's Gemini API (AI Studio). Vertex AI takes the same bodies under other addresses, see [`vertex`].

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    error::{EncodeError, UpstreamError},
    inbound,
    provider::{AuthScheme, Decoded, Encoded, Operation, Provider, Recall, Shown, Target, no_route},
    request::Request,
    splice::Splices,
    stream::{Framing, StreamDecoder, Translated},
};

mod embed;
mod error;
mod family;
mod grounding;
mod name;
mod object;
mod own;
mod parts;
mod relay;
mod request;
mod response;
mod schema;
mod stream;
mod tools;
pub(super) mod vertex;
mod wire;

/// What a model's name may hold unescaped in a path: the version of a partner's model follows an @.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@');

/// The adapter.
pub(super) static GEMINI: Gemini = Gemini;

/// Google AI Studio.
#[derive(Debug)]
pub(super) struct Gemini;

/// Who serves Google's models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Platform {
    AiStudio,
    Vertex,
}

impl Platform {
    /// As in messages to people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::AiStudio => "Gemini",
            Self::Vertex => "Vertex AI",
        }
    }

    /// Whether it fetches what stands under this URL itself.
    fn reads(self, url: &str) -> bool {
        const VIDEOS: &[&str] = &["https://www.youtube.com/", "https://youtube.com/", "https://youtu.be/"];
        let uploaded = url.starts_with("https://generativelanguage.googleapis.com/");
        VIDEOS.iter().any(|start| url.starts_with(start))
            || match self {
                Self::AiStudio => uploaded || url.starts_with("gs://"),
                Self::Vertex => url.starts_with("gs://"),
            }
    }

    /// The URI of a file under the id that its upload gave.
    fn file_uri(self, id: &str) -> Option<String> {
        let uploaded = self == Self::AiStudio && id.starts_with("files/");
        uploaded.then(|| format!("https://generativelanguage.googleapis.com/v1beta/{id}"))
    }
}

impl Provider for Gemini {
    fn speaks(&self, operation: Operation) -> bool {
        matches!(operation, Operation::GenerateContent | Operation::CountContent)
    }

    fn auth(&self) -> AuthScheme {
        AuthScheme::Header("x-goog-api-key")
    }

    fn url(&self, operation: Operation, stream: bool, target: &Target<'_>) -> String {
        let base = target.base_url.trim_end_matches('/');
        format!("{base}/{}:{}", path(target.model), method(operation, stream))
    }

    fn encode(&self, operation: Operation, request: &Request, target: &Target<'_>) -> Result<Encoded, EncodeError> {
        match operation {
            Operation::Embeddings => {
                let body = embed::batch(&inbound::read_embed(request, target)?, &path(target.model));
                Ok(encoded(body, Recall::default()))
            }
            Operation::GenerateContent | Operation::CountContent => {
                let body = own::encode(operation, request, target, &path(target.model));
                Ok(Encoded::json(body, Recall::default()))
            }
            Operation::Chat | Operation::Messages | Operation::Responses => {
                let chat = inbound::read(operation, request, target)?;
                let (body, recall) = request::write(chat, target, Platform::AiStudio, &[])?;
                Ok(encoded(body, recall))
            }
            _ => Err(no_route(Platform::AiStudio.name(), operation)),
        }
    }

    fn decode(&self, operation: Operation, body: Bytes, shown: &Shown) -> Result<Decoded, UpstreamError> {
        if operation == Operation::Embeddings {
            return embed::vectors(&body)?.write(shown);
        }
        if self.speaks(operation) {
            return own::decode(operation, &body, shown);
        }
        response::decode(operation, &body, shown)
    }

    fn stream(&self, operation: Operation, shown: Shown) -> Box<dyn StreamDecoder> {
        if self.speaks(operation) {
            return Box::new(relay::Relay::new(shown));
        }
        let events = stream::Reader::new(&shown);
        Box::new(Translated::new(Framing::sse(), Box::new(events), operation, shown))
    }

    fn wants_in_place(&self, url: &str) -> bool {
        !Platform::AiStudio.reads(url)
    }

    fn error(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> UpstreamError {
        error::read(status, headers, body)
    }
}

fn encoded(body: Vec<u8>, recall: Recall) -> Encoded {
    Encoded::json(Splices::from(Bytes::from(body)), recall)
}

/// `models/NAME`, or what the name says itself (`tunedModels/NAME`).
fn path(model: &str) -> String {
    let (folder, name) = match model.split_once('/') {
        Some((folder @ ("models" | "tunedModels"), name)) => (folder, name),
        _ => ("models", model),
    };
    format!("{folder}/{}", utf8_percent_encode(name, SEGMENT))
}

/// What follows the model's name.
fn method(operation: Operation, stream: bool) -> &'static str {
    match operation {
        Operation::Embeddings => "batchEmbedContents",
        Operation::CountContent => "countTokens",
        _ if stream => "streamGenerateContent?alt=sse",
        _ => "generateContent",
    }
}

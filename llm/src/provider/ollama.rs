//! Ollama's own API: /api/chat and /api/embed; legacy completions go to its route of OpenAI's dialect.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::{
    error::{EncodeError, UpstreamError},
    inbound,
    provider::{
        AuthScheme, Decoded, Encoded, Operation, Provider, Shown, Target, no_route, quirks::OLLAMA_COMPLETIONS,
        upstream_error, wire,
    },
    request::Request,
    stream::{Framing, StreamDecoder, Translated},
};

mod embed;
mod request;
mod response;
mod stream;

/// The adapter.
pub(super) struct Ollama;

/// As in messages to people.
const NAME: &str = "Ollama";

impl Provider for Ollama {
    fn speaks(&self, operation: Operation) -> bool {
        operation == Operation::Completions
    }

    /// A local one wants no key; ollama.com and proxies do.
    fn auth(&self) -> AuthScheme {
        AuthScheme::Bearer
    }

    fn url(&self, operation: Operation, stream: bool, target: &Target<'_>) -> String {
        let path = match operation {
            Operation::Completions => return OLLAMA_COMPLETIONS.url(operation, stream, target),
            Operation::Embeddings => "/api/embed",
            _ => "/api/chat",
        };
        // The base of its other dialect is often given.
        let base = target.base_url.trim_end_matches('/');
        wire::joined(base.strip_suffix("/v1").unwrap_or(base), path)
    }

    fn encode(&self, operation: Operation, request: &Request, target: &Target<'_>) -> Result<Encoded, EncodeError> {
        match operation {
            Operation::Chat | Operation::Messages | Operation::Responses | Operation::GenerateContent => {
                let chat = inbound::read(operation, request, target)?;
                request::encode(&chat, target)
            }
            Operation::Embeddings => Ok(embed::encode(&inbound::read_embed(request, target)?, target)),
            Operation::Completions => OLLAMA_COMPLETIONS.encode(operation, request, target),
            _ => Err(no_route(NAME, operation)),
        }
    }

    fn decode(&self, operation: Operation, body: Bytes, shown: &Shown) -> Result<Decoded, UpstreamError> {
        match operation {
            Operation::Completions => OLLAMA_COMPLETIONS.decode(operation, body, shown),
            Operation::Embeddings => embed::decode(&body)?.write(shown),
            _ => {
                let answer = response::decode(&body, &shown.call_id)?;
                Ok(Decoded { body: inbound::write(operation, &answer, shown), usage: answer.usage })
            }
        }
    }

    fn stream(&self, operation: Operation, shown: Shown) -> Box<dyn StreamDecoder> {
        if operation == Operation::Completions {
            return OLLAMA_COMPLETIONS.stream(operation, shown);
        }
        let events = stream::Chat::new(&shown.call_id);
        Box::new(Translated::new(Framing::lines(), Box::new(events), operation, shown))
    }

    fn wants_in_place(&self, _url: &str) -> bool {
        true
    }

    fn error(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> UpstreamError {
        upstream_error(status, headers, body)
    }
}

//! Cohere's API, version 2: /v2/chat, /v2/embed and /v2/rerank.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::{
    error::{EncodeError, UpstreamError},
    inbound,
    provider::{AuthScheme, Decoded, Encoded, Operation, Provider, Shown, Target, no_route, rerank, wire},
    request::Request,
    stream::{Framing, StreamDecoder, Translated},
};

mod embed;
mod error;
mod request;
mod response;
mod stream;

/// The adapter.
pub(super) struct Cohere;

/// As in messages to people.
const NAME: &str = "Cohere";

impl Provider for Cohere {
    fn speaks(&self, _operation: Operation) -> bool {
        false
    }

    fn auth(&self) -> AuthScheme {
        AuthScheme::Bearer
    }

    fn url(&self, operation: Operation, _stream: bool, target: &Target<'_>) -> String {
        if operation == Operation::Rerank {
            return rerank::Api::Cohere.url(target);
        }
        wire::joined(target.base_url, if operation == Operation::Embeddings { "/v2/embed" } else { "/v2/chat" })
    }

    fn encode(&self, operation: Operation, request: &Request, target: &Target<'_>) -> Result<Encoded, EncodeError> {
        match operation {
            Operation::Chat | Operation::Messages | Operation::Responses | Operation::GenerateContent => {
                let chat = inbound::read(operation, request, target)?;
                request::encode(&chat, target)
            }
            Operation::Embeddings => embed::encode(&inbound::read_embed(request, target)?, target),
            Operation::Rerank => rerank::Api::Cohere.encode(NAME, request, target),
            _ => Err(no_route(NAME, operation)),
        }
    }

    fn decode(&self, operation: Operation, body: Bytes, shown: &Shown) -> Result<Decoded, UpstreamError> {
        if operation == Operation::Embeddings {
            return embed::decode(&body)?.write(shown);
        }
        if operation == Operation::Rerank {
            return rerank::decode(&body, shown);
        }
        let answer = response::decode(&body)?;
        Ok(Decoded { body: inbound::write(operation, &answer, shown), usage: answer.usage })
    }

    fn stream(&self, operation: Operation, shown: Shown) -> Box<dyn StreamDecoder> {
        Box::new(Translated::new(Framing::sse(), Box::new(stream::Chat::default()), operation, shown))
    }

    fn error(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> UpstreamError {
        error::read(status, headers, body)
    }
}

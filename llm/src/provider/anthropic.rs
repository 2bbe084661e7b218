//! Anthropic's Messages API.
//!
//! Where it differs most from OpenAI's: system texts stand apart, turns alternate and results of tools are the user's, a limit
//! of the output is required, and what is thought comes signed and has to be handed back as it came.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::{
    error::{EncodeError, UpstreamError},
    inbound,
    provider::{AuthScheme, Decoded, Encoded, Operation, Provider, Recall, Shown, Target, no_route},
    request::Request,
    stream::{Framing, StreamDecoder, Translated},
};

mod beta;
mod block;
mod error;
mod messages;
mod model;
pub(super) mod own;
mod reasoning;
mod relay;
pub(super) mod request;
mod response;
mod schema;
mod stream;
mod tools;
mod wire;

pub(super) use model::{Model, Thinking};
pub(super) use schema::enforced;
pub(super) use tools::object;

/// The only version that there is.
const VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");

/// The adapter.
pub(super) struct Anthropic;

impl Provider for Anthropic {
    fn speaks(&self, operation: Operation) -> bool {
        matches!(operation, Operation::Messages | Operation::CountTokens)
    }

    fn auth(&self) -> AuthScheme {
        AuthScheme::Header("x-api-key")
    }

    fn url(&self, operation: Operation, _stream: bool, target: &Target<'_>) -> String {
        let base = target.base_url.trim_end_matches('/');
        let count = if operation == Operation::CountTokens { "/count_tokens" } else { "" };
        format!("{}/v1/messages{count}", base.strip_suffix("/v1").unwrap_or(base))
    }

    fn encode(&self, operation: Operation, request: &Request, target: &Target<'_>) -> Result<Encoded, EncodeError> {
        let mut headers = vec![
            (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (HeaderName::from_static("anthropic-version"), VERSION),
        ];
        match operation {
            Operation::Messages | Operation::CountTokens => {
                let body = own::encode(operation, request, target);
                Ok(Encoded { headers, body, further: Vec::new(), recall: Recall::default() })
            }
            Operation::Chat | Operation::Responses | Operation::GenerateContent => {
                let chat = inbound::read(operation, request, target)?;
                let request::Written { body, notes } = request::write(chat, None, target)?;
                headers.extend(notes.betas.header());
                Ok(Encoded { headers, body: body.into(), further: Vec::new(), recall: notes.recall })
            }
            _ => Err(no_route("Anthropic", operation)),
        }
    }

    fn decode(&self, operation: Operation, body: Bytes, shown: &Shown) -> Result<Decoded, UpstreamError> {
        if self.speaks(operation) {
            return own::decode(operation, &body, shown);
        }
        let answer = response::read(&body)?;
        Ok(Decoded { body: inbound::write(operation, &answer, shown), usage: answer.usage })
    }

    fn stream(&self, operation: Operation, shown: Shown) -> Box<dyn StreamDecoder> {
        if self.speaks(operation) {
            return Box::new(relay::Relay::new(shown));
        }
        Box::new(Translated::new(Framing::sse(), Box::new(stream::Messages::default()), operation, shown))
    }

    /// Anthropic itself fetches what is served over TLS.
    fn wants_in_place(&self, url: &str) -> bool {
        !url.starts_with("https://")
    }

    fn error(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> UpstreamError {
        error::read(status, headers, body)
    }
}

/// `max_tokens` where nobody names it, though it is required.
fn default_limit(target: &Target<'_>) -> u64 {
    target.capabilities.max_output_tokens.unwrap_or(4096)
}

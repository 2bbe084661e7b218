//! Anthropic's Messages API.
//!
//! Where it differs most from OpenAI's: system texts stand apart, turns alternate and results of tools are the user's, a limit
//! of the output is required, and what is thought comes signed and has to be handed back as it came.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::{
    error::{EncodeError, UpstreamError},
    inbound,
    provider::{AuthScheme, Decoded, Encoded, Operation, Provider, Shown, Target, no_route},
    request::Request,
    stream::{Framing, StreamDecoder, Translated},
};

mod beta;
mod block;
mod error;
mod messages;
mod model;
mod reasoning;
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
    fn speaks(&self, _operation: Operation) -> bool {
        false
    }

    fn auth(&self) -> AuthScheme {
        AuthScheme::Header("x-api-key")
    }

    fn url(&self, _operation: Operation, _stream: bool, target: &Target<'_>) -> String {
        let base = target.base_url.trim_end_matches('/');
        format!("{}/v1/messages", base.strip_suffix("/v1").unwrap_or(base))
    }

    fn encode(&self, operation: Operation, request: &Request, target: &Target<'_>) -> Result<Encoded, EncodeError> {
        if !matches!(operation, Operation::Chat | Operation::Messages | Operation::Responses) {
            return Err(no_route("Anthropic", operation));
        }
        let chat = inbound::read(operation, request, target)?;
        let request::Written { body, notes } = request::write(chat, None, target)?;
        let mut headers = vec![
            (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (HeaderName::from_static("anthropic-version"), VERSION),
        ];
        headers.extend(notes.betas.header());
        Ok(Encoded { headers, body: body.into(), recall: notes.recall })
    }

    fn decode(&self, operation: Operation, body: Bytes, shown: &Shown) -> Result<Decoded, UpstreamError> {
        let answer = response::read(&body)?;
        Ok(Decoded { body: inbound::write(operation, &answer, shown), usage: answer.usage })
    }

    fn stream(&self, operation: Operation, shown: Shown) -> Box<dyn StreamDecoder> {
        Box::new(Translated::new(Framing::sse(), Box::new(stream::Messages::default()), operation, shown))
    }

    fn error(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> UpstreamError {
        error::read(status, headers, body)
    }
}

//! AWS Bedrock: `Converse` and `ConverseStream` for chats, `InvokeModel` for embeddings and rerankers.
//!
//! The model is part of the path, a stream comes as AWS event-stream messages, and what models have beyond the API that
//! they share goes into `additionalModelRequestFields`.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::value::RawValue;

use self::{model::Model, stream::Events, wire::Members};
use crate::{
    chat::Support,
    error::{EncodeError, UpstreamError},
    inbound,
    provider::{
        AuthScheme, Decoded, Encoded, Operation, Provider, Recall, Shown, Target, failure::aws_error, no_route, rerank,
    },
    request::Request,
    splice::Splices,
    stream::{Framing, StreamDecoder, Translated},
};

mod content;
mod embeddings;
mod model;
mod request;
mod response;
mod stream;
mod tools;
mod wire;

/// As in messages to people.
const NAME: &str = "Bedrock";

/// What a path segment may hold unescaped (RFC 3986, unreserved).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The adapter.
#[derive(Debug)]
pub(super) struct Bedrock;

/// One chat request in the making.
struct Call<'a> {
    model: Model<'a>,
    support: Support<'a>,
    recall: Recall,
    /// Names of documents so far: no two may be alike.
    documents: Vec<String>,
    /// Tools in Claude's own words.
    claude_tools: Vec<Box<RawValue>>,
    /// `additionalModelRequestFields`.
    fields: Members,
}

impl Provider for Bedrock {
    fn speaks(&self, _operation: Operation) -> bool {
        false
    }

    fn auth(&self) -> AuthScheme {
        AuthScheme::SigV4 { service: "bedrock" }
    }

    fn url(&self, operation: Operation, stream: bool, target: &Target<'_>) -> String {
        if operation == Operation::Rerank {
            return rerank::Api::Bedrock.url(target);
        }
        let base = target.base_url.trim_end_matches('/');
        let model = utf8_percent_encode(target.model, SEGMENT);
        let action = match operation {
            Operation::Embeddings => "invoke",
            // A route that Bedrock lacks is refused by `encode`; its URL is never called.
            _ if stream => "converse-stream",
            _ => "converse",
        };
        format!("{base}/model/{model}/{action}")
    }

    fn encode(&self, operation: Operation, request: &Request, target: &Target<'_>) -> Result<Encoded, EncodeError> {
        if operation == Operation::Rerank {
            return rerank::Api::Bedrock.encode(NAME, request, target);
        }
        let (body, further, recall) = match operation {
            Operation::Chat | Operation::Messages | Operation::Responses | Operation::GenerateContent => {
                let (body, recall) = request::encode(inbound::read(operation, request, target)?, target)?;
                (body, Vec::new(), recall)
            }
            Operation::Embeddings => {
                let (body, further) = embeddings::encode(inbound::read_embed(request, target)?, target)?;
                (body, further, Recall::default())
            }
            _ => return Err(no_route(NAME, operation)),
        };
        let further = further.into_iter().map(Splices::from).collect();
        Ok(Encoded { further, ..Encoded::json(body.into(), recall) })
    }

    fn decode(&self, operation: Operation, body: Bytes, shown: &Shown) -> Result<Decoded, UpstreamError> {
        if operation == Operation::Embeddings {
            return embeddings::decode(&body)?.write(shown);
        }
        if operation == Operation::Rerank {
            return rerank::decode_searches(&body, shown);
        }
        let answer = response::decode(&body)?;
        Ok(Decoded { body: inbound::write(operation, &answer, shown), usage: answer.usage })
    }

    fn join(&self, _operation: Operation, bodies: &[Bytes], shown: &Shown) -> Result<Decoded, UpstreamError> {
        embeddings::join(bodies)?.write(shown)
    }

    fn stream(&self, operation: Operation, shown: Shown) -> Box<dyn StreamDecoder> {
        Box::new(Translated::new(Framing::aws_events(), Box::new(Events::default()), operation, shown))
    }

    fn wants_in_place(&self, url: &str) -> bool {
        !url.starts_with("s3://")
    }

    fn error(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> UpstreamError {
        aws_error(status, headers, body)
    }
}

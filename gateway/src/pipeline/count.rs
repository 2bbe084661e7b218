//! Answers to `messages/count_tokens` and `:countTokens` where the provider has no such route: what the tokenizer says.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use turnpike_llm::{provider::Operation, request::Request, splice::Splices, tokens, usage::Usage};

use super::{body::INLINE, call::Reply, meter::Meter};
use crate::error::Error;

/// `{"input_tokens":N}`, or `{"totalTokens":N}` as Gemini says it, and nothing used.
///
/// # Errors
/// The runtime ends.
pub async fn count(
    operation: Operation,
    request: &Request,
    model: &Arc<str>,
    meter: &mut Meter,
) -> Result<Reply, Error> {
    let tokens = if request.bytes().len() <= INLINE {
        tokens::prompt(model, request)
    } else {
        let (request, model) = (request.clone(), Arc::clone(model));
        let counting = tokio::task::spawn_blocking(move || tokens::prompt(&model, &request));
        counting.await.map_err(|_| Error::Internal)?
    };
    meter.used(Usage::default());
    let name = if operation == Operation::CountContent { "totalTokens" } else { "input_tokens" };
    let body = Bytes::from(format!("{{\"{name}\":{tokens}}}"));
    Ok(Reply::Whole { body: Splices::from(body), headers: HeaderMap::new() })
}

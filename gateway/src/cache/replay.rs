//! Makes an answer of a kept one: under the model's name that is asked for now, and at no cost.

use bytes::Bytes;
use turnpike_llm::{
    error::UpstreamError,
    provider::{Operation, Provider, ProviderKind, Shown},
    splice::Splices,
};

use super::kept::Kept;

/// The body for the client.
///
/// # Errors
/// The kept answer is not one of this operation.
pub fn replay(kept: &Kept, operation: Operation, is_stream: bool, shown: &Shown) -> Result<Splices, UpstreamError> {
    let is_same = *kept.name == *shown.model;
    // What it cost then stands in its last chunk where the client asked for usage.
    if is_same && !(is_stream && shown.include_usage) {
        return Ok(Splices::from(kept.body.clone()));
    }
    let Some(adapter) = dialect(operation).adapter() else {
        return Ok(Splices::from(kept.body.clone()));
    };
    if !is_stream {
        return Ok(adapter.decode(operation, kept.body.clone(), shown)?.body);
    }
    events(adapter, operation, kept.body.clone(), shown)
}

fn events(adapter: &dyn Provider, operation: Operation, body: Bytes, shown: &Shown) -> Result<Splices, UpstreamError> {
    let mut decoder = adapter.stream(operation, shown.clone());
    if shown.include_usage {
        decoder.set_cost(Box::new(|_| Some(0)));
    }
    let first = decoder.push(body)?;
    let last = decoder.end()?;
    Ok([first, last].into_iter().collect())
}

/// Who speaks a route's dialect as its own.
fn dialect(operation: Operation) -> ProviderKind {
    match operation {
        Operation::Messages => ProviderKind::Anthropic,
        Operation::GenerateContent => ProviderKind::Gemini,
        _ => ProviderKind::OpenAI,
    }
}

//! Embeddings at Ollama.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    error::UpstreamError,
    inbound::{Embed, Vectors},
    provider::{Encoded, Target, wire},
    response::{bad_answer, reported},
    usage::Usage,
};

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    input: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<u64>,
}

/// Writes the request.
pub(super) fn encode(embed: &Embed, target: &Target<'_>) -> Encoded {
    let body = Body { model: target.model, input: &embed.inputs, dimensions: embed.dimensions };
    wire::encoded(&body, &embed.others)
}

#[derive(Deserialize)]
struct Wire {
    embeddings: Option<Vec<Box<RawValue>>>,
    prompt_eval_count: Option<u64>,
}

/// Reads the answer.
///
/// # Errors
/// It is none.
pub(super) fn decode(body: &[u8]) -> Result<Vectors, UpstreamError> {
    let wire: Wire = serde_json::from_slice(body).map_err(|error| bad_answer(&error))?;
    let vectors = wire.embeddings.ok_or_else(|| reported(body))?;
    let usage = wire.prompt_eval_count.map(|prompt| Usage { prompt, ..Usage::default() });
    Ok(Vectors { vectors, usage })
}

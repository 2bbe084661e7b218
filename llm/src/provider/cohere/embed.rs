//! Embeddings at Cohere.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::response::Usage;
use crate::{
    error::{EncodeError, UpstreamError},
    inbound::{Embed, Vectors, invalid},
    provider::{Encoded, Target, wire},
    response::{bad_answer, reported},
    usage,
};

/// Types of vectors that are numbers, the best first.
const TYPES: [&str; 5] = ["float", "int8", "uint8", "binary", "ubinary"];

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    texts: &'a [String],
    /// Needed by every model but the first; clients of OpenAI's dialect hardly say it.
    input_type: &'static str,
    embedding_types: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimension: Option<u64>,
}

/// Writes the request.
///
/// # Errors
/// It asks for vectors as Cohere's base64, which has another name in the client's dialect.
pub(super) fn encode(embed: &Embed, target: &Target<'_>) -> Result<Encoded, EncodeError> {
    let types = embed.others.iter().find(|(name, _)| name == "embedding_types");
    if types.is_some_and(|(_, value)| value.get().contains("base64")) {
        return Err(invalid("embedding_types", &"ask for base64 by \"encoding_format\": \"base64\""));
    }
    let body = Body {
        model: target.model,
        texts: &embed.inputs,
        input_type: "search_document",
        embedding_types: ["float"],
        output_dimension: embed.dimensions,
    };
    Ok(wire::encoded(&body, &embed.others))
}

#[derive(Deserialize)]
struct Wire {
    embeddings: Option<BTreeMap<String, Vec<Box<RawValue>>>>,
    meta: Option<Usage>,
}

/// Reads the answer.
///
/// # Errors
/// It is none.
pub(super) fn decode(body: &[u8]) -> Result<Vectors, UpstreamError> {
    let wire: Wire = serde_json::from_slice(body).map_err(|error| bad_answer(&error))?;
    let Some(mut embeddings) = wire.embeddings else {
        return Err(reported(body));
    };
    let vectors = TYPES.iter().find_map(|kind| embeddings.remove(*kind));
    let vectors = vectors.ok_or_else(|| bad_answer(&"it holds no 'embeddings' of numbers"))?;
    let usage = wire.meta.as_ref().and_then(Usage::neutral);
    let usage = usage.map(|usage| usage::Usage { completion: 0, ..usage });
    Ok(Vectors { vectors, usage })
}

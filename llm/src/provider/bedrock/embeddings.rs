//! Embeddings by `InvokeModel`, whose bodies are each model's own: Titan's and Cohere's.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue, value::to_raw_value};

use super::{NAME, model::Model, response::parsed, wire::Members};
use crate::{
    chat::Support,
    error::{EncodeError, UpstreamError},
    inbound::{Embed, Vectors, invalid},
    provider::Target,
    response::bad_answer,
    usage::Usage,
};

/// The body for the model's family.
pub(super) fn encode(embed: Embed, target: &Target<'_>) -> Result<Bytes, EncodeError> {
    let model = Model::of(target.model);
    let support = Support::new(NAME, target);
    let mut body = Body::default();
    // The client's own words come first, so that nothing said here replaces them.
    embed.others.into_iter().for_each(|(name, raw)| body.0.add(&name, raw));
    if model.is_cohere() {
        body.say("texts", &embed.inputs);
        body.say("input_type", &"search_document");
        if model.name().starts_with("cohere.embed-v4") {
            body.say("embedding_types", &["float"]);
            embed.dimensions.iter().for_each(|count| body.say("output_dimension", count));
        } else {
            support.lacks("dimensions", embed.dimensions.is_some())?;
        }
        return body.finish();
    }
    let [text] = embed.inputs.as_slice() else {
        let why =
            format_args!("model '{}' takes one text a call; send each text in a request of its own", target.model);
        return Err(invalid("input", &why));
    };
    body.say("inputText", text);
    if let Some(count) = embed.dimensions {
        if model.name().starts_with("amazon.titan-embed-text-v1") {
            support.lacks("dimensions", true)?;
        } else if model.name().starts_with("amazon.titan-embed-image") {
            body.say("embeddingConfig", &json!({ "outputEmbeddingLength": count }));
        } else {
            body.say("dimensions", &count);
        }
    }
    body.finish()
}

#[derive(Default)]
struct Body(Members);

impl Body {
    fn say<T: Serialize>(&mut self, name: &str, value: &T) {
        // These types cannot fail to serialise.
        if let Ok(raw) = to_raw_value(value) {
            self.0.add(name, raw);
        }
    }

    fn finish(self) -> Result<Bytes, EncodeError> {
        serde_json::to_vec(&self.0).map(Bytes::from).map_err(|error| invalid("body", &error))
    }
}

/// An answer of any of these models.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    /// Titan's.
    embedding: Option<Box<RawValue>>,
    input_text_token_count: Option<u64>,
    /// Cohere's: an array, or one for each type that was asked for.
    embeddings: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct ByType {
    float: Vec<Box<RawValue>>,
}

/// Reads it. Cohere counts its tokens in a header only, which is the gateway's estimate to make.
pub(super) fn decode(body: &[u8]) -> Result<Vectors, UpstreamError> {
    let answer: Answer = parsed(body)?;
    let vectors: Vec<Box<RawValue>> = match (answer.embedding, answer.embeddings) {
        (Some(only), _) => vec![only],
        (None, Some(all)) if all.get().starts_with('[') => parsed(all.get().as_bytes())?,
        (None, Some(all)) => parsed::<ByType>(all.get().as_bytes())?.float,
        (None, None) => return Err(bad_answer(&"it holds no 'embedding'")),
    };
    if vectors.iter().any(|vector| !vector.get().starts_with('[')) {
        return Err(bad_answer(&"an embedding is no array"));
    }
    let usage = answer.input_text_token_count.map(|prompt| Usage { prompt, ..Usage::default() });
    Ok(Vectors { vectors, usage })
}

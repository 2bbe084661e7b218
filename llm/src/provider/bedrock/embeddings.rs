//! Embeddings by `InvokeModel`, whose bodies are each model's own: Titan's, Nova's and Cohere's.

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

/// Most texts of one request; OpenAI's own limit.
const MOST: usize = 2048;
/// Most bytes of members that are sent again with each text.
const MOST_BESIDE: usize = 4096;

/// The body for the model's family, and of those that take one text a call the bodies of the texts after the first.
pub(super) fn encode(mut embed: Embed, target: &Target<'_>) -> Result<(Bytes, Vec<Bytes>), EncodeError> {
    let model = Model::of(target.model);
    let support = Support::new(NAME, target);
    let purpose = if model.is_nova() { purpose(&mut embed.others) } else { "" };
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
        return Ok((body.finish()?, Vec::new()));
    }
    if embed.inputs.len() > MOST {
        let why = format_args!("it holds {} texts; send at most {MOST} in one request", embed.inputs.len());
        return Err(invalid("input", &why));
    }
    if let Some(count) = embed.dimensions.filter(|_| !model.is_nova()) {
        if model.name().starts_with("amazon.titan-embed-text-v1") {
            support.lacks("dimensions", true)?;
        } else if model.name().starts_with("amazon.titan-embed-image") {
            body.say("embeddingConfig", &json!({ "outputEmbeddingLength": count }));
        } else {
            body.say("dimensions", &count);
        }
    }
    if embed.inputs.len() > 1 && body.0.size() > MOST_BESIDE {
        let why =
            format_args!("several texts cannot be embedded beside more than {MOST_BESIDE} bytes of other members");
        return Err(invalid("input", &why));
    }
    let mut texts = embed.inputs.iter().map(|text| {
        let mut body = body.clone();
        if model.is_nova() {
            body.say("taskType", &"SINGLE_EMBEDDING");
            body.say("singleEmbeddingParams", &Nova::of(text, purpose, embed.dimensions));
        } else {
            body.say("inputText", text);
        }
        body.finish()
    });
    let first = texts.next().ok_or_else(|| invalid("input", &"it must hold at least one text"))??;
    Ok((first, texts.collect::<Result<_, _>>()?))
}

/// What vectors are for, by `input_type` in Cohere's words.
fn purpose(others: &mut Vec<(String, Box<RawValue>)>) -> &'static str {
    let asked = others.iter().position(|(name, _)| name == "input_type").map(|at| others.remove(at).1);
    match asked.as_deref().map_or("", RawValue::get) {
        r#""search_query""# => "GENERIC_RETRIEVAL",
        r#""classification""# => "CLASSIFICATION",
        r#""clustering""# => "CLUSTERING",
        _ => "GENERIC_INDEX",
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Nova<'a> {
    embedding_purpose: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    embedding_dimension: Option<u64>,
    text: NovaText<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NovaText<'a> {
    /// A text that is too long fails, as at other providers.
    truncation_mode: &'static str,
    value: &'a str,
}

impl<'a> Nova<'a> {
    fn of(value: &'a str, embedding_purpose: &'static str, embedding_dimension: Option<u64>) -> Self {
        Self { embedding_purpose, embedding_dimension, text: NovaText { truncation_mode: "NONE", value } }
    }
}

#[derive(Clone, Default)]
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
    /// Cohere's: an array, or one for each type that was asked for. Nova's: an array of objects.
    embeddings: Option<Box<RawValue>>,
}

/// Nova's.
#[derive(Deserialize)]
struct Typed {
    embedding: Box<RawValue>,
}

#[derive(Deserialize)]
struct ByType {
    float: Vec<Box<RawValue>>,
}

/// Reads it. Cohere and Nova count their tokens in a header at best, which is the gateway's estimate to make.
pub(super) fn decode(body: &[u8]) -> Result<Vectors, UpstreamError> {
    let answer: Answer = parsed(body)?;
    let vectors: Vec<Box<RawValue>> = match (answer.embedding, answer.embeddings) {
        (Some(only), _) => vec![only],
        (None, Some(all)) if all.get().starts_with('[') => {
            let all: Vec<Box<RawValue>> = parsed(all.get().as_bytes())?;
            all.into_iter().map(vector).collect::<Result<_, _>>()?
        }
        (None, Some(all)) => parsed::<ByType>(all.get().as_bytes())?.float,
        (None, None) => return Err(bad_answer(&"it holds no 'embedding'")),
    };
    if vectors.iter().any(|vector| !vector.get().starts_with('[')) {
        return Err(bad_answer(&"an embedding is no array"));
    }
    let usage = answer.input_text_token_count.map(|prompt| Usage { prompt, ..Usage::default() });
    Ok(Vectors { vectors, usage })
}

fn vector(raw: Box<RawValue>) -> Result<Box<RawValue>, UpstreamError> {
    if raw.get().starts_with('{') { Ok(parsed::<Typed>(raw.get().as_bytes())?.embedding) } else { Ok(raw) }
}

/// Reads the answers to one text each. What they used is told only if each of them tells it.
pub(super) fn join(bodies: &[Bytes]) -> Result<Vectors, UpstreamError> {
    let mut joined = Vectors { vectors: Vec::with_capacity(bodies.len()), usage: Some(Usage::default()) };
    for body in bodies {
        let Vectors { vectors, usage } = decode(body)?;
        if vectors.len() != 1 {
            return Err(bad_answer(&"it holds more than the one embedding that was asked for"));
        }
        joined.vectors.extend(vectors);
        joined.usage =
            joined.usage.zip(usage).map(|(before, this)| Usage { prompt: before.prompt + this.prompt, ..before });
    }
    Ok(joined)
}

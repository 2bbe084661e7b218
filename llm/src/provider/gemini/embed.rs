//! Embeddings: texts in, their vectors out. AI Studio and Vertex AI have three ways of asking and two of answering.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    error,
    object::{Object, string},
    parts::{Part, Said},
};
use crate::{
    error::UpstreamError,
    inbound::{Embed, Vectors},
    usage::Usage,
};

#[derive(Serialize)]
struct Batch {
    requests: Vec<Object>,
}

/// AI Studio's `batchEmbedContents`; `model` with its folder.
pub(super) fn batch(embed: &Embed, model: &str) -> Vec<u8> {
    batched(embed, |text| {
        let mut request = settings(embed);
        request.set("model", &model);
        request.set("content", &content(text));
        request
    })
}

/// Vertex AI's.
pub(super) fn configured(embed: &Embed) -> Vec<u8> {
    batched(embed, |text| {
        let mut request = Object::default();
        request.set("content", &content(text));
        let config = settings(embed);
        if !config.is_empty() {
            request.set("embedContentConfig", &config);
        }
        request
    })
}

fn batched(embed: &Embed, request: impl Fn(&str) -> Object) -> Vec<u8> {
    let requests = embed.inputs.iter().map(|text| request(text)).collect();
    serde_json::to_vec(&Batch { requests }).unwrap_or_default()
}

fn content(text: &str) -> Said<'_> {
    Said { role: None, parts: vec![Part::text(text)] }
}

/// Vertex AI's `predict`, whose settings of single texts stand beside them.
pub(super) fn instances(embed: &Embed) -> Vec<u8> {
    let mut parameters = Object::default();
    parameters.set_some("outputDimensionality", embed.dimensions.as_ref());
    let mut own: Vec<(&'static str, Cow<'_, str>)> = Vec::new();
    for (name, value) in &embed.others {
        match name.as_str() {
            "task_type" | "taskType" | "input_type" => own.push(("task_type", task(value))),
            "title" => own.extend(string(value).map(|title| ("title", title))),
            "auto_truncate" => parameters.put("autoTruncate", value.clone()),
            "output_dimensionality" => parameters.put("outputDimensionality", value.clone()),
            other => parameters.put(other.to_owned(), value.clone()),
        }
    }
    let instance = |text: &String| {
        let mut instance = Object::default();
        instance.set("content", text);
        for (name, value) in &own {
            instance.set(name, value);
        }
        instance
    };
    let mut body = Object::default();
    body.set("instances", &embed.inputs.iter().map(instance).collect::<Vec<_>>());
    if !parameters.is_empty() {
        body.set("parameters", &parameters);
    }
    body.write()
}

fn settings(embed: &Embed) -> Object {
    let mut settings = Object::default();
    settings.set_some("outputDimensionality", embed.dimensions.as_ref());
    for (name, value) in &embed.others {
        match name.as_str() {
            "task_type" | "taskType" | "input_type" => settings.set("taskType", &task(value)),
            "output_dimensionality" => settings.put("outputDimensionality", value.clone()),
            "auto_truncate" => settings.put("autoTruncate", value.clone()),
            other => settings.put(other.to_owned(), value.clone()),
        }
    }
    settings
}

/// What the vectors are for, in Google's words or in Cohere's.
fn task(value: &RawValue) -> Cow<'static, str> {
    match string(value).as_deref().unwrap_or_default() {
        "search_query" | "query" => "RETRIEVAL_QUERY".into(),
        "search_document" | "passage" => "RETRIEVAL_DOCUMENT".into(),
        word => word.to_ascii_uppercase().into(),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    #[serde(default)]
    embeddings: Vec<Embedding>,
    /// Of `predict`.
    #[serde(default)]
    predictions: Vec<Prediction>,
    usage_metadata: Option<Counts>,
}

#[derive(Deserialize)]
struct Prediction {
    embeddings: Embedding,
}

#[derive(Deserialize)]
struct Embedding {
    values: Box<RawValue>,
    statistics: Option<Statistics>,
}

#[derive(Deserialize)]
struct Statistics {
    #[serde(default)]
    token_count: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    #[serde(default)]
    prompt_token_count: u64,
}

/// Reads the answer.
pub(super) fn vectors(body: &[u8]) -> Result<Vectors, UpstreamError> {
    let response: Response = serde_json::from_slice(body).map_err(|_| error::within(body, "embeddings"))?;
    let predicted = response.predictions.into_iter().map(|prediction| prediction.embeddings);
    let embeddings: Vec<Embedding> = response.embeddings.into_iter().chain(predicted).collect();
    if embeddings.is_empty() {
        return Err(error::within(body, "embeddings"));
    }
    let each =
        embeddings.iter().filter_map(|embedding| embedding.statistics.as_ref()).map(|of| whole(of.token_count)).sum();
    let prompt = response.usage_metadata.map_or(each, |counts| counts.prompt_token_count);
    Ok(Vectors {
        vectors: embeddings.into_iter().map(|embedding| embedding.values).collect(),
        usage: (prompt > 0).then(|| Usage { prompt, ..Usage::default() }),
    })
}

/// Google writes these counts as `6.0`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float becomes the nearest count there is"
)]
fn whole(count: f64) -> u64 {
    count as u64
}

//! A whole rerank answer of any upstream, written in Cohere's shape.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use serde_json::{Value, json, value::RawValue};

use super::read::Asked;
use crate::{
    error::UpstreamError,
    json,
    provider::{Decoded, Shown},
    response::{bad_answer, reported},
    splice::Splices,
    usage::Usage,
};

#[derive(Deserialize)]
struct Wire {
    id: Option<String>,
    /// Cohere, Jina; `data` at Fireworks and Voyage, `rankings` at NVIDIA, `records` at Google.
    #[serde(alias = "data", alias = "rankings", alias = "records")]
    results: Option<Vec<Scored>>,
    meta: Option<Meta>,
    usage: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Scored {
    /// A number; at Google the id that it was sent with.
    #[serde(alias = "id", deserialize_with = "place")]
    index: usize,
    #[serde(alias = "score")]
    relevance_score: Option<f64>,
    /// NVIDIA's: any number; higher is better.
    logit: Option<f64>,
    document: Option<Value>,
}

fn place<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a result's place is no index of a document")]
    enum Place {
        Number(usize),
        Text(String),
    }
    match Place::deserialize(deserializer)? {
        Place::Number(index) => Ok(index),
        Place::Text(id) => id.parse().map_err(D::Error::custom),
    }
}

#[derive(Deserialize)]
struct Meta {
    #[serde(flatten)]
    all: serde_json::Map<String, Value>,
}

#[derive(Serialize)]
struct Answer<'a> {
    id: &'a str,
    results: Vec<Shape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<Value>,
}

#[derive(Serialize)]
struct Shape {
    index: usize,
    relevance_score: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<Value>,
}

/// Turns a 2xx body into the client's.
///
/// # Errors
/// The upstream's fault: no ranking, or one of documents that were not sent.
pub(crate) fn decode(body: &Bytes, shown: &Shown) -> Result<Decoded, UpstreamError> {
    let none = Asked::default();
    let asked = shown.recall.asked().unwrap_or(&none);
    // text-embeddings-inference answers with the bare list.
    let wire = match body.trim_ascii_start().first() {
        Some(b'[') => serde_json::from_slice(body).map(|results| Wire {
            id: None,
            results: Some(results),
            meta: None,
            usage: None,
        }),
        _ => serde_json::from_slice(body),
    };
    let wire = wire.map_err(|error| bad_answer(&error))?;
    let Some(scored) = wire.results else {
        let members = json::scan(body).unwrap_or_default();
        let told = ["error", "message", "detail"].iter().any(|name| json::member(body, &members, name).is_some());
        return Err(if told { reported(body) } else { bad_answer(&"it holds no 'results'") });
    };
    let usage = usage(wire.meta.as_ref(), wire.usage.as_deref());
    let answer = Answer {
        id: wire.id.as_deref().unwrap_or(&shown.call_id),
        results: results(scored, asked)?,
        meta: wire.meta.map(|meta| Value::Object(meta.all)).or_else(|| usage.as_ref().map(billed)),
    };
    let text = serde_json::to_vec(&answer).map_err(|error| bad_answer(&error))?;
    Ok(Decoded { body: Splices::from(Bytes::from(text)), usage })
}

/// The same of an upstream that bills searches, each of up to a hundred documents, and does not say how many there were.
///
/// # Errors
/// As [`decode`].
pub(crate) fn decode_searches(body: &Bytes, shown: &Shown) -> Result<Decoded, UpstreamError> {
    const DOCUMENTS: usize = 100;
    let decoded = decode(body, shown)?;
    let documents = shown.recall.asked().map_or(1, |asked| asked.documents);
    let queries = u64::try_from(documents.div_ceil(DOCUMENTS)).unwrap_or(u64::MAX);
    Ok(Decoded { usage: decoded.usage.or(Some(Usage { queries, ..Usage::default() })), ..decoded })
}

/// The best first, as many as were asked for.
fn results(scored: Vec<Scored>, asked: &Asked) -> Result<Vec<Shape>, UpstreamError> {
    let shape = |scored: Scored| {
        if scored.index >= asked.documents {
            return Err(bad_answer(&"it ranks a document that was not sent"));
        }
        let relevance_score = scored.relevance_score.or(scored.logit.map(sigmoid));
        let document = match asked.shows_documents {
            Some(true) => asked.texts.get(scored.index).map(|text| json!({"text": text})),
            Some(false) => None,
            None => scored.document,
        };
        Ok(Shape {
            index: scored.index,
            relevance_score: relevance_score.ok_or_else(|| bad_answer(&"a result has no score"))?,
            document,
        })
    };
    let mut results = scored.into_iter().map(shape).collect::<Result<Vec<_>, _>>()?;
    results.sort_by(|a, b| b.relevance_score.total_cmp(&a.relevance_score));
    results.truncate(asked.top_n.unwrap_or(usize::MAX));
    Ok(results)
}

/// Scores are between 0 and 1 in Cohere's shape; the order stays.
fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

/// Searches where they are billed, else tokens; `None` = nothing was reported.
fn usage(meta: Option<&Meta>, usage: Option<&RawValue>) -> Option<Usage> {
    let number = |group: &str, name: &str| count(meta?.all.get(group)?.get(name)?);
    let queries = number("billed_units", "search_units");
    let prompt = number("billed_units", "input_tokens")
        .or_else(|| number("billed_units", "total_tokens"))
        .or_else(|| number("tokens", "input_tokens"));
    if queries.is_some() || prompt.is_some() {
        let (prompt, queries) = (prompt.unwrap_or(0), queries.unwrap_or(0));
        return Some(Usage { prompt, queries, ..Usage::default() });
    }
    // What such a model writes is no text, whatever the total says.
    let usage = Usage::from_openai(usage?.get().as_bytes())?;
    Some(Usage { prompt: usage.total(), completion: 0, ..usage })
}

/// Cohere writes counts with a point.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count beyond 2^53 or below 0 is none")]
fn count(number: &Value) -> Option<u64> {
    number.as_f64().filter(|number| *number > 0.0).map(|number| number as u64)
}

/// `meta` for an upstream that has none.
fn billed(usage: &Usage) -> Value {
    json!({
        "billed_units": {"total_tokens": usage.prompt},
        "tokens": {"input_tokens": usage.prompt, "output_tokens": 0},
    })
}

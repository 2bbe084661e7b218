//! What each upstream is sent.

use serde::Serialize;

use super::{Api, read::Request};
use crate::{
    chat::{Recall, Support},
    error::EncodeError,
    provider::{Encoded, Target, wire},
};

#[derive(Serialize)]
struct Cohere<'a> {
    model: &'a str,
    query: &'a str,
    documents: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    top_n: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens_per_doc: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_chunks_per_doc: Option<u64>,
}

#[derive(Serialize)]
struct Bedrock<'a> {
    query: &'a str,
    documents: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    top_n: Option<u64>,
    /// Which shape of Cohere's it is; Amazon's own models have but one.
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<u8>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Vertex<'a> {
    model: &'a str,
    query: &'a str,
    records: Vec<Record<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_n: Option<u64>,
    ignore_record_details_in_response: bool,
}

/// Its place among the documents is its id.
#[derive(Serialize)]
struct Record<'a> {
    id: String,
    content: &'a str,
}

#[derive(Serialize)]
struct Tei<'a> {
    query: &'a str,
    texts: &'a [String],
    raw_scores: bool,
    return_text: bool,
    /// Others cut what is too long too; this one would refuse it.
    truncate: bool,
}

#[derive(Serialize)]
struct Nim<'a> {
    model: &'a str,
    query: Text<'a>,
    passages: Vec<Text<'a>>,
    truncate: &'static str,
}

#[derive(Serialize)]
struct Text<'a> {
    text: &'a str,
}

/// Writes the body.
///
/// # Errors
/// The client asks for what this upstream lacks.
pub(super) fn encode(
    api: Api,
    name: &'static str,
    request: &Request,
    target: &Target<'_>,
) -> Result<Encoded, EncodeError> {
    let Request { query, texts, top_n, max_tokens_per_doc, max_chunks_per_doc, others, .. } = request;
    let support = Support::new(name, target);
    if !matches!(api, Api::Cohere | Api::Jina) {
        support.lacks("max_tokens_per_doc", max_tokens_per_doc.is_some())?;
    }
    // Cohere's own second version no longer has it; servers in its shape may.
    if api != Api::Jina {
        support.lacks("max_chunks_per_doc", max_chunks_per_doc.is_some())?;
    }
    let encoded = match api {
        Api::Cohere | Api::Jina | Api::JinaUncut => {
            let max_tokens_per_doc = max_tokens_per_doc.filter(|_| api != Api::JinaUncut);
            let max_chunks_per_doc = max_chunks_per_doc.filter(|_| api == Api::Jina);
            let (model, top_n) = (target.model, *top_n);
            let body = Cohere { model, query, documents: texts, top_n, max_tokens_per_doc, max_chunks_per_doc };
            wire::encoded(&body, others)
        }
        Api::Bedrock => {
            let api_version = target.model.contains("cohere.").then_some(2);
            wire::encoded(&Bedrock { query, documents: texts, top_n: *top_n, api_version }, others)
        }
        Api::Vertex => {
            let places = texts.iter().enumerate();
            let records = places.map(|(at, content)| Record { id: at.to_string(), content }).collect();
            let ignore_record_details_in_response = true;
            let model = target.model;
            wire::encoded(&Vertex { model, query, records, top_n: *top_n, ignore_record_details_in_response }, others)
        }
        Api::Tei => wire::encoded(&Tei { query, texts, raw_scores: false, return_text: false, truncate: true }, others),
        Api::Nim => {
            let passages = texts.iter().map(|text| Text { text }).collect();
            wire::encoded(&Nim { model: target.model, query: Text { text: query }, passages, truncate: "END" }, others)
        }
    };
    Ok(Encoded { recall: Recall::reranked(request.asked()), ..encoded })
}

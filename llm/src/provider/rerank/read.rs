//! A client's rerank request, read.

use std::collections::BTreeMap;

use serde_json::{Value, value::RawValue};

use crate::{
    error::EncodeError,
    inbound::{self, invalid, value},
    json,
    provider::Target,
    request,
};

/// A request in Cohere's shape, version 1 or 2.
pub(super) struct Request {
    pub(super) query: String,
    /// What is ranked, each as text.
    pub(super) texts: Vec<String>,
    pub(super) top_n: Option<u64>,
    pub(super) max_tokens_per_doc: Option<u64>,
    /// Version 1's.
    pub(super) max_chunks_per_doc: Option<u64>,
    /// `None` = as the upstream has it.
    pub(super) return_documents: Option<bool>,
    /// Members that are nobody's standard.
    pub(super) others: Vec<(String, Box<RawValue>)>,
}

/// What the answer is to hold, known from the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// How many results at most; `None` = all.
    pub(super) top_n: Option<usize>,
    /// How many documents there are.
    pub(super) documents: usize,
    /// Whether each result holds its document, if the client said.
    pub(super) shows_documents: Option<bool>,
    /// The documents, where the answer is to hold them.
    pub(super) texts: Vec<String>,
}

impl Request {
    /// Reads it, the backend's `params` applied.
    ///
    /// # Errors
    /// A member of the wrong shape, no query, or nothing to rank.
    pub(super) fn read(request: &request::Request, target: &Target<'_>) -> Result<Self, EncodeError> {
        let body = inbound::prepared(request, target);
        let members = json::scan(&body).map_err(|error| invalid("body", &error))?;
        let (mut query, mut documents, mut fields): (Option<String>, Option<Vec<Value>>, Option<Vec<String>>) =
            Default::default();
        let (mut top_n, mut max_tokens_per_doc, mut max_chunks_per_doc, mut return_documents) = Default::default();
        let mut others = Vec::new();
        for member in &members {
            let (name, text) = (member.name(&body), member.value.of(&body));
            match name.as_ref() {
                "query" => query = value("query", text)?,
                "documents" => documents = value("documents", text)?,
                "rank_fields" => fields = value("rank_fields", text)?,
                "top_n" => top_n = value("top_n", text)?,
                "max_tokens_per_doc" => max_tokens_per_doc = value("max_tokens_per_doc", text)?,
                "max_chunks_per_doc" => max_chunks_per_doc = value("max_chunks_per_doc", text)?,
                "return_documents" => return_documents = value("return_documents", text)?,
                // The gateway's own, or for its log.
                "model" | "user" | "metadata" => {}
                _ => others.push((name.into_owned(), value("body", text)?)),
            }
        }
        let query = query.filter(|query| !query.is_empty()).ok_or_else(|| invalid("query", &"give a text"))?;
        let documents = documents.filter(|documents| !documents.is_empty());
        let documents = documents.ok_or_else(|| invalid("documents", &"give at least one document"))?;
        if top_n == Some(0) {
            return Err(invalid("top_n", &"it must be at least 1"));
        }
        let fields = fields.unwrap_or_else(|| vec!["text".to_owned()]);
        let texts = documents.into_iter().enumerate().map(|(at, document)| text(at, document, &fields));
        let texts = texts.collect::<Result<_, _>>()?;
        Ok(Self { query, texts, top_n, max_tokens_per_doc, max_chunks_per_doc, return_documents, others })
    }

    /// What its answer is to hold.
    pub(super) fn asked(&self) -> Asked {
        Asked {
            top_n: self.top_n.and_then(|most| usize::try_from(most).ok()),
            documents: self.texts.len(),
            shows_documents: self.return_documents,
            texts: if self.return_documents == Some(true) { self.texts.clone() } else { Vec::new() },
        }
    }
}

/// A document as text. Of an object those of its `fields` that it has, one a line where there are several, as Cohere ranks them.
fn text(at: usize, document: Value, fields: &[String]) -> Result<String, EncodeError> {
    let object: BTreeMap<String, Value> = match document {
        Value::String(text) => return Ok(text),
        Value::Object(object) => object.into_iter().collect(),
        _ => BTreeMap::new(),
    };
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let known: Vec<(&String, String)> =
        fields.iter().filter_map(|field| Some((field, plain(object.get(field)?)))).collect();
    match known.as_slice() {
        [] => Err(invalid(&format!("documents[{at}]"), &"give a string, or an object with 'text'")),
        [(_, only)] => Ok(only.clone()),
        several => Ok(several.iter().map(|(field, text)| format!("{field}: {text}")).collect::<Vec<_>>().join("\n")),
    }
}

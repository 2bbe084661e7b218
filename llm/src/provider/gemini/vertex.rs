//! Vertex AI: Google's models under a project and a region, and those of others in their makers' dialects.
//!
//! ```text
//!  gemini-2.5-pro, 1234567890     publishers/google, endpoints/ID   as AI Studio
//!  claude-sonnet-4-5@20250929     publishers/anthropic              Anthropic's Messages, without the model's name
//!  mistral-medium-3               publishers/mistralai              Mistral's
//!  meta/llama-4-maverick-...-maas endpoints/openapi                 OpenAI's
//! ```

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use percent_encoding::utf8_percent_encode;

use super::{Platform, SEGMENT, embed, encoded, error, object, own, relay, request as body, response, stream};
use crate::{
    error::{EncodeError, UpstreamError},
    inbound, json,
    provider::{
        AuthScheme, Decoded, Encoded, Operation, Provider, ProviderKind, Recall, Shown, Target, anthropic, no_route,
        quirks::{self, Quirks},
        rerank,
    },
    request::Request,
    splice::Editor,
    stream::{Framing, StreamDecoder, Translated},
};

/// Goes into the body of a request to Claude.
const ANTHROPIC_VERSION: &str = "vertex-2023-10-16";
/// Labels that a request may have.
const MAX_LABELS: usize = 64;

/// The adapter.
pub(in crate::provider) static VERTEX: Vertex = Vertex;

/// Google Cloud Vertex AI.
#[derive(Debug)]
pub(in crate::provider) struct Vertex;

/// Whose model it is, with its name there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Model<'a> {
    Google(&'a str),
    /// A tuned model, by the id of its endpoint.
    Endpoint(&'a str),
    Anthropic(&'a str),
    Mistral(&'a str),
    /// Anybody else's, whose name begins with its maker's.
    OpenApi,
}

impl<'a> Model<'a> {
    fn of(name: &'a str) -> Self {
        const MISTRAL: &[&str] = &["mistral", "ministral", "magistral", "codestral", "pixtral", "open-mi"];
        match name.split_once('/') {
            Some(("google" | "models", own)) => Self::Google(own),
            Some(("anthropic", own)) => Self::Anthropic(own),
            Some(("mistralai", own)) => Self::Mistral(own),
            Some(("endpoints", own)) => Self::Endpoint(own),
            Some(_) => Self::OpenApi,
            None if name.bytes().all(|byte| byte.is_ascii_digit()) => Self::Endpoint(name),
            None if name.starts_with("claude") => Self::Anthropic(name),
            None if MISTRAL.iter().any(|start| name.starts_with(start)) => Self::Mistral(name),
            None => Self::Google(name),
        }
    }

    /// What follows the location in the URL.
    fn path(self, operation: Operation, stream: bool) -> String {
        let (folder, name, method) = match self {
            Self::Google(name) => ("publishers/google/models", name, method(name, operation, stream)),
            Self::Endpoint(id) => ("endpoints", id, method(id, operation, stream)),
            Self::Anthropic(name) => ("publishers/anthropic/models", name, raw(stream)),
            Self::Mistral(name) => ("publishers/mistralai/models", name, raw(stream)),
            Self::OpenApi => return "endpoints/openapi/chat/completions".to_owned(),
        };
        format!("{folder}/{}:{method}", utf8_percent_encode(name, SEGMENT))
    }

    /// The dialect of OpenAI's that it speaks.
    fn quirks(self) -> Option<&'static Quirks> {
        match self {
            Self::Mistral(_) => quirks::TABLE.iter().find(|quirks| quirks.kind == ProviderKind::Mistral),
            Self::OpenApi => Some(&quirks::VERTEX_PARTNERS),
            Self::Google(_) | Self::Endpoint(_) | Self::Anthropic(_) => None,
        }
    }
}

fn raw(stream: bool) -> &'static str {
    if stream { "streamRawPredict" } else { "rawPredict" }
}

fn method(name: &str, operation: Operation, stream: bool) -> &'static str {
    match operation {
        Operation::Embeddings if !embeds_in_batches(name) => "predict",
        _ => super::method(operation, stream),
    }
}

/// Gemini's own embeddings came after `predict`.
fn embeds_in_batches(name: &str) -> bool {
    name.contains("gemini")
}

impl Provider for Vertex {
    fn speaks(&self, _operation: Operation) -> bool {
        false
    }

    fn speaks_with(&self, operation: Operation, model: &str) -> bool {
        operation == Operation::GenerateContent && matches!(Model::of(model), Model::Google(_) | Model::Endpoint(_))
    }

    fn auth(&self) -> AuthScheme {
        AuthScheme::GoogleToken
    }

    fn url(&self, operation: Operation, stream: bool, target: &Target<'_>) -> String {
        if operation == Operation::Rerank {
            return rerank::Api::Vertex.url(target);
        }
        let base = target.base_url.trim_end_matches('/');
        let base = base.strip_suffix("/v1").unwrap_or(base);
        // Without either it is refused by `encode`; this URL is never called.
        let (project, region) = (target.project.unwrap_or_default(), target.region.unwrap_or_default());
        let path = Model::of(target.model).path(operation, stream);
        format!("{base}/v1/projects/{project}/locations/{region}/{path}")
    }

    fn encode(&self, operation: Operation, request: &Request, target: &Target<'_>) -> Result<Encoded, EncodeError> {
        let missing =
            [("project", target.project), ("region", target.region)].into_iter().find(|(_, value)| value.is_none());
        if let Some((name, _)) = missing {
            return Err(EncodeError {
                message: format!("This model's upstream is incomplete: spec.provider.{name} is not set.").into(),
                param: Some("model".into()),
                code: "incomplete_upstream",
            });
        }
        let model = Model::of(target.model);
        match (operation, model) {
            (Operation::GenerateContent, Model::Google(_) | Model::Endpoint(_)) => {
                let body = own::encode(operation, request, target, target.model);
                Ok(Encoded::json(body, Recall::default()))
            }
            (Operation::Chat | Operation::Messages | Operation::Responses | Operation::GenerateContent, _) => {
                chat(model, operation, request, target)
            }
            (Operation::Embeddings, Model::Google(name) | Model::Endpoint(name)) => {
                let embed = inbound::read_embed(request, target)?;
                let body = if embeds_in_batches(name) { embed::configured(&embed) } else { embed::instances(&embed) };
                Ok(encoded(body, Recall::default()))
            }
            (Operation::Rerank, Model::Google(name)) => {
                rerank::Api::Vertex.encode(Platform::Vertex.name(), request, &Target { model: name, ..*target })
            }
            _ => Err(no_route(Platform::Vertex.name(), operation)),
        }
    }

    fn decode(&self, operation: Operation, body: Bytes, shown: &Shown) -> Result<Decoded, UpstreamError> {
        let model = Model::of(&shown.upstream_model);
        match (model, operation) {
            (Model::Anthropic(_), _) => anthropic::Anthropic.decode(operation, body, shown),
            (Model::Google(_) | Model::Endpoint(_), Operation::GenerateContent) => own::decode(operation, &body, shown),
            (_, Operation::Embeddings) => embed::vectors(&body)?.write(shown),
            (_, Operation::Rerank) => rerank::decode_searches(&body, shown),
            _ => match model.quirks() {
                Some(quirks) => quirks.decode(operation, body, shown),
                None => response::decode(operation, &body, shown),
            },
        }
    }

    fn stream(&self, operation: Operation, shown: Shown) -> Box<dyn StreamDecoder> {
        let model = Model::of(&shown.upstream_model);
        match (model, model.quirks()) {
            (Model::Anthropic(_), _) => anthropic::Anthropic.stream(operation, shown),
            (_, Some(quirks)) => quirks.stream(operation, shown),
            (_, None) if operation == Operation::GenerateContent => Box::new(relay::Relay::new(shown)),
            (_, None) => {
                let events = stream::Reader::new(&shown);
                Box::new(Translated::new(Framing::sse(), Box::new(events), operation, shown))
            }
        }
    }

    fn wants_in_place(&self, url: &str) -> bool {
        !Platform::Vertex.reads(url)
    }

    fn error(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> UpstreamError {
        // Partners answer in their own words, which begin with what they are; Google's always hold `error.status`.
        if body.trim_ascii_start().starts_with(br#"{"type":"error""#) {
            anthropic::Anthropic.error(status, headers, body)
        } else {
            error::read(status, headers, body)
        }
    }
}

fn chat(
    model: Model<'_>,
    operation: Operation,
    request: &Request,
    target: &Target<'_>,
) -> Result<Encoded, EncodeError> {
    if let Some(quirks) = model.quirks() {
        let own = match model {
            Model::Mistral(own) => own,
            _ => target.model,
        };
        return quirks.encode(operation, request, &Target { model: own, ..*target });
    }
    // Media that were fetched have to go into it, which takes a full reading.
    if operation == Operation::Messages && matches!(model, Model::Anthropic(_)) && target.fetched.is_empty() {
        return Ok(messages(request, target));
    }
    let chat = inbound::read(operation, request, target)?;
    if !matches!(model, Model::Anthropic(_)) {
        let (body, recall) = body::write(chat, target, Platform::Vertex, &labels(request))?;
        return Ok(encoded(body, recall));
    }
    let written = anthropic::request::write(chat, Some(ANTHROPIC_VERSION), target)?;
    let mut encoded = Encoded::json(written.body.into(), written.notes.recall);
    encoded.headers.extend(written.notes.betas.header());
    Ok(encoded)
}

/// A client that speaks Anthropic's dialect to its model: the URL names the model, and the body the version.
fn messages(request: &Request, target: &Target<'_>) -> Encoded {
    let body = anthropic::own::encode(Operation::Messages, request, target).to_bytes();
    let members = json::scan(&body).unwrap_or_default();
    let mut edit = Editor::new(&body, &members);
    edit.delete("model");
    edit.set_string("anthropic_version", ANTHROPIC_VERSION);
    Encoded::json(edit.finish(), Recall::default())
}

/// Of the client's `metadata`, what can be a label, for the bill: Google takes small letters, digits, `_` and `-`.
fn labels(request: &Request) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    let Some(metadata) = request.metadata().and_then(|text| serde_json::from_slice(text).ok()) else {
        return Vec::new();
    };
    let plain = |text: &str| {
        text.len() <= 63
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-'))
    };
    let is_label =
        |name: &str, value: &str| plain(name) && plain(value) && name.starts_with(|c: char| c.is_ascii_lowercase());
    object::members(metadata)
        .into_iter()
        .filter_map(|(name, value)| Some((name, object::string(value)?)))
        .filter(|(name, value)| is_label(name, value))
        .take(MAX_LABELS)
        .collect()
}

//! Provider pass-through: what a path under a provider's own URL stands for, what such a call may use at most, and what it
//! used.
//!
//! | call | served |
//! |---|---|
//! | in a dialect of the gateway's own routes ([`Passed::Own`]) | as there, by a model of this provider |
//! | in the provider's own dialect ([`Passed::Foreign`]) | bytes as they are; what was used is read of the answer |
//! | anything else ([`Passed::Other`]) | bytes as they are; what it costs is not known |

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::provider::{Operation, ProviderKind};

mod bound;
mod spy;

pub use bound::{Most, most};
pub use spy::Spy;

/// What a path stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passed<'a> {
    /// A call as on a route of the gateway's own; the model where the path names it (Azure).
    Own(Operation, Option<Cow<'a, str>>),
    /// A model call in the provider's own dialect.
    Foreign {
        /// As what its answer is read.
        reads: Reads,
        /// The model in the path; `None` = the body names it.
        model: Option<Cow<'a, str>>,
    },
    /// Anything else.
    Other,
}

/// What is read of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// The usage of an answer of this kind.
    Usage(Operation),
    /// Nothing: it costs nothing (counts of tokens).
    Free,
}

/// What may stand before a route, the longest first.
const VERSIONS: [&str; 6] = ["openai/v1/", "inference/v1/", "openai/", "v1/", "v2/", ""];

/// What a POST to this path, percent-encoded and without its first slash, stands for at a provider.
pub fn read(kind: ProviderKind, path: &str) -> Passed<'_> {
    let found = match kind {
        ProviderKind::Gemini | ProviderKind::VertexAI => google(path),
        ProviderKind::Bedrock => bedrock(path),
        ProviderKind::Cohere => cohere(path),
        ProviderKind::Ollama => ollama(path),
        ProviderKind::OpenAI
        | ProviderKind::AzureOpenAI
        | ProviderKind::Anthropic
        | ProviderKind::Mistral
        | ProviderKind::TogetherAI
        | ProviderKind::Groq
        | ProviderKind::FireworksAI
        | ProviderKind::Perplexity
        | ProviderKind::DeepSeek
        | ProviderKind::VLLM
        | ProviderKind::HuggingFaceTGI
        | ProviderKind::NvidiaNIM
        | ProviderKind::OpenAICompatible => own(kind, path),
    };
    found.unwrap_or(Passed::Other)
}

fn own(kind: ProviderKind, path: &str) -> Option<Passed<'_>> {
    let adapter = kind.adapter()?;
    let bare = VERSIONS.iter().find_map(|version| path.strip_prefix(version))?;
    let (model, route) = match bare.strip_prefix("deployments/") {
        Some(deployment) => {
            let (model, route) = deployment.split_once('/')?;
            (Some(decoded(model)), route)
        }
        None => (None, bare),
    };
    let (_, operation) = Operation::PATHS.iter().find(|(known, _)| known.strip_prefix('/') == Some(route))?;
    adapter.speaks(*operation).then_some(Passed::Own(*operation, model))
}

/// `.../models/NAME:verb`.
fn google(path: &str) -> Option<Passed<'_>> {
    let (folder, last) = path.rsplit_once('/')?;
    let (model, verb) = last.rsplit_once(':')?;
    if !(folder == "models" || folder.ends_with("/models")) || model.is_empty() {
        return None;
    }
    let reads = match verb {
        "generateContent" | "streamGenerateContent" | "rawPredict" | "streamRawPredict" => {
            Reads::Usage(Operation::Chat)
        }
        "embedContent" | "batchEmbedContents" => Reads::Usage(Operation::Embeddings),
        "countTokens" => Reads::Free,
        _ => return None,
    };
    Some(Passed::Foreign { reads, model: Some(decoded(model)) })
}

/// `model/NAME/verb`.
fn bedrock(path: &str) -> Option<Passed<'_>> {
    let (model, verb) = path.strip_prefix("model/")?.split_once('/')?;
    let reads = match verb {
        "converse" | "converse-stream" => Reads::Usage(Operation::Chat),
        "count-tokens" => Reads::Free,
        _ => return None,
    };
    Some(Passed::Foreign { reads, model: Some(decoded(model)) })
}

fn cohere(path: &str) -> Option<Passed<'_>> {
    Some(match path {
        "v2/rerank" => Passed::Own(Operation::Rerank, None),
        "v2/chat" => Passed::Foreign { reads: Reads::Usage(Operation::Chat), model: None },
        "v2/embed" => Passed::Foreign { reads: Reads::Usage(Operation::Embeddings), model: None },
        _ => return None,
    })
}

fn ollama(path: &str) -> Option<Passed<'_>> {
    Some(match path {
        "api/chat" => Passed::Foreign { reads: Reads::Usage(Operation::Chat), model: None },
        "api/embed" => Passed::Foreign { reads: Reads::Usage(Operation::Embeddings), model: None },
        _ => return None,
    })
}

/// Bytes that are not UTF-8 name no model.
fn decoded(segment: &str) -> Cow<'_, str> {
    percent_decode_str(segment).decode_utf8().unwrap_or_default()
}

/// Where a path leads under a base URL, neither out of it nor to another host. What the path repeats of the base's own (`v1`)
/// is not doubled. `None` = it would leave the base, or means different things to different readers.
pub fn url(base: &str, path: &str, query: Option<&str>) -> Option<String> {
    if !is_plain(path) {
        return None;
    }
    let base = base.trim_end_matches('/');
    let own = base.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, own)| own);
    // The longest end of the base's path that the path begins with.
    let ends = std::iter::successors(Some(own), |rest| rest.split_once('/').map(|(_, rest)| rest));
    let rest =
        ends.filter(|end| !end.is_empty()).find_map(|end| path.strip_prefix(end)?.strip_prefix('/')).unwrap_or(path);
    Some(query.map_or_else(|| format!("{base}/{rest}"), |query| format!("{base}/{rest}?{query}")))
}

/// Whether no reader, however often it decodes, finds a way upwards in it.
fn is_plain(path: &str) -> bool {
    let mut text = Cow::Borrowed(path.as_bytes());
    loop {
        let is_odd = |segment: &[u8]| segment == b"." || segment == b"..";
        if text.split(|byte| matches!(byte, b'/' | b'\\')).any(is_odd) || text.iter().any(u8::is_ascii_control) {
            return false;
        }
        let next: Vec<u8> = percent_encoding::percent_decode(&text).collect();
        if next == *text {
            return true;
        }
        text = Cow::Owned(next);
    }
}

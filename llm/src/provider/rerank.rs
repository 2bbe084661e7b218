//! Reranking: clients speak Cohere's shape, upstreams one of three. Which one is data of the provider.
//!
//! ```text
//!  {model, query, documents, top_n, ...} ─ Request::read ─▶ Request ─ Api::encode ─▶ upstream
//!  upstream ─ answer::decode ─▶ {id, results: [{index, relevance_score, document?}], meta}
//! ```

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    error::EncodeError,
    provider::{Encoded, Target, wire},
    request,
};

mod answer;
mod read;
mod write;

pub(crate) use answer::{decode, decode_searches};
pub(crate) use read::Asked;

/// What a model's name keeps in a path: its slashes too.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// What a path segment may hold unescaped (RFC 3986, unreserved).
const SEGMENT: &AsciiSet = &PATH.add(b'/');

/// How an upstream is asked to rerank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    /// Cohere's own: `max_tokens_per_doc` is known.
    Cohere,
    /// Cohere's shape at `/rerank`, as Jina, vLLM and most others have it. What they do not know they ignore or refuse
    /// themselves.
    Jina,
    /// The same, but texts cannot be cut short by `max_tokens_per_doc`.
    JinaUncut,
    /// Hugging Face's text-embeddings-inference: `{query, texts}`.
    Tei,
    /// NVIDIA's: `{query: {text}, passages: [{text}]}`.
    Nim,
    /// Amazon's and Cohere's models at Bedrock, by `InvokeModel`: Cohere's shape without the model, which the URL names.
    Bedrock,
    /// Google's: `{model, query, records: [{id, content}]}`.
    Vertex,
}

impl Api {
    /// Absolute URL.
    pub(crate) fn url(self, target: &Target<'_>) -> String {
        let base = target.base_url.trim_end_matches('/');
        match self {
            Self::Cohere => wire::joined(base, "/v2/rerank"),
            Self::Jina | Self::JinaUncut => format!("{base}/rerank"),
            // The route is at the server's root, where OpenAI's routes are under /v1.
            Self::Tei => format!("{}/rerank", base.strip_suffix("/v1").unwrap_or(base)),
            Self::Nim => nim_url(base, target.model),
            Self::Bedrock => format!("{base}/model/{}/invoke", utf8_percent_encode(target.model, SEGMENT)),
            Self::Vertex => vertex_url(base, target.project.unwrap_or_default()),
        }
    }

    /// Writes the upstream's request; `name` as in messages to people.
    ///
    /// # Errors
    /// The client's fault: a member of the wrong shape, or one that this upstream lacks.
    pub(crate) fn encode(
        self,
        name: &'static str,
        request: &request::Request,
        target: &Target<'_>,
    ) -> Result<Encoded, EncodeError> {
        write::encode(self, name, &read::Request::read(request, target)?, target)
    }
}

/// Google ranks in one place for all, on another host than its models' of any region.
fn vertex_url(base: &str, project: &str) -> String {
    const HOST: &str = "https://discoveryengine.googleapis.com";
    let is_google = base.ends_with("aiplatform.googleapis.com") || base.ends_with(".rep.googleapis.com");
    let root = if is_google { HOST } else { base.strip_suffix("/v1").unwrap_or(base) };
    format!("{root}/v1/projects/{project}/locations/global/rankingConfigs/default_ranking_config:rank")
}

/// NVIDIA hosts each of its rerankers at a path of its own, on another host than its chats; a container serves the one that
/// it holds at `/v1/ranking`.
fn nim_url(base: &str, model: &str) -> String {
    const CHATS: &str = "https://integrate.api.nvidia.com";
    const RETRIEVAL: &str = "https://ai.api.nvidia.com";
    let root = base.strip_suffix("/v1").unwrap_or(base);
    if root == CHATS || root == RETRIEVAL {
        let model = model.replace('.', "_");
        return format!("{RETRIEVAL}/v1/retrieval/{}/reranking", utf8_percent_encode(&model, PATH));
    }
    format!("{root}/v1/ranking")
}

//! Embeddings: a batch of texts in, their vectors out.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    error,
    object::Object,
    parts::{Part, Said},
};
use crate::{
    error::{EncodeError, UpstreamError},
    inbound::{Embed, Vectors},
    provider::Target,
    usage::Usage,
};

#[derive(Serialize)]
struct Batch {
    requests: Vec<Object>,
}

/// The body of `batchEmbedContents`; `model` with its folder.
pub(super) fn batch(embed: &Embed, model: &str, _target: &Target<'_>) -> Result<Vec<u8>, EncodeError> {
    let request = |text: &String| {
        let mut request = Object::default();
        request.set("model", &model);
        request.set("content", &Said { role: None, parts: vec![Part::text(text)] });
        request.set_some("outputDimensionality", embed.dimensions.as_ref());
        for (name, value) in &embed.others {
            let name = match name.as_str() {
                "task_type" => "taskType",
                "output_dimensionality" => "outputDimensionality",
                other => other,
            };
            request.put(name.to_owned(), value.clone());
        }
        request
    };
    let batch = Batch { requests: embed.inputs.iter().map(request).collect() };
    Ok(serde_json::to_vec(&batch).unwrap_or_default())
}

/// Reads the answer.
pub(super) fn vectors(body: &[u8]) -> Result<Vectors, UpstreamError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Response {
        embeddings: Vec<Embedding>,
        usage_metadata: Option<Counts>,
    }
    #[derive(Deserialize)]
    struct Embedding {
        values: Box<RawValue>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Counts {
        #[serde(default)]
        prompt_token_count: u64,
    }
    let response: Response = serde_json::from_slice(body).map_err(|_| error::within(body))?;
    let prompt = response.usage_metadata.map_or(0, |counts| counts.prompt_token_count);
    Ok(Vectors {
        vectors: response.embeddings.into_iter().map(|embedding| embedding.values).collect(),
        usage: (prompt > 0).then(|| Usage { prompt, ..Usage::default() }),
    })
}

//! What a call in a provider's own dialect may use at most. Its body cannot be told to write less, so that it is held whole,
//! and what cannot be bounded is said to be so.

use serde_json::Value;

use super::Reads;
use crate::provider::{Capabilities, Operation, ProviderKind};

/// What chat templates and tools' instructions put around a prompt.
const AROUND: u64 = 2048;

/// Keys under which something lies whose tokens are no matter of its bytes, or that is elsewhere.
const MEDIA: [&str; 16] = [
    "inlineData",
    "inline_data",
    "fileData",
    "file_data",
    "cachedContent",
    "cached_content",
    "image",
    "images",
    "image_url",
    "video",
    "audio",
    "document",
    "documents",
    "source",
    "s3Location",
    "guardrailConfig",
];

/// Tokens at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Most {
    /// Of the prompt.
    pub prompt: u64,
    /// Of all answers together.
    pub output: u64,
}

/// What the call may use; `None` = that cannot be told of the body and what is known of the model.
pub fn most(kind: ProviderKind, reads: Reads, body: &[u8], model: &Capabilities) -> Option<Most> {
    let operation = match reads {
        Reads::Usage(operation) => operation,
        Reads::Free => return Some(Most { prompt: 0, output: 0 }),
    };
    let request: Value = serde_json::from_slice(body).ok()?;
    let text = (body.len() as u64).saturating_add(AROUND);
    let prompt = if has_media(&request) { model.context_window? } else { text };
    let prompt = model.context_window.map_or(prompt, |window| window.min(prompt));
    let output = if operation == Operation::Embeddings {
        0
    } else {
        let (asked, choices) = asked(kind, &request);
        let most = model.max_output_tokens.or(model.context_window);
        let each = match (asked, most) {
            (Some(asked), Some(most)) => asked.min(most),
            (asked, most) => asked.or(most)?,
        };
        each.saturating_mul(choices)
    };
    Some(Most { prompt, output })
}

/// Tokens of one answer as the client allows them, and how many answers.
fn asked(kind: ProviderKind, request: &Value) -> (Option<u64>, u64) {
    let number = |at: &str| request.pointer(at).and_then(Value::as_u64);
    match kind {
        ProviderKind::Gemini | ProviderKind::VertexAI => {
            let either = |name: &str, other: &str| {
                let configs = ["/generationConfig", "/generation_config"];
                let all = configs.iter().flat_map(|config| [format!("{config}/{name}"), format!("{config}/{other}")]);
                all.filter_map(|at| number(&at)).max()
            };
            // A partner's model has its own members (`max_tokens`): as much as the model can then.
            let choices = either("candidateCount", "candidate_count").unwrap_or(1);
            (either("maxOutputTokens", "max_output_tokens"), choices.max(1))
        }
        // What a model has beyond the shared API may say otherwise.
        ProviderKind::Bedrock if request.get("additionalModelRequestFields").is_some() => (None, 1),
        ProviderKind::Bedrock => (number("/inferenceConfig/maxTokens"), 1),
        ProviderKind::Cohere => (number("/max_tokens"), 1),
        ProviderKind::Ollama => (number("/options/num_predict"), 1),
        _ => (None, 1),
    }
}

fn has_media(value: &Value) -> bool {
    match value {
        Value::Object(members) => {
            members.iter().any(|(name, value)| MEDIA.contains(&name.as_str()) || has_media(value))
        }
        Value::Array(elements) => elements.iter().any(has_media),
        _ => false,
    }
}

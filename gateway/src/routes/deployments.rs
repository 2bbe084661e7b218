//! Azure-style paths: `/openai/deployments/{model}/chat/completions` and the like. The model may hold slashes.

use std::sync::Arc;

use axum::{
    extract::{Path, Request, State, rejection::PathRejection},
    response::Response,
};
use turnpike_llm::provider::Operation;

use super::generate::{self, Named};
use crate::app::Worker;

const SUFFIXES: [(&str, Operation); 8] = [
    ("/chat/completions", Operation::Chat),
    ("/completions", Operation::Completions),
    ("/embeddings", Operation::Embeddings),
    ("/images/generations", Operation::Images),
    ("/images/edits", Operation::ImageEdits),
    ("/audio/speech", Operation::Speech),
    ("/audio/transcriptions", Operation::Transcriptions),
    ("/audio/translations", Operation::Translations),
];

/// Splits the path (already percent-decoded) into model and operation; the model wins over the body's.
pub async fn call(
    State(worker): State<Arc<Worker>>,
    rest: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    // Bytes that are not UTF-8 name no model.
    let rest = rest.map(|Path(rest)| rest).unwrap_or_default();
    for (suffix, operation) in SUFFIXES {
        if let Some(model) = rest.strip_suffix(suffix)
            && !model.is_empty()
        {
            return generate::serve(worker, operation, Named { path: Some(model), ..Named::default() }, request).await;
        }
    }
    super::unknown(State(worker), request.uri().clone(), request.headers().clone()).await
}

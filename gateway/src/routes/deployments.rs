//! Azure-style paths: `/openai/deployments/{model}/chat/completions` and the like. The model may hold slashes.

use std::sync::Arc;

use axum::{
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
};
use turnpike_llm::provider::Operation;

use super::generate;
use crate::{app::Worker, error::Error};

const SUFFIXES: [(&str, Operation); 3] = [
    ("/chat/completions", Operation::Chat),
    ("/completions", Operation::Completions),
    ("/embeddings", Operation::Embeddings),
];

/// Splits the path (already percent-decoded) into model and operation; the model wins over the body's.
pub async fn call(State(worker): State<Arc<Worker>>, Path(rest): Path<String>, request: Request) -> Response {
    for (suffix, operation) in SUFFIXES {
        if let Some(model) = rest.strip_suffix(suffix)
            && !model.is_empty()
        {
            return generate::serve(worker, operation, Some(model), request).await;
        }
    }
    Error::NoRoute(request.uri().path().chars().take(256).collect()).into_response()
}

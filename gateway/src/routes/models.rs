//! `GET /models` and `/models/{id}`: what this key may call.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use http::HeaderMap;
use serde_json::{Value, json};

use crate::{
    app::Worker,
    config::snapshot::{Caller, Pool, Snapshot},
    error::Error,
    pipeline::{authenticate::authenticate, route::visible},
};

/// All names, sorted. Wildcards are not listed: they are no names that a client could call.
pub async fn list(State(worker): State<Arc<Worker>>, headers: HeaderMap) -> Response {
    match caller(&worker, &headers) {
        Ok((snapshot, caller)) => {
            let names: BTreeMap<&str, &Arc<Pool>> = visible(&snapshot, &caller)
                .exact
                .iter()
                .map(|(name, pool)| (&**name, pool))
                .filter(|(name, pool)| caller.may_call(name, &pool.name))
                .collect();
            let data: Vec<Value> = names.into_iter().map(|(name, pool)| model(name, pool)).collect();
            Json(json!({"object": "list", "data": data})).into_response()
        }
        Err(error) => error.into_response(),
    }
}

/// One model; the id is percent-decoded and may hold slashes and colons.
pub async fn show(
    State(worker): State<Arc<Worker>>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Response {
    // Bytes that are not UTF-8 name no model.
    let id = id.map(|Path(id)| id).unwrap_or_default();
    let found = caller(&worker, &headers).and_then(|(snapshot, caller)| {
        let (pool, _) = visible(&snapshot, &caller)
            .find(&id)
            .filter(|(pool, _)| caller.may_call(&id, &pool.name))
            .ok_or_else(|| Error::ModelNotFound(id.chars().take(256).collect()))?;
        Ok(model(&id, pool))
    });
    match found {
        Ok(model) => Json(model).into_response(),
        Err(error) => error.into_response(),
    }
}

fn caller(worker: &Worker, headers: &HeaderMap) -> Result<(Arc<Snapshot>, Arc<Caller>), Error> {
    let snapshot = worker.app.live.load();
    let caller = authenticate(headers, &snapshot, &worker.app.admin, jiff::Timestamp::now().as_second())?;
    Ok((snapshot, caller))
}

fn model(name: &str, pool: &Pool) -> Value {
    let capabilities = pool.models.first().map(|model| &model.entry.capabilities);
    let mode = match capabilities.and_then(|capabilities| capabilities.embeddings) {
        Some(true) => "embedding",
        _ => "chat",
    };
    json!({
        "id": name,
        "object": "model",
        "created": pool.created,
        "owned_by": "turnpike",
        "mode": mode,
        "max_input_tokens": capabilities.and_then(|capabilities| capabilities.context_window),
        "max_output_tokens": capabilities.and_then(|capabilities| capabilities.max_output_tokens),
    })
}

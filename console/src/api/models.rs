//! `GET /model/info`: the models, without secrets.

use axum::{Json, extract::State};
use http::Uri;
use serde_json::{Value, json};
use turnpike_bundle::entry::{Backend, ModelEntry};
use turnpike_crds::NanoUsd;

use super::{Answer, Store, error::ApiError, money, query::Query};

/// Tokens that a price is for.
const MILLION: f64 = 1e6;

/// `GET /model/info` and `/v1/model/info`
pub(super) async fn info(State(store): State<Store>, uri: Uri) -> Answer {
    let mut query = Query::of(&uri);
    let wanted = query.text("litellm_model_id");
    query.finish(&[])?;
    let catalog = store.catalog();
    let models = catalog.contents.models.iter();
    let found: Vec<Value> =
        models.filter(|model| wanted.as_ref().is_none_or(|id| *id == model.object.to_string())).map(row).collect();
    match wanted {
        Some(id) if found.is_empty() => {
            Err(ApiError::NotFound(format!("there is no model {id}; ids are namespace/name of a ModelDeployment")))
        }
        _ => Ok(Json(json!({"data": found}))),
    }
}

fn row(model: &ModelEntry) -> Value {
    let params = match &model.backend {
        Backend::Provider(provider) => json!({
            "model": format!("{}/{}", provider.provider.label(), provider.model),
            "custom_llm_provider": provider.provider.label(),
            "api_base": provider.base_url,
            "api_version": provider.api_version,
            "rpm": model.limits.rpm,
            "tpm": model.limits.tpm,
            "max_parallel_requests": model.limits.max_parallel,
            "weight": model.weight,
            "order": model.priority,
            "tags": model.tags,
        }),
        Backend::Route(route) => json!({
            "model": model.model_name,
            "targets": route.targets.iter().map(|target| target.model.to_string()).collect::<Vec<_>>(),
        }),
        Backend::Mock { response } => json!({"model": model.model_name, "mock_response": response}),
    };
    let can = &model.capabilities;
    let per_token = |nano: i64| money::usd(NanoUsd(nano)) / MILLION;
    let price = model.price.as_ref();
    let mode = if can.embeddings == Some(true) { "embedding" } else { "chat" };
    json!({
        "model_name": model.model_name,
        "litellm_params": params,
        "model_info": {
            "id": model.object.to_string(),
            "mode": mode,
            "aliases": model.aliases,
            "max_input_tokens": can.context_window,
            "max_output_tokens": can.max_output_tokens,
            "supports_vision": can.vision,
            "supports_function_calling": can.tools,
            "supports_response_schema": can.json_schema,
            "supports_reasoning": can.reasoning,
            "input_cost_per_token": price.map(|price| per_token(price.input)),
            "output_cost_per_token": price.map(|price| per_token(price.output)),
            "cache_read_input_token_cost": price.and_then(|price| price.cached_input).map(per_token),
        },
    })
}

//! The routes of the admin API: `LiteLLM`'s paths, in its words, over Turnpike's resources.
//!
//! ```text
//!  request ─ auth ─ fields ─▶ resource as it is to be (pure) ─▶ ResourceStore::change ─▶ served ─▶ row (pure)
//! ```

use std::sync::Arc;

use axum::{
    Json, Router, middleware,
    routing::{get, post},
};
use serde_json::Value;

use crate::{
    auth::{self, Guard},
    store::ResourceStore,
};

mod budgets;
mod duration;
mod error;
mod fields;
mod keys;
mod models;
mod money;
mod query;
mod spend;

/// What a route answers.
type Answer = Result<Json<Value>, error::ApiError>;

/// What the routes work on.
pub(crate) type Store = Arc<dyn ResourceStore>;

/// What the paths of the admin API begin with, those of `LiteLLM` that are not there included.
const BEGINNINGS: [&str; 6] = ["/key/", "/budget/", "/spend/", "/global/spend", "/model/", "/v1/model/"];

/// Whether a path is one of the admin API, with or without a store behind it.
pub fn is_admin_path(path: &str) -> bool {
    BEGINNINGS.iter().any(|beginning| path.starts_with(beginning))
}

/// The routes, for the admin alone.
pub fn router<S: Clone + Send + Sync + 'static>(store: Arc<dyn ResourceStore>, guard: Guard) -> Router<S> {
    Router::new()
        .route("/key/generate", post(keys::generate))
        .route("/key/update", post(keys::update))
        .route("/key/info", get(keys::info))
        .route("/key/list", get(keys::list))
        .route("/key/delete", post(keys::delete))
        .route("/key/block", post(keys::block))
        .route("/key/unblock", post(keys::unblock))
        .route("/key/regenerate", post(keys::regenerate))
        .route("/key/{key}/regenerate", post(keys::regenerate_named))
        .route("/spend/logs", get(spend::logs))
        .route("/global/spend", get(spend::global))
        .route("/global/spend/keys", get(spend::by_key))
        .route("/global/spend/models", get(spend::by_model))
        .route("/global/spend/teams", get(spend::by_team))
        .route("/model/info", get(models::info))
        .route("/v1/model/info", get(models::info))
        .route("/budget/new", post(budgets::new))
        .route("/budget/update", post(budgets::update))
        .route("/budget/info", post(budgets::info))
        .route("/budget/list", get(budgets::list))
        .route("/budget/delete", post(budgets::delete))
        .route_layer(middleware::from_fn_with_state(guard, auth::check))
        .with_state(store)
}

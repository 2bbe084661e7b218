//! Why a call of the admin API is refused, and OpenAI's shape of saying so.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde_json::json;

use crate::store::StoreError;

/// A refusal. Display is for the caller, with the remedy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// A field or parameter is wrong, or cannot be honoured.
    #[error("{message}")]
    Field {
        /// Its name.
        param: String,
        /// What is wrong and what to do about it.
        message: String,
    },
    /// The body is not a JSON object.
    #[error("the body is not a JSON object: {0}")]
    Body(String),
    /// There is no such object.
    #[error("{0}")]
    NotFound(String),
    /// The resource cannot be changed so.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system gives no random numbers.
    #[error("no key can be made: the system gives no random numbers")]
    Random,
}

/// Where fields of a resource come from, by the beginning of their path.
const FIELDS: [(&str, &str); 14] = [
    ("metadata.name", "key_alias"),
    ("spec.keyHash", "key"),
    ("spec.subject.team", "team_id"),
    ("spec.subject.user", "user_id"),
    ("spec.subject.tags", "tags"),
    ("spec.allowedModels", "models"),
    ("spec.limits.perModel", "model_rpm_limit"),
    ("spec.limits.rpm", "rpm_limit"),
    ("spec.limits.tpm", "tpm_limit"),
    ("spec.limits.maxParallel", "max_parallel_requests"),
    ("spec.limits", "max_budget"),
    ("spec.budgetRefs", "budget_id"),
    ("spec.budget", "max_budget"),
    ("spec.metadata", "metadata"),
];

impl ApiError {
    /// A fault of one field.
    pub(crate) fn field(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Field { param: param.into(), message: message.into() }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Field { .. } | Self::Body(_) | Self::Store(StoreError::Refused { .. }) => StatusCode::BAD_REQUEST,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Store(
                StoreError::Manifest { .. }
                | StoreError::Exists(_)
                | StoreError::Changed(_)
                | StoreError::AliasTaken { .. }
                | StoreError::InUse { .. },
            ) => StatusCode::CONFLICT,
            Self::Store(StoreError::Unavailable) | Self::Random => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Field { .. } | Self::Store(StoreError::Refused { .. }) => "invalid_value",
            Self::Body(_) => "invalid_json",
            Self::NotFound(_) => "not_found",
            Self::Store(StoreError::Manifest { .. }) => "managed_by_manifest",
            Self::Store(StoreError::Exists(_)) => "exists",
            Self::Store(StoreError::Changed(_)) => "changed_meanwhile",
            Self::Store(StoreError::AliasTaken { .. }) => "alias_taken",
            Self::Store(StoreError::InUse { .. }) => "in_use",
            Self::Store(StoreError::Unavailable) | Self::Random => "unavailable",
        }
    }

    fn param(&self) -> Option<&str> {
        match self {
            Self::Field { param, .. } => Some(param),
            Self::Store(StoreError::Refused { field, .. }) => {
                FIELDS.iter().find(|(path, _)| field.starts_with(path)).map(|(_, name)| *name)
            }
            Self::Store(StoreError::AliasTaken { .. }) => Some("key_alias"),
            _ => None,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let kind = match self.status() {
            StatusCode::NOT_FOUND => "not_found_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        let error = json!({"message": self.to_string(), "type": kind, "param": self.param(), "code": self.code()});
        (self.status(), Json(json!({"error": error}))).into_response()
    }
}

//! Who may ask what only the operator is told.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};

use crate::config::sources::auth::Auth;

pub(super) async fn check(State(auth): State<Arc<ArcSwap<Auth>>>, request: Request, next: Next) -> Response {
    if bearer(request.headers()).is_some_and(|token| auth.load().accepts(token)) {
        next.run(request).await
    } else {
        (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")]).into_response()
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

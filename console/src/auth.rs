//! Who may use the admin API: whoever the gateway says is the admin.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::HeaderMap;

/// Says whether a request is the admin's; else it gives the answer, in the gateway's own words.
///
/// Boxed: refusals are rare, and large.
pub type Guard = Arc<dyn Fn(&HeaderMap) -> Result<(), Box<Response>> + Send + Sync>;

/// Lets the admin pass.
pub(crate) async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => *refusal,
    }
}

//! The admin API, for the admin key alone. Nothing of it is in the way of model calls.

use std::sync::Arc;

use axum::{
    Router, middleware,
    response::{IntoResponse, Response},
};
use http::HeaderMap;
use turnpike_console::{api, auth::Guard};

use super::identify;
use crate::{
    app::{App, Worker},
    error::Error,
    pipeline::authenticate::authenticate,
};

/// Its routes, where this gateway has a place to keep what they make.
pub fn routes(app: &Arc<App>) -> Router<Arc<Worker>> {
    let Some(store) = app.resources.get() else { return Router::new() };
    let guarded = Arc::clone(app);
    let guard: Guard = Arc::new(move |headers| admit(&guarded, headers));
    api::router(Arc::clone(store), guard).layer(middleware::from_fn(identify))
}

fn admit(app: &App, headers: &HeaderMap) -> Result<(), Box<Response>> {
    let refusal = match authenticate(headers, &app.live.load(), &app.admin, jiff::Timestamp::now().as_second()) {
        Ok(caller) if caller.object.is_none() => return Ok(()),
        Ok(_) => Error::AdminOnly,
        Err(error) => error,
    };
    Err(Box::new(refusal.into_response()))
}

/// Why a path of the admin API is not there.
pub(super) fn absent(app: &App, path: &str) -> Option<Error> {
    let is_absent = api::is_admin_path(path) && app.resources.get().is_none();
    is_absent.then_some(Error::NoAdminApi)
}

//! `GET` and `DELETE /responses/{id}`: answers that are kept, each for its own key.

use std::sync::Arc;

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Uri, header};
use turnpike_llm::json;

use crate::{
    app::Worker,
    error::Error,
    pipeline::authenticate::authenticate,
    responses::{Name, Responses},
};

/// One answer, as its client got it.
pub async fn show(
    State(worker): State<Arc<Worker>>,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let found = async {
        let (store, name) = find(&worker, id, &uri, &headers)?;
        store.get(&name).await
    };
    match found.await {
        Ok(response) => whole(response.response),
        Err(error) => error.into_response(),
    }
}

/// Forgets one.
pub async fn delete(
    State(worker): State<Arc<Worker>>,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let gone = async {
        let (store, name) = find(&worker, id, &uri, &headers)?;
        store.delete(&name).await.map(|()| name)
    };
    match gone.await {
        Ok(name) => {
            let mut body = b"{\"id\":".to_vec();
            body.extend_from_slice(&json::quoted(&name.id));
            body.extend_from_slice(b",\"object\":\"response\",\"deleted\":true}");
            whole(body)
        }
        Err(error) => error.into_response(),
    }
}

/// The store, and the name of what is asked for. Without a store there is no such path.
fn find<'w>(
    worker: &'w Worker,
    id: Result<Path<String>, PathRejection>,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<(&'w Responses, Name), Error> {
    let app = &worker.app;
    let Some(store) = &app.responses else {
        return Err(Error::NoRoute(uri.path().chars().take(256).collect()));
    };
    let snapshot = app.live.load();
    let caller = authenticate(headers, &snapshot, &app.admin, jiff::Timestamp::now().as_second())?;
    // Bytes that are not UTF-8 name nothing.
    let id = id.map(|Path(id)| id).unwrap_or_default();
    Ok((store, Name::new(&caller.key_id, &id)))
}

fn whole(body: impl Into<axum::body::Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

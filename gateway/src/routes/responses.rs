//! `GET` and `DELETE /responses/{id}`, and `GET /responses/{id}/input_items`: answers that are kept, each for its own key.

use std::sync::Arc;

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Uri, header};
use percent_encoding::percent_decode_str;
use turnpike_llm::{
    conversation::{self, Page, Turn},
    json,
};

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
    told(found.await.map(|kept| kept.response))
}

/// What one was asked, with the turns before it.
pub async fn items(
    State(worker): State<Arc<Worker>>,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let found = async {
        let (store, name) = find(&worker, id, &uri, &headers)?;
        let page = page(uri.query().unwrap_or_default())?;
        let turns = store.conversation(&name).await.map_err(|error| match error {
            Error::PreviousNotFound(id) => Error::ResponseNotFound(id),
            other => other,
        })?;
        let turns: Vec<Turn> =
            turns.into_iter().map(|turn| Turn { input: turn.input, response: turn.response }).collect();
        let work = move || conversation::listed(&turns, &page);
        let listed = tokio::task::spawn_blocking(work).await.map_err(|_| Error::Internal)?;
        listed.ok_or_else(|| wrong("after", "there is no item of this id in the list"))
    };
    told(found.await)
}

/// The page that a query asks for.
fn page(query: &str) -> Result<Page, Error> {
    let mut page = Page { after: None, limit: 20, is_newest_first: true };
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match (name, value) {
            ("limit", number) => {
                let number = number.parse().ok().filter(|number| (1..=100).contains(number));
                page.limit = number.ok_or_else(|| wrong("limit", "it must be a number from 1 to 100"))?;
            }
            ("order", "asc") => page.is_newest_first = false,
            ("order", "desc") => page.is_newest_first = true,
            ("order", _) => return Err(wrong("order", "it must be asc or desc")),
            ("after", id) => page.after = Some(percent_decode_str(id).decode_utf8_lossy().into_owned()),
            _ => {}
        }
    }
    Ok(page)
}

fn wrong(param: &'static str, why: &str) -> Error {
    Error::Invalid { message: format!("Invalid value for '{param}': {why}.").into(), param: Some(param) }
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
    let body = gone.await.map(|name| {
        let mut body = b"{\"id\":".to_vec();
        body.extend_from_slice(&json::quoted(&name.id));
        body.extend_from_slice(b",\"object\":\"response\",\"deleted\":true}");
        body
    });
    told(body)
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

/// JSON, or why there is none.
fn told(body: Result<impl Into<axum::body::Body>, Error>) -> Response {
    let mut response = match body {
        Ok(body) => Response::new(body.into()),
        Err(error) => return error.into_response(),
    };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

//! Gemini's paths, as Google's own clients call them: `/v1beta/models/{model}:generateContent` and its neighbours. The model may
//! hold slashes.

use std::sync::Arc;

use axum::{
    extract::{Path, Request, State, rejection::PathRejection},
    response::Response,
};
use http::HeaderValue;
use percent_encoding::percent_decode_str;
use turnpike_llm::provider::Operation;

use super::generate::{self, Named};
use crate::{
    app::Worker,
    error::Error,
    pipeline::{authenticate::GOOGLE_KEY, body, deliver},
};

/// What may follow a model's name, what it does, and whether its answer is streamed.
const METHODS: [(&str, Operation, bool); 3] = [
    (":generateContent", Operation::GenerateContent, false),
    (":streamGenerateContent", Operation::GenerateContent, true),
    (":countTokens", Operation::CountContent, false),
];

/// Splits the path (already percent-decoded) into model and method.
pub async fn call(
    State(worker): State<Arc<Worker>>,
    rest: Result<Path<String>, PathRejection>,
    mut request: Request,
) -> Response {
    // Bytes that are not UTF-8 name no model.
    let rest = rest.map(|Path(rest)| rest).unwrap_or_default();
    let found = METHODS.iter().find_map(|(method, operation, streams)| {
        let model = rest.strip_suffix(method).filter(|model| !model.is_empty())?;
        Some((model, *operation, *streams))
    });
    let Some((model, operation, streams)) = found else {
        return super::unknown(State(worker), request.uri().clone(), request.headers().clone()).await;
    };
    match read_query(&mut request, streams) {
        Ok(()) => {
            let named = Named { path: Some(model), streams, provider: None };
            generate::serve(worker, operation, named, request).await
        }
        Err(error) => {
            worker.app.metrics.refused(operation, error.status(), error.code());
            let (parts, body) = request.into_parts();
            body::forget(body).await;
            let id = deliver::request_id(&parts.headers);
            let mut response = error.answer(operation.dialect(), &id);
            deliver::identify(&mut response, operation.dialect(), &id);
            response
        }
    }
}

/// A key in the query is one like those in headers. Nothing here logs a query.
fn read_query(request: &mut Request, streams: bool) -> Result<(), Error> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let mut events = false;
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("key", key)) => {
                let key = percent_decode_str(key).decode_utf8().map_err(|_| Error::KeyUnknown)?;
                let key = HeaderValue::from_str(&key).map_err(|_| Error::KeyUnknown)?;
                request.headers_mut().append(GOOGLE_KEY, key);
            }
            Some(("alt", "sse")) => events = true,
            _ => {}
        }
    }
    if streams && !events {
        return Err(Error::Invalid {
            message: "A stream must be asked for with `?alt=sse`: it is given as server-sent events only.".into(),
            param: Some("alt"),
        });
    }
    Ok(())
}

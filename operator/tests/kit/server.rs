//! An apiserver that notes what it is asked and answers what a test says.

use std::sync::{Arc, Mutex};

use http::{Request, Response};
use http_body_util::BodyExt;
use kube::{Client, client::Body};
use serde_json::Value;
use turnpike_operator::context::Context;

/// A request as it was received.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Method, path and query.
    pub(crate) line: String,
    /// `content-type`.
    pub(crate) content: String,
    /// The body.
    pub(crate) body: Value,
}

/// All requests so far.
pub(crate) type Log = Arc<Mutex<Vec<Seen>>>;

/// A client whose requests are noted, and answered with what `answer` says: a status and a body.
pub(crate) fn client(answer: impl Fn(&Seen) -> (u16, Value) + Clone + Send + 'static) -> (Client, Log) {
    let log = Log::default();
    let noted = Arc::clone(&log);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (noted, answer) = (Arc::clone(&noted), answer.clone());
        async move {
            let (parts, body) = request.into_parts();
            let bytes = body.collect().await.unwrap().to_bytes();
            let seen = Seen {
                line: format!("{} {}", parts.method, parts.uri),
                content: parts.headers.get("content-type").map_or("", |value| value.to_str().unwrap()).to_owned(),
                body: serde_json::from_slice(&bytes).unwrap_or_default(),
            };
            let (status, body) = answer(&seen);
            noted.lock().unwrap().push(seen);
            let body = Body::from(serde_json::to_vec(&body).unwrap());
            Ok::<_, std::convert::Infallible>(Response::builder().status(status).body(body).unwrap())
        }
    });
    (Client::new(service, "default"), log)
}

/// An answer that refuses.
pub(crate) fn refusal(code: u16, reason: &str) -> (u16, Value) {
    let body = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": "no",
    });
    (code, body)
}

/// A context around a client, for the instance `trial` in the namespace `llm`, and the work that writes its events.
pub(crate) fn context(client: Client) -> (Context, impl Future<Output = ()>) {
    crate::context::context(client, "trial", "llm")
}

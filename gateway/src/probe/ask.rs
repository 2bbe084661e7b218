//! One probe: a GET on a connection of its own, the way that calls go.

use std::time::Duration;

use http::{HeaderMap, Method, header};
use tokio::time::timeout;
use turnpike_llm::splice::Splices;

use super::target::{Fault, Found, Target, judge};
use crate::upstream::{connect::Connector, http1::Connection};

/// Longest wait for an answer, connected.
const ANSWER: Duration = Duration::from_secs(5);

/// Asks a target. Its body is of no interest: the connection is closed with it.
///
/// A connection of its own shows that the server takes new ones, and leaves those of calls alone. A proof of identity that
/// would have to be made for each call is left out: a server that asks for one answers.
pub(super) async fn ask(connector: &Connector, target: &Target) -> Found {
    let endpoint = target.endpoint();
    let stream = match timeout(target.connect, connector.connect(&endpoint.origin)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Found::Down(Fault::Connect(error.text())),
        Err(_) => return Found::Down(Fault::Slow),
    };
    let headers = headers(&target.headers);
    let body = Splices::default();
    match timeout(ANSWER, Connection::new(stream).exchange(&Method::GET, endpoint, &headers, &body)).await {
        Ok(Ok(answer)) => judge(answer.head.status()),
        Ok(Err(_)) => Found::Down(Fault::Broken),
        Err(_) => Found::Down(Fault::Slow),
    }
}

fn headers(of_calls: &HeaderMap) -> HeaderMap {
    let mut headers = of_calls.clone();
    headers.remove(header::CONTENT_TYPE);
    headers
}

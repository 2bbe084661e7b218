//! Looks names up, and asks an address which models it serves: a GET on a connection of its own, the way that calls go.

use std::{io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use tokio::time::timeout;
use turnpike_llm::splice::Splices;

use super::addresses::{Answer, Question, Unresolved};
use crate::upstream::{Endpoint, at, connect::Connector, http1::Connection};

/// Longest time to connect, and then to answer.
const WITHIN: Duration = Duration::from_secs(2);
/// Largest list of models.
const MOST: usize = 1024 * 1024;

/// How the addresses of names are found.
pub enum Resolver {
    /// As the system is configured.
    System,
    /// By a function of host and port: for tests, where no DNS knows the names.
    Given(Find),
}

/// Host and port to addresses, as the system's resolver answers.
pub type Find = Box<dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

impl Resolver {
    /// The addresses of a name.
    pub(super) async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Unresolved> {
        let found = match self {
            Self::System => tokio::net::lookup_host((host, port)).await.map(Iterator::collect),
            Self::Given(find) => find(host, port),
        };
        found.map_err(|error| unresolved(&error))
    }
}

/// The resolver's own words: the standard library keeps nothing else of what it said.
fn unresolved(error: &io::Error) -> Unresolved {
    // Of glibc and musl: no such name, or one without any address.
    const EMPTY: [&str; 4] = ["not known", "No address associated", "does not resolve", "no usable address"];
    let text = error.to_string();
    if EMPTY.iter().any(|words| text.contains(words)) { Unresolved::Empty } else { Unresolved::Failed }
}

/// What `GET /models` answers.
#[derive(Deserialize)]
struct Listing {
    data: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    id: Box<str>,
}

/// Asks an address.
pub(super) async fn ask(connector: &Connector, question: &Question) -> Answer {
    let url = format!("{}/models", at(&question.base_url, question.address));
    let Ok(endpoint) = Endpoint::parse(&url, question.reach) else { return Answer::Gone };
    let Ok(Ok(stream)) = timeout(WITHIN, connector.connect(&endpoint.origin)).await else { return Answer::Gone };
    timeout(WITHIN, exchange(Connection::new(stream), &endpoint, headers(&question.headers)))
        .await
        .unwrap_or(Answer::Silent)
}

async fn exchange(connection: Connection, endpoint: &Endpoint, headers: HeaderMap) -> Answer {
    let Ok(answer) = connection.exchange(&Method::GET, endpoint, &headers, &Splices::default()).await else {
        return Answer::Silent;
    };
    match answer.head.status() {
        StatusCode::OK => {}
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => return Answer::Silent,
        _ => return Answer::Foreign,
    }
    match Limited::new(answer.body, MOST).collect().await {
        Ok(body) => listed(&body.to_bytes()),
        Err(_) => Answer::Silent,
    }
}

fn listed(body: &Bytes) -> Answer {
    match serde_json::from_slice::<Listing>(body) {
        Ok(listing) => Answer::Lists(listing.data.into_iter().map(|listed| listed.id).collect()),
        Err(_) => Answer::Foreign,
    }
}

fn headers(of_calls: &HeaderMap) -> HeaderMap {
    let mut headers = of_calls.clone();
    headers.remove(header::CONTENT_TYPE);
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_addresses_is_told_from_one_that_cannot_be_looked_up() {
        let of =
            |detail: &str| unresolved(&io::Error::other(format!("failed to lookup address information: {detail}")));
        for empty in [
            "Name or service not known",
            "No address associated with hostname",
            "Name does not resolve",
            "Name has no usable address",
        ] {
            assert_eq!(of(empty), Unresolved::Empty, "{empty}");
        }
        for failed in ["Temporary failure in name resolution", "Try again", "System error", "Unrecoverable error"] {
            assert_eq!(of(failed), Unresolved::Failed, "{failed}");
        }
    }

    #[test]
    fn what_is_no_list_of_models_is_something_else() {
        let of = |text: &'static str| listed(&Bytes::from_static(text.as_bytes()));
        let names = |names: &[&str]| Answer::Lists(names.iter().map(|name| (*name).into()).collect());
        assert_eq!(
            of(r#"{"object":"list","data":[{"id":"m","owned_by":"vllm"},{"id":"a","parent":"m"}]}"#),
            names(&["m", "a"])
        );
        assert_eq!(of(r#"{"models":[{"name":"m"}],"data":[{"id":"m"}]}"#), names(&["m"]));
        assert_eq!(of("hello"), Answer::Foreign);
        assert_eq!(of(r#"{"data":{}}"#), Answer::Foreign);
    }
}

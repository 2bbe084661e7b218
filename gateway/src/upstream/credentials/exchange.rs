//! Calls to those who issue keys and tokens: one connection each, small answers, and errors that are fit to be read.

use std::{
    borrow::Cow,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::ClientConfig;
use serde::{Deserialize, de::DeserializeOwned};
use turnpike_bundle::entry::Egress as Reach;
use turnpike_llm::splice::Splices;

use crate::{
    args::Clouds,
    upstream::{
        Endpoint,
        connect::{ConnectError, Connector, ProxyVariables, Stream},
        egress::Egress,
        http1::Connection,
    },
};

/// Most bytes of an answer, and of a token's file.
const MAX_ANSWER: usize = 256 * 1024;
/// Most characters that an error quotes.
const MAX_QUOTED: usize = 300;
/// All but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The way to those who issue, and who the gateway itself is.
pub struct Exchange {
    /// To public addresses, by way of a proxy where there is one.
    public: Connector,
    /// To what the machine or the cluster offers: never by a proxy.
    local: Connector,
    /// The gateway's own identity and addresses.
    pub clouds: Clouds,
}

/// Where somebody is who issues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A public API.
    Public,
    /// The machine's or the cluster's own metadata service.
    Local,
}

/// Why nothing was issued. `Display` is for whoever runs the gateway: it holds nothing secret, and is the same for the
/// same cause.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    /// The gateway has no identity of its own, or only a part of one.
    #[error("{0}")]
    Unset(&'static str),
    /// The key that the exchange starts with cannot be used.
    #[error("{0}")]
    Key(&'static str),
    /// A file of the gateway's own identity.
    #[error("the file {} cannot be read: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not a URL, or one without a host.
    #[error("{0} is not an http or https address")]
    Address(String),
    /// No connection.
    #[error("{host}: {error}")]
    Connect {
        /// To whom.
        host: Box<str>,
        /// Why.
        error: ConnectError,
    },
    /// The connection failed.
    #[error("{0} closed the connection before it answered")]
    Broken(Box<str>),
    /// An answer other than 2xx.
    #[error("{host} answered {}{detail}", status.as_u16())]
    Refused {
        /// Who.
        host: Box<str>,
        /// Its status.
        status: StatusCode,
        /// Its words, after a colon; or nothing.
        detail: String,
    },
    /// A 2xx answer of another shape.
    #[error("the answer cannot be used: {0}")]
    Answer(&'static str),
    /// Not within the time limit.
    #[error("it did not answer in time")]
    Late,
}

/// A request to somebody who issues.
pub(super) struct Ask {
    /// Where.
    pub(super) place: Place,
    /// Method.
    pub(super) method: Method,
    /// Absolute.
    pub(super) url: String,
    /// All but Host and Content-Length.
    pub(super) headers: HeaderMap,
    /// Empty with GET.
    pub(super) body: String,
}

impl Ask {
    /// A GET of a metadata service, with one header.
    pub(super) fn local(url: String, header: (HeaderName, HeaderValue)) -> Self {
        let headers = [header].into_iter().collect();
        Self { place: Place::Local, method: Method::GET, url, headers, body: String::new() }
    }

    /// A form, posted to a public API.
    pub(super) fn form(url: String, fields: &[(&str, &str)]) -> Self {
        let encode = |text| -> Cow<'_, str> { utf8_percent_encode(text, RESERVED).into() };
        let fields: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        let headers = [(header::CONTENT_TYPE, kind)].into_iter().collect();
        Self { place: Place::Public, method: Method::POST, url, headers, body: fields.join("&") }
    }

    /// Where it goes.
    pub(super) fn endpoint(&self) -> Result<Endpoint, ExchangeError> {
        // The addresses are the platform's, not a tenant's: both connectors dial all.
        Endpoint::parse(&self.url, Reach::Guarded).map_err(|_| ExchangeError::Address(self.url.clone()))
    }
}

impl Exchange {
    /// With the gateway's own proxy and authorities.
    ///
    /// # Errors
    /// A proxy variable is malformed.
    pub fn new(clouds: Clouds, proxy: &ProxyVariables, tls: Arc<ClientConfig>) -> anyhow::Result<Self> {
        let public = Connector::new(Egress::Open, proxy, Arc::clone(&tls))?;
        let local = Connector::new(Egress::Open, &ProxyVariables::default(), tls)?;
        Ok(Self { public, local, clouds })
    }

    /// Asks, and returns the body of a 2xx answer.
    pub(super) async fn ask(&self, ask: Ask) -> Result<Bytes, ExchangeError> {
        let endpoint = ask.endpoint()?;
        let host = &endpoint.origin.host;
        let stream = self.connect(ask.place, &endpoint).await?;
        let body = Splices::from(Bytes::from(ask.body));
        let answer = Connection::new(stream).exchange(&ask.method, &endpoint, &ask.headers, &body).await;
        let answer = answer.map_err(|_| ExchangeError::Broken(host.clone()))?;
        let status = answer.head.status();
        let body = Limited::new(answer.body, MAX_ANSWER).collect().await;
        let body = body.map_err(|_| ExchangeError::Broken(host.clone()))?.to_bytes();
        if !status.is_success() {
            return Err(ExchangeError::Refused { host: host.clone(), status, detail: detail(&body) });
        }
        Ok(body)
    }

    async fn connect(&self, place: Place, endpoint: &Endpoint) -> Result<Stream, ExchangeError> {
        let connector = match place {
            Place::Public => &self.public,
            Place::Local => &self.local,
        };
        let error = |error| ExchangeError::Connect { host: endpoint.origin.host.clone(), error };
        connector.connect(&endpoint.origin).await.map_err(error)
    }
}

/// Reads a small text file: a token that the platform replaces now and then.
pub(super) async fn read(path: &Path) -> Result<String, ExchangeError> {
    let text = tokio::fs::read_to_string(path).await;
    let text = text.map_err(|source| ExchangeError::File { path: path.to_owned(), source })?;
    Ok(text.trim().to_owned())
}

/// A JSON answer.
pub(super) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ExchangeError> {
    serde_json::from_slice(body).map_err(|_| ExchangeError::Answer("it is not the JSON that was asked for"))
}

/// What OAuth 2 servers issue.
#[derive(Deserialize)]
pub(super) struct AccessToken {
    access_token: String,
    expires_in: Seconds,
}

/// Some servers write numbers as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u64),
    Text(String),
}

/// The value of an Authorization header, and how long it is good for.
pub(super) fn bearer(body: &[u8]) -> Result<super::Fresh<HeaderValue>, ExchangeError> {
    let AccessToken { access_token, expires_in } = json(body)?;
    let seconds = match expires_in {
        Seconds::Number(seconds) => Some(seconds),
        Seconds::Text(text) => text.parse().ok(),
    };
    let seconds = seconds.ok_or(ExchangeError::Answer("its expires_in is not a number"))?;
    let value = HeaderValue::try_from(format!("Bearer {access_token}"));
    let mut value = value.map_err(|_| ExchangeError::Answer("its access_token cannot be a header's value"))?;
    value.set_sensitive(true);
    Ok(super::Fresh { value, lifetime: Some(Duration::from_secs(seconds)) })
}

/// How long something is good for that expires at this time.
pub(super) fn until(expires: &str) -> Result<Duration, ExchangeError> {
    let expires: Timestamp = expires.parse().map_err(|_| ExchangeError::Answer("its expiration is not a time"))?;
    Ok(Duration::try_from(expires.duration_since(Timestamp::now())).unwrap_or_default())
}

/// A server's words about an error, as `: words`. Of those of Entra what differs each time is left out.
fn detail(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let words = words(&text).unwrap_or_default();
    let words = words.split(" Trace ID:").next().unwrap_or_default();
    let words: Vec<&str> = words.split_whitespace().collect();
    let words: String = words.join(" ").chars().take(MAX_QUOTED).collect();
    if words.is_empty() { words } else { format!(": {words}") }
}

fn words(text: &str) -> Option<String> {
    /// The shapes in which AWS, Google and Entra say what is wrong.
    #[derive(Deserialize)]
    struct Fault {
        error_description: Option<String>,
        error: Option<serde_json::Value>,
        message: Option<String>,
    }
    if let Ok(fault) = serde_json::from_str::<Fault>(text) {
        let name = match fault.error {
            Some(serde_json::Value::String(name)) => Some(name),
            Some(object) => object.get("message").and_then(|text| text.as_str()).map(str::to_owned),
            None => None,
        };
        let said: Vec<String> = [name, fault.error_description.or(fault.message)].into_iter().flatten().collect();
        return Some(said.join(": "));
    }
    let said: Vec<&str> = ["Code", "Message"].into_iter().filter_map(|name| element(text, name)).collect();
    (!said.is_empty()).then(|| said.join(": "))
}

/// The text of the first element of this name. STS's answers are flat, without attributes, and their values need no
/// unescaping.
pub(super) fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_quote_what_the_cloud_says_and_nothing_that_changes() {
        let entra = r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided. Trace ID: 1 Correlation ID: 2 Timestamp: 3"}"#;
        assert_eq!(detail(entra.as_bytes()), ": invalid_client: AADSTS7000215: Invalid client secret provided.");
        let sts = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not authorized\n to assume</Message></Error></ErrorResponse>";
        assert_eq!(detail(sts.as_bytes()), ": AccessDenied: not authorized to assume");
        let google = r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#;
        assert_eq!(detail(google.as_bytes()), ": invalid_grant: Invalid JWT Signature.");
        assert_eq!(detail(br#"{"error":{"code":403,"message":"Denied."}}"#), ": Denied.");
        assert_eq!(detail(b"<html>no</html>"), "");
    }
}

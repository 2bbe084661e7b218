//! Gets what clients give by URL, for providers that take media in place only.
//!
//! The URLs are the clients' own words, so they lead to public addresses alone, whatever backends may reach.

use std::{pin::pin, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::future::join;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use turnpike_bundle::entry::Egress as Reach;
use url::Url;

use super::{
    Endpoint,
    connect::{ConnectError, Connector},
};
use crate::pipeline::admit::{Budget, Permit};

/// Largest file: more than any provider takes in a request.
const MAX_BYTES: usize = 20 * 1024 * 1024;
/// Longest time for one file, redirects included.
const MAX_TIME: Duration = Duration::from_secs(20);
/// Redirects followed.
const MAX_REDIRECTS: usize = 3;

/// Fetches.
#[derive(Clone)]
pub struct Fetcher {
    connector: Connector,
    buffered: Budget,
}

/// A file.
#[derive(Debug)]
pub struct File {
    /// From Content-Type, without parameters.
    pub media_type: String,
    /// Its bytes.
    pub bytes: Bytes,
    /// Their share of what may be buffered.
    pub permit: Permit,
}

/// Why there is no file. `Display` is for the caller.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Not an absolute http or https URL.
    #[error("it is not a valid http(s) URL")]
    Url,
    /// No connection.
    #[error("{0}")]
    Connect(#[from] ConnectError),
    /// The connection failed within the answer.
    #[error("its server closed the connection early")]
    Broken(#[source] hyper::Error),
    /// Neither 200 nor a redirect.
    #[error("its server answered {0}")]
    Status(StatusCode),
    /// More redirects than are followed, or one to nowhere.
    #[error("it redirects more than {MAX_REDIRECTS} times, or to nowhere")]
    Redirects,
    /// Not an image, a document or sound.
    #[error("its Content-Type ({0}) is none of image/*, audio/*, video/*, text/* and application/pdf")]
    Type(String),
    /// Larger than the limit.
    #[error("it is larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// No room for its bytes.
    #[error("the gateway is at capacity")]
    Busy,
    /// Slower than the limit.
    #[error("it did not arrive within {MAX_TIME:?}")]
    Slow,
}

impl Fetcher {
    /// Fetches over this connector, which must refuse what clients may not reach, with `buffered` bytes of all requests together.
    pub fn new(connector: Connector, buffered: Budget) -> Self {
        Self { connector, buffered }
    }

    /// Gets one file.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn fetch(&self, url: &str) -> Result<File, FetchError> {
        tokio::time::timeout(MAX_TIME, self.follow(url)).await.map_err(|_| FetchError::Slow)?
    }

    async fn follow(&self, url: &str) -> Result<File, FetchError> {
        let mut url = url.to_owned();
        for _ in 0..=MAX_REDIRECTS {
            match self.get(&url).await? {
                Got::File(file) => return Ok(file),
                Got::Elsewhere(location) => url = resolved(&url, &location).ok_or(FetchError::Redirects)?,
            }
        }
        Err(FetchError::Redirects)
    }

    async fn get(&self, url: &str) -> Result<Got, FetchError> {
        let endpoint = Endpoint::parse(url, Reach::Guarded).map_err(|_| FetchError::Url)?;
        let stream = self.connector.connect(&endpoint.origin).await?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(FetchError::Broken)?;
        let request = Request::get(endpoint.target)
            .header(header::HOST, &endpoint.origin.header)
            .header(header::USER_AGENT, concat!("turnpike/", env!("CARGO_PKG_VERSION")))
            .header(header::ACCEPT, "*/*")
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|_| FetchError::Url)?;
        let exchange = async move {
            let response = sender.send_request(request).await.map_err(FetchError::Broken)?;
            answer(response, &self.buffered).await
        };
        // Nobody but this exchange needs the connection, so it is driven here.
        let (got, _) = pin!(join(exchange, connection)).await;
        got
    }
}

enum Got {
    File(File),
    /// A redirect's Location.
    Elsewhere(String),
}

async fn answer<B>(response: Response<B>, buffered: &Budget) -> Result<Got, FetchError>
where
    B: Body<Data = Bytes, Error = hyper::Error>,
{
    let (head, body) = response.into_parts();
    if head.status.is_redirection() {
        let location = head.headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
        return location.map(|to| Got::Elsewhere(to.to_owned())).ok_or(FetchError::Redirects);
    }
    if head.status != StatusCode::OK {
        return Err(FetchError::Status(head.status));
    }
    let media_type = media_type(&head.headers)?;
    let mut body = pin!(body);
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > MAX_BYTES {
        return Err(FetchError::TooLarge);
    }
    let mut permit = buffered.take(announced).map_err(|_| FetchError::Busy)?;
    let mut bytes = BytesMut::with_capacity(announced);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(FetchError::Broken)?.into_data() else { continue };
        if bytes.len() + data.len() > MAX_BYTES {
            return Err(FetchError::TooLarge);
        }
        let more = (bytes.len() + data.len()).saturating_sub(announced.max(bytes.len()));
        permit.grow(buffered, more).map_err(|_| FetchError::Busy)?;
        bytes.extend_from_slice(&data);
    }
    Ok(Got::File(File { media_type, bytes: bytes.freeze(), permit }))
}

fn media_type(headers: &HeaderMap) -> Result<String, FetchError> {
    let said = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("none");
    let plain = said.split(';').next().unwrap_or(said).trim().to_ascii_lowercase();
    let known = ["image/", "audio/", "video/", "text/"].iter().any(|kind| plain.starts_with(kind));
    if known || plain == "application/pdf" {
        Ok(plain)
    } else {
        Err(FetchError::Type(plain.chars().take(64).collect()))
    }
}

/// Where a redirect leads; `None` = nowhere that can be fetched.
fn resolved(from: &str, location: &str) -> Option<String> {
    Some(Url::parse(from).ok()?.join(location).ok()?.into())
}

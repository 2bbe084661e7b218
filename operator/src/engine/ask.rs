//! Asks one pod of an engine something: bounded in time and size. Only addresses of the operator's own watch are dialled.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};

const CONNECT: Duration = Duration::from_secs(2);
/// Largest answer that is read.
pub const MAX_BODY: usize = 1024 * 1024;
/// Bytes of an engine's words that people are shown.
const WORDS: usize = 300;

/// Why a pod did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No answer in time.
    #[error("it did not answer in time")]
    Timeout,
    /// The connection failed or ended.
    #[error("the connection failed: {0}")]
    Connection(#[from] std::io::Error),
    /// HTTP went wrong.
    #[error("HTTP failed: {0}")]
    Http(#[from] hyper::Error),
    /// The request cannot be written, which only a key with odd characters causes.
    #[error("the request cannot be sent")]
    Request(#[from] http::Error),
    /// The key cannot be sent.
    #[error("the engine's key holds characters that no header may carry")]
    Key(#[from] header::InvalidHeaderValue),
    /// Another status than 200, and the answer's words.
    #[error("it answered {0}: {1}")]
    Status(StatusCode, String),
    /// A body that is too large, or broke off.
    #[error("its answer cannot be read")]
    Body(Box<dyn std::error::Error + Send + Sync>),
}

/// Something to ask.
#[derive(Debug)]
pub struct Question<'a> {
    /// Whom.
    pub address: SocketAddr,
    /// GET without a body, else POST.
    pub body: Option<Value>,
    /// Path.
    pub path: &'a str,
    /// The engine's key.
    pub key: Option<&'a str>,
    /// How long the answer may take.
    pub patience: Duration,
}

/// The answer's body.
///
/// # Errors
/// It did not answer with 200, in time and within [`MAX_BODY`].
pub async fn ask(question: Question<'_>) -> Result<Bytes, AskError> {
    timeout(question.patience, answer(&question)).await.unwrap_or(Err(AskError::Timeout))
}

async fn answer(question: &Question<'_>) -> Result<Bytes, AskError> {
    let stream = timeout(CONNECT, TcpStream::connect(question.address)).await.map_err(|_| AskError::Timeout)??;
    let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends when the sender is dropped or the peer closes; what went wrong the sender is told.
    let driver = tokio::spawn(async move { driver.await.ok() });
    let method = if question.body.is_some() { Method::POST } else { Method::GET };
    let mut request =
        Request::builder().method(method).uri(question.path).header(header::HOST, question.address.to_string());
    if let Some(key) = question.key {
        let mut value = HeaderValue::from_str(&format!("Bearer {key}"))?;
        value.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, value);
    }
    let body = match &question.body {
        Some(body) => {
            request = request.header(header::CONTENT_TYPE, "application/json");
            Full::new(Bytes::from(body.to_string()))
        }
        None => Full::default(),
    };
    let response = sender.send_request(request.body(body)?).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_BODY).collect().await.map_err(AskError::Body)?.to_bytes();
    driver.abort();
    if status == StatusCode::OK { Ok(body) } else { Err(AskError::Status(status, words(&body))) }
}

/// An engine's error in its own words, cut.
fn words(body: &[u8]) -> String {
    let read: Option<Value> = serde_json::from_slice(body).ok();
    let said = read.as_ref().and_then(|read| {
        let message = read.pointer("/error/message").or_else(|| read.get("message"));
        message.and_then(Value::as_str).map(str::to_owned)
    });
    let text = said.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    text.get(..text.floor_char_boundary(WORDS)).unwrap_or(&text).trim().to_owned()
}

/// Where a pod listens; `None` = nowhere that is its own: a pod in its node's network could have the operator call
/// whatever listens on that node.
pub fn address(pod: &Pod, port: u16) -> Option<SocketAddr> {
    let in_nodes_network = pod.spec.as_ref().and_then(|spec| spec.host_network).unwrap_or_default();
    let ip: IpAddr = pod.status.as_ref()?.pod_ip.as_deref()?.parse().ok()?;
    (!in_nodes_network).then(|| SocketAddr::new(ip, port))
}

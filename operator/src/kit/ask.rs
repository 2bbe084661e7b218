//! What asking a pod over HTTP has in common, whichever pod it is: bounded in time and size, nothing followed.

use std::{net::SocketAddr, time::Duration};

use http::{Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::{
    body::{Body, Bytes, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

/// Largest answer that is read.
pub const MAX_BODY: usize = 1024 * 1024;

/// Why a pod did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No answer in time.
    #[error("it did not answer in time")]
    Timeout,
    /// There is no token yet.
    #[error("the Secret with the gateways' token is not there yet")]
    NoToken,
    /// The connection failed or ended.
    #[error("the connection failed: {0}")]
    Connection(#[from] std::io::Error),
    /// HTTP went wrong.
    #[error("HTTP failed: {0}")]
    Http(#[from] hyper::Error),
    /// The request cannot be written, which only a token with odd characters causes.
    #[error("the request cannot be sent: {0}")]
    Request(#[from] http::Error),
    /// The key cannot be sent.
    #[error("the engine's key holds characters that no header may carry")]
    Key(#[from] header::InvalidHeaderValue),
    /// Another status than 200, and the answer's words where they are worth showing. Redirects are among them: they are not
    /// followed.
    #[error("it answered {0}{words}", words = .1.as_ref().map(|words| format!(": {words}")).unwrap_or_default())]
    Status(StatusCode, Option<String>),
    /// A body that is too large, or broke off.
    #[error("its answer cannot be read: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    /// A body of the wrong shape.
    #[error("its answer cannot be understood: {0}")]
    Shape(#[from] serde_json::Error),
}

/// A connection, made within this time. It ends when the sender is dropped or the peer closes; what went wrong the sender is told.
///
/// # Errors
/// Nobody is there, or not in time.
pub async fn connect<B>(address: SocketAddr, within: Duration) -> Result<http1::SendRequest<B>, AskError>
where
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let stream = timeout(within, TcpStream::connect(address)).await.map_err(|_| AskError::Timeout)??;
    stream.set_nodelay(true)?;
    let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move { driver.await.ok() });
    Ok(sender)
}

/// The body of an answer.
///
/// # Errors
/// It is larger than [`MAX_BODY`], or broke off.
pub async fn body(response: Response<Incoming>) -> Result<Bytes, AskError> {
    Ok(Limited::new(response.into_body(), MAX_BODY).collect().await.map_err(AskError::Body)?.to_bytes())
}

//! Asks one gateway's internal listener, on a connection that is kept.

use std::{net::SocketAddr, time::Duration};

use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::{net::TcpStream, sync::watch, time::timeout};

use crate::gateways::Tokens;

const CONNECT: Duration = Duration::from_secs(1);
/// Largest body that is read.
pub const MAX_BODY: usize = 1024 * 1024;

/// Why a gateway gave no answer.
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
    /// Another status than 200. Redirects are among them: they are not followed.
    #[error("it answered {0}")]
    Status(StatusCode),
    /// A body that is too large, or broke off.
    #[error("its answer cannot be read: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    /// A body of the wrong shape.
    #[error("its answer cannot be understood: {0}")]
    Shape(#[from] serde_json::Error),
}

type Connection = http1::SendRequest<Empty<Bytes>>;

/// A gateway to ask.
#[derive(Debug)]
pub struct Asker {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it accepts.
    pub tokens: watch::Receiver<Tokens>,
    connection: Option<Connection>,
}

impl Asker {
    /// Of the gateway that listens there.
    pub fn new(address: SocketAddr, tokens: watch::Receiver<Tokens>) -> Self {
        Self { address, tokens, connection: None }
    }

    /// Asks once, with the token before the last rotation too where the new one has not arrived there yet.
    ///
    /// # Errors
    /// No answer, or not one of this shape. The next question goes over another connection.
    pub async fn get<T: DeserializeOwned>(&mut self, path: &str, within: Duration) -> Result<T, AskError> {
        let tokens = self.tokens.borrow_and_update().clone();
        let mut refused = AskError::NoToken;
        for token in [tokens.current, tokens.previous].into_iter().flatten() {
            // A question that was given up leaves no connection behind.
            match timeout(within, self.ask(path, &token)).await {
                Err(_) => return Err(AskError::Timeout),
                Ok(Err(AskError::Status(StatusCode::UNAUTHORIZED))) => {
                    refused = AskError::Status(StatusCode::UNAUTHORIZED);
                }
                Ok(other) => return other,
            }
        }
        Err(refused)
    }

    async fn ask<T: DeserializeOwned>(&mut self, path: &str, token: &str) -> Result<T, AskError> {
        let mut sender = match self.connection.take() {
            Some(kept) => kept,
            None => self.connect().await?,
        };
        if sender.ready().await.is_err() {
            sender = self.connect().await?;
        }
        let request = Request::get(path)
            .header(header::HOST, self.address.to_string())
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Empty::new())?;
        let response = sender.send_request(request).await?;
        if response.status() != StatusCode::OK {
            return Err(AskError::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), MAX_BODY).collect().await.map_err(AskError::Body)?;
        let answer = serde_json::from_slice(&body.to_bytes())?;
        self.connection = Some(sender);
        Ok(answer)
    }

    async fn connect(&self) -> Result<Connection, AskError> {
        let stream = timeout(CONNECT, TcpStream::connect(self.address)).await.map_err(|_| AskError::Timeout)??;
        stream.set_nodelay(true)?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends when the sender is dropped or the peer closes; what went wrong the sender is told.
        tokio::spawn(async move { driver.await.ok() });
        Ok(sender)
    }
}

//! Asks one gateway's internal listener, on a connection that is kept.

use std::{net::SocketAddr, time::Duration};

use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper::{body::Bytes, client::conn::http1};
use serde::de::DeserializeOwned;
use tokio::{sync::watch, time::timeout};

use crate::{
    gateways::Tokens,
    kit::ask::{AskError, body, connect},
};

const CONNECT: Duration = Duration::from_secs(1);
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
                Ok(Err(AskError::Status(StatusCode::UNAUTHORIZED, _))) => {
                    refused = AskError::Status(StatusCode::UNAUTHORIZED, None);
                }
                Ok(other) => return other,
            }
        }
        Err(refused)
    }

    async fn ask<T: DeserializeOwned>(&mut self, path: &str, token: &str) -> Result<T, AskError> {
        let mut sender = match self.connection.take() {
            Some(kept) => kept,
            None => connect(self.address, CONNECT).await?,
        };
        if sender.ready().await.is_err() {
            sender = connect(self.address, CONNECT).await?;
        }
        let request = Request::get(path)
            .header(header::HOST, self.address.to_string())
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Empty::new())?;
        let response = sender.send_request(request).await?;
        if response.status() != StatusCode::OK {
            return Err(AskError::Status(response.status(), None));
        }
        let answer = serde_json::from_slice(&body(response).await?)?;
        self.connection = Some(sender);
        Ok(answer)
    }
}

//! One runtime's idle connections, over hyper's connection API.
//!
//! Ours rather than a general client because the request path needs what that hides: whether a connection was reused
//! (one free retry), a connect timeout and an idle time per backend, and no second task per request.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;
use turnpike_llm::splice::Splices;

use super::{
    Endpoint, Origin,
    body::SplicedBody,
    connect::{ConnectError, Connector},
};

/// Idle connections kept per origin and runtime.
const MAX_IDLE: usize = 256;

/// How one backend's connections are treated.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Longest time to connect, TLS included.
    pub connect: Duration,
    /// An idle connection older than this is not used again.
    pub idle: Duration,
}

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Never sent.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Sent, wholly or in part, and the connection failed before the answer's head.
    #[error("the connection failed before an answer")]
    Broken(#[source] hyper::Error),
}

struct Idle {
    sender: SendRequest<SplicedBody>,
    since: Instant,
    keep: Duration,
}

type Connections = Arc<Mutex<HashMap<Box<str>, Vec<Idle>>>>;

/// The pool of one runtime.
#[derive(Clone)]
pub struct Pool {
    connector: Connector,
    idle: Connections,
}

impl Pool {
    /// An empty pool.
    pub fn new(connector: Connector) -> Self {
        Self { connector, idle: Connections::default() }
    }

    /// Sends a POST and returns the answer's head, its body still to be read. A reused connection that fails before any
    /// byte of an answer is replaced by a new one, once.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send(
        &self,
        endpoint: &Endpoint,
        headers: HeaderMap,
        body: Splices,
        policy: Policy,
    ) -> Result<Response<UpstreamBody>, SendError> {
        let (headers, body) = match self.take(&endpoint.origin) {
            None => (headers, body),
            Some(mut sender) => {
                let again = (headers.clone(), body.clone());
                match sender.try_send_request(request(endpoint, headers, body)).await {
                    Ok(response) => return Ok(self.lend(response, sender, endpoint, policy)),
                    Err(mut error) => {
                        let unsent = error.take_message().is_some();
                        let error = error.into_error();
                        if !(unsent || broke_early(&error)) {
                            return Err(SendError::Broken(error));
                        }
                    }
                }
                again
            }
        };
        let mut sender = tokio::time::timeout(policy.connect, self.connect(&endpoint.origin))
            .await
            .map_err(|_| ConnectError::Timeout)??;
        let response = sender.send_request(request(endpoint, headers, body)).await.map_err(SendError::Broken)?;
        Ok(self.lend(response, sender, endpoint, policy))
    }

    /// Closes connections that have been idle too long; called now and then by the runtime that owns the pool.
    pub fn sweep(&self) {
        let now = Instant::now();
        self.lock().retain(|_, connections| {
            connections.retain(|idle| !idle.sender.is_closed() && now.duration_since(idle.since) < idle.keep);
            !connections.is_empty()
        });
    }

    async fn connect(&self, origin: &Origin) -> Result<SendRequest<SplicedBody>, ConnectError> {
        let stream = self.connector.connect(origin).await?;
        let (sender, connection) =
            http1::Builder::new().handshake(TokioIo::new(stream)).await.map_err(ConnectError::Http)?;
        // Its failures reach whoever waits for an answer on it.
        tokio::spawn(async move { connection.await.ok() });
        Ok(sender)
    }

    fn take(&self, origin: &Origin) -> Option<SendRequest<SplicedBody>> {
        let now = Instant::now();
        let mut pool = self.lock();
        let connections = pool.get_mut(&*origin.key)?;
        // The most recently used first: the others may then grow old and be closed.
        while let Some(idle) = connections.pop() {
            if idle.sender.is_ready() && now.duration_since(idle.since) < idle.keep {
                return Some(idle.sender);
            }
        }
        None
    }

    fn lend(
        &self,
        response: Response<Incoming>,
        sender: SendRequest<SplicedBody>,
        endpoint: &Endpoint,
        policy: Policy,
    ) -> Response<UpstreamBody> {
        response.map(|body| UpstreamBody {
            body,
            lease: Some(Lease {
                sender,
                origin: Arc::clone(&endpoint.origin),
                idle: Arc::clone(&self.idle),
                keep: policy.idle,
            }),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Box<str>, Vec<Idle>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn request(endpoint: &Endpoint, mut headers: HeaderMap, body: Splices) -> Request<SplicedBody> {
    headers.insert(http::header::HOST, endpoint.origin.header.clone());
    let mut request = Request::new(SplicedBody::from(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = endpoint.target.clone();
    *request.headers_mut() = headers;
    request
}

/// The server closed a kept-alive connection just as it was used.
fn broke_early(error: &hyper::Error) -> bool {
    error.is_incomplete_message() || error.is_closed() || error.is_canceled() || {
        let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
        source.is_some_and(|error| {
            matches!(error.kind(), std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe)
        })
    }
}

/// A connection out of the pool; it goes back when its answer has been read to the end, else it is closed.
struct Lease {
    sender: SendRequest<SplicedBody>,
    origin: Arc<Origin>,
    idle: Connections,
    keep: Duration,
}

impl Lease {
    fn give_back(self) {
        if self.sender.is_closed() {
            return;
        }
        let idle = Idle { sender: self.sender, since: Instant::now(), keep: self.keep };
        let mut pool = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        match pool.get_mut(&*self.origin.key) {
            Some(connections) if connections.len() < MAX_IDLE => connections.push(idle),
            Some(_) => {}
            None => {
                pool.insert(self.origin.key.clone(), vec![idle]);
            }
        }
    }
}

/// An answer's body that returns its connection to the pool at its end.
pub struct UpstreamBody {
    body: Incoming,
    lease: Option<Lease>,
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(frame) = &polled {
            let ended = match frame {
                None => true,
                Some(Ok(_)) => self.body.is_end_stream(),
                Some(Err(_)) => {
                    self.lease = None;
                    false
                }
            };
            if ended && let Some(lease) = self.lease.take() {
                lease.give_back();
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

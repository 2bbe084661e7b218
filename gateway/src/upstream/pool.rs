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
use hyper::body::Incoming;
use tokio::time::Instant;
use turnpike_llm::splice::Splices;

use super::{
    Endpoint, Origin,
    body::SplicedBody,
    connect::{ConnectError, Connector},
    connection::Connection,
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
    connection: Box<Connection>,
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
            Some(mut connection) => {
                let again = (headers.clone(), body.clone());
                match connection.send(request(endpoint, headers, body)).await {
                    Ok(response) => return Ok(self.lend(response, connection, endpoint, policy)),
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
        // Boxed: connecting is rare, and every request would carry the room for it.
        let mut connection = Box::pin(tokio::time::timeout(policy.connect, self.connect(&endpoint.origin)))
            .await
            .map_err(|_| ConnectError::Timeout)??;
        let response = connection.send(request(endpoint, headers, body)).await;
        let response = response.map_err(|error| SendError::Broken(error.into_error()))?;
        Ok(self.lend(response, connection, endpoint, policy))
    }

    /// Closes connections that have been idle too long; called now and then by the runtime that owns the pool.
    pub fn sweep(&self) {
        let now = Instant::now();
        self.lock().retain(|_, connections| {
            connections.retain_mut(|idle| now.duration_since(idle.since) < idle.keep && idle.connection.is_ready());
            !connections.is_empty()
        });
    }

    async fn connect(&self, origin: &Origin) -> Result<Box<Connection>, ConnectError> {
        let stream = self.connector.connect(origin).await?;
        Ok(Box::new(Connection::open(stream).await.map_err(ConnectError::Http)?))
    }

    fn take(&self, origin: &Origin) -> Option<Box<Connection>> {
        let now = Instant::now();
        let mut pool = self.lock();
        let connections = pool.get_mut(&*origin.key)?;
        // The most recently used first: the others may then grow old and be closed.
        while let Some(mut idle) = connections.pop() {
            if now.duration_since(idle.since) < idle.keep && idle.connection.is_ready() {
                return Some(idle.connection);
            }
        }
        None
    }

    fn lend(
        &self,
        response: Response<Incoming>,
        connection: Box<Connection>,
        endpoint: &Endpoint,
        policy: Policy,
    ) -> Response<UpstreamBody> {
        response.map(|body| UpstreamBody {
            body,
            lease: Some(Lease {
                connection,
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
            // TLS calls an end without its farewell UnexpectedEof; many servers close so.
            use std::io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
            matches!(error.kind(), ConnectionReset | BrokenPipe | UnexpectedEof)
        })
    }
}

/// A connection out of the pool; it goes back when its answer has been read to the end, else it is closed.
struct Lease {
    connection: Box<Connection>,
    origin: Arc<Origin>,
    idle: Connections,
    keep: Duration,
}

impl Lease {
    fn give_back(mut self) {
        if !self.connection.is_ready() {
            return;
        }
        let idle = Idle { connection: self.connection, since: Instant::now(), keep: self.keep };
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

/// An answer's body that moves its connection while it is read, and returns it to the pool at its end.
pub struct UpstreamBody {
    body: Incoming,
    /// `None` = the body has ended or failed.
    lease: Option<Lease>,
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        let Some(lease) = &mut this.lease else {
            return Poll::Ready(None);
        };
        let polled = lease.connection.poll_body(&mut this.body, cx);
        if let Poll::Ready(frame) = &polled {
            let failed = matches!(frame, Some(Err(_)));
            let ended = frame.is_none() || failed || this.body.is_end_stream();
            if ended
                && let Some(lease) = this.lease.take()
                && !failed
            {
                lease.give_back();
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.lease.is_none() || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

//! One runtime's idle connections.
//!
//! Ours rather than a general client because the request path needs what that hides: whether a connection was reused
//! (one free retry), a connect timeout and an idle time per backend, and no second task per connection.

use std::{
    collections::HashMap,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Response};
use http_body::{Body, Frame};
use tokio::time::Instant;
use turnpike_llm::splice::Splices;

use super::{
    Endpoint, Origin,
    connect::{ConnectError, Connector},
    http1::{Answer, Connection, Failure, Incoming, Sent},
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
    /// Sent, wholly or in part, and the connection failed before the answer's head was whole.
    #[error("the connection failed before an answer")]
    Broken(#[source] io::Error),
}

struct Idle {
    connection: Connection,
    since: Instant,
    keep: Duration,
}

impl Idle {
    fn is_usable(&mut self, now: Instant) -> bool {
        now.duration_since(self.since) < self.keep && self.connection.is_usable()
    }
}

/// Connections by origin.
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

    /// Sends a request and returns the answer's head, its body still to be read. A reused connection that fails before any
    /// byte of an answer is replaced by a new one, once. `owed` is set as soon as the upstream may work for it: it was sent whole,
    /// or is answered.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send(
        &self,
        (method, endpoint): (&Method, &Endpoint),
        (headers, body): (&HeaderMap, &Splices),
        policy: Policy,
        owed: &mut bool,
    ) -> Result<Response<UpstreamBody>, SendError> {
        let request = (method, endpoint, headers, body);
        if let Some(connection) = self.take(&endpoint.origin) {
            match exchange(connection, request, owed).await {
                Ok(answer) => return Ok(self.lend(answer, endpoint, policy)),
                // The server closed it just as it was used.
                Err(failure) if failure.silent => {}
                Err(failure) => return Err(SendError::Broken(failure.error)),
            }
        }
        // Boxed: connecting is rare, and every request would carry the room for it.
        let stream = Box::pin(tokio::time::timeout(policy.connect, self.connector.connect(&endpoint.origin)))
            .await
            .map_err(|_| ConnectError::Timeout)??;
        let answer = exchange(Connection::new(stream), request, owed).await;
        answer.map(|answer| self.lend(answer, endpoint, policy)).map_err(|failure| SendError::Broken(failure.error))
    }

    /// Closes connections that have been idle too long or were closed, and lets the others rest; called now and then by the
    /// runtime that owns the pool.
    pub fn sweep(&self) {
        let now = Instant::now();
        lock(&self.idle).retain(|_, connections| {
            connections.retain_mut(|idle| idle.is_usable(now));
            for idle in &mut *connections {
                idle.connection.rest();
            }
            !connections.is_empty()
        });
    }

    fn take(&self, origin: &Origin) -> Option<Connection> {
        let now = Instant::now();
        let mut pool = lock(&self.idle);
        let connections = pool.get_mut(&*origin.key)?;
        // The most recently used first: the others may then grow old and be closed.
        while let Some(mut idle) = connections.pop() {
            if idle.is_usable(now) {
                return Some(idle.connection);
            }
        }
        None
    }

    fn lend(&self, answer: Answer, endpoint: &Endpoint, policy: Policy) -> Response<UpstreamBody> {
        let origin = Arc::clone(&endpoint.origin);
        let home = Home { origin, idle: Arc::clone(&self.idle), keep: policy.idle };
        let body = UpstreamBody { reading: Some((answer.body, home)) };
        answer.head.map(|()| body)
    }
}

/// One exchange. Dropped in its midst, it has told whether anything is owed for it.
async fn exchange(
    mut connection: Connection,
    (method, endpoint, headers, body): (&Method, &Endpoint, &HeaderMap, &Splices),
    owed: &mut bool,
) -> Result<Answer, Failure> {
    let sent = connection.send(method, endpoint, headers, body).await;
    *owed |= matches!(sent, Ok(Sent::All));
    let answer = connection.answer_to(sent).await;
    *owed |= answer.is_ok();
    answer
}

fn lock(idle: &Connections) -> MutexGuard<'_, HashMap<Box<str>, Vec<Idle>>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a connection goes back to.
struct Home {
    origin: Arc<Origin>,
    idle: Connections,
    keep: Duration,
}

impl Home {
    fn take_back(self, connection: Connection) {
        let idle = Idle { connection, since: Instant::now(), keep: self.keep };
        let mut pool = lock(&self.idle);
        match pool.get_mut(&*self.origin.key) {
            Some(connections) if connections.len() < MAX_IDLE => connections.push(idle),
            Some(_) => {}
            None => {
                pool.insert(self.origin.key.clone(), vec![idle]);
            }
        }
    }
}

/// An answer's body that returns its connection to the pool at its end; dropped before, it closes the connection.
pub struct UpstreamBody {
    /// `None` = read to its end, or broken.
    reading: Option<(Incoming, Home)>,
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some((body, _)) = &mut self.reading else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(&mut *body).poll_frame(cx);
        let failed = matches!(polled, Poll::Ready(Some(Err(_))));
        if (failed || (polled.is_ready() && body.is_end_stream()))
            && let Some((body, home)) = self.reading.take()
            && !failed
            && let Some(connection) = body.into_connection()
        {
            home.take_back(connection);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.reading.as_ref().is_none_or(|(body, _)| body.is_end_stream())
    }
}

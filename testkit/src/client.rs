//! A plain HTTP/1.1 client: one connection a call unless a test wants to keep it, nothing retried, nothing hidden.

use std::{fmt, net::SocketAddr};

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpStream, task::JoinSet};

use crate::{
    sse::{Event, take_events},
    wait::within,
};

/// Where to call and with which key.
#[derive(Clone, Debug)]
pub struct Client {
    address: SocketAddr,
    key: Option<String>,
}

impl Client {
    /// A client without a key.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, key: None }
    }

    /// The same with `Authorization: Bearer KEY` on every request.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        Self { address: self.address, key: Some(key.to_owned()) }
    }

    /// A request with Host, key and JSON content type filled in.
    pub fn request(&self, method: Method, target: &str) -> http::request::Builder {
        let builder = Request::builder().method(method).uri(target).header("host", self.address.to_string());
        match &self.key {
            Some(key) => builder.header("authorization", format!("Bearer {key}")),
            None => builder,
        }
    }

    /// GET.
    pub async fn get(&self, target: &str) -> Reply {
        self.send(self.request(Method::GET, target).body(Bytes::new()).expect("a request")).await
    }

    /// A POST of JSON, with extra headers.
    pub fn json(&self, target: &str, body: &Value, headers: &[(&str, &str)]) -> Request<Bytes> {
        let mut builder = self.request(Method::POST, target).header("content-type", "application/json");
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(Bytes::from(body.to_string())).expect("a request")
    }

    /// POST of JSON, answered whole.
    pub async fn post(&self, target: &str, body: &Value) -> Reply {
        self.send(self.json(target, body, &[])).await
    }

    /// POST of bytes as they are, as `application/json`.
    pub async fn post_bytes(&self, target: &str, body: impl Into<Bytes>) -> Reply {
        let builder = self.request(Method::POST, target).header("content-type", "application/json");
        self.send(builder.body(body.into()).expect("a request")).await
    }

    /// Any request, answered whole.
    pub async fn send(&self, request: Request<Bytes>) -> Reply {
        self.open(request).await.whole().await
    }

    /// POST of JSON; returns when the head of the answer is there.
    pub async fn stream(&self, target: &str, body: &Value) -> Streaming {
        self.open(self.json(target, body, &[])).await
    }

    /// Any request; returns when the head of the answer is there.
    pub async fn open(&self, request: Request<Bytes>) -> Streaming {
        let mut connection = self.connect().await;
        let mut streaming = connection.open(request).await.expect("an answer");
        streaming.connection = Some(connection);
        streaming
    }

    /// The same, where there may be nobody.
    ///
    /// # Errors
    /// Nobody accepts.
    pub async fn try_connect(&self) -> Result<Connection, Box<dyn std::error::Error + Send + Sync>> {
        within("connect and handshake", Connection::open_to(self.address)).await
    }

    /// A connection to keep.
    pub async fn connect(&self) -> Connection {
        within("connect and handshake", Connection::open_to(self.address)).await.expect("the gateway accepts")
    }
}

/// One connection; dropping it closes it.
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    _driver: JoinSet<()>,
}

impl Connection {
    async fn open_to(address: SocketAddr) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // A broken connection shows up as the error of the body that it carried.
            drop(connection.await);
        });
        Ok(Self { sender, _driver: driver })
    }

    /// Sends a request; returns when the head of the answer is there.
    ///
    /// # Errors
    /// The connection ended before an answer.
    pub async fn open(&mut self, request: Request<Bytes>) -> hyper::Result<Streaming> {
        let (head, body) = request.into_parts();
        within("the connection is free", self.sender.ready()).await?;
        let sent = self.sender.send_request(Request::from_parts(head, Full::new(body)));
        let response = within("an answer's head", sent).await?;
        let (head, body) = response.into_parts();
        let status = head.status.as_u16();
        Ok(Streaming { status, headers: head.headers, body, buffer: Vec::new(), events: Vec::new(), connection: None })
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// The connection ended before an answer.
    pub async fn send(&mut self, request: Request<Bytes>) -> hyper::Result<Reply> {
        Ok(self.open(request).await?.whole().await)
    }
}

/// An answer whose body is being read; dropping it closes the connection, as a client that leaves does.
pub struct Streaming {
    /// Status code.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    body: Incoming,
    buffer: Vec<u8>,
    events: Vec<Event>,
    connection: Option<Connection>,
}

impl fmt::Debug for Streaming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Streaming({}, {:?})", self.status, self.headers)
    }
}

/// The rest of an event stream.
#[derive(Debug)]
pub struct Rest {
    /// Its events.
    pub events: Vec<Event>,
    /// The body ended as HTTP says it must, not by a broken connection.
    pub clean: bool,
}

impl Streaming {
    /// The next event; `None` at the end of the body.
    ///
    /// # Errors
    /// The body was cut short.
    pub async fn event(&mut self) -> hyper::Result<Option<Event>> {
        loop {
            if !self.events.is_empty() {
                return Ok(Some(self.events.remove(0)));
            }
            match within("another event", self.body.frame()).await {
                None => return Ok(None),
                Some(frame) => self.buffer.extend(frame?.into_data().unwrap_or_default()),
            }
            self.events = take_events(&mut self.buffer);
        }
    }

    /// All events to come.
    pub async fn rest(mut self) -> Rest {
        let mut events = Vec::new();
        loop {
            match self.event().await {
                Ok(Some(event)) => events.push(event),
                Ok(None) => {
                    return Rest { events, clean: self.buffer.is_empty() };
                }
                Err(_) => {
                    return Rest { events, clean: false };
                }
            }
        }
    }

    /// The whole body.
    pub async fn whole(self) -> Reply {
        let body = within("the end of a body", self.body.collect()).await;
        let complete = body.is_ok();
        let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        Reply { status: self.status, headers: self.headers, body, complete }
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body; empty where it was cut short.
    pub body: Bytes,
    /// False where the connection ended before the body did.
    pub complete: bool,
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value as text; `None` where absent.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("a printable header"))
    }

    /// `error.code`, which must be there and a string, in a body of `OpenAI`'s error shape.
    pub fn error_code(&self) -> String {
        let body = self.json();
        let error = body.get("error").unwrap_or_else(|| panic!("no error in {self:?}"));
        for member in ["message", "type", "param", "code"] {
            assert!(error.get(member).is_some(), "no error.{member} in {self:?}");
        }
        error["code"].as_str().unwrap_or_else(|| panic!("error.code is not a string in {self:?}")).to_owned()
    }
}

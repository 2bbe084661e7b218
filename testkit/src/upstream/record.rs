//! What the upstream saw of each request, and how each ended.

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::Value;
use tokio::time::Instant;

use super::answer::Usage;

/// One request.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Number of the connection that it came on, from 1.
    pub connection: u64,
    /// What the client said when it set up TLS; `None` without TLS.
    pub handshake: Option<Handshake>,
    /// Method.
    pub method: Method,
    /// Path and query as sent.
    pub target: String,
    /// All headers as sent.
    pub headers: HeaderMap,
    /// The body; empty until it has arrived whole.
    pub body: Bytes,
    /// When the head arrived.
    pub started: Instant,
    /// How the answer ended, and when.
    pub outcome: Outcome,
    /// What the strict checks refused it for.
    pub refused: Option<String>,
    /// What a provider would charge for it by now: the prompt from when it was read whole, and of the answer what was handed out; of a
    /// stream that is a token for each piece, at most as many as it reports. `None` = it was not read whole, or got an error.
    pub billed: Option<Usage>,
}

/// A TLS handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// The protocol agreed on (ALPN): HTTP/2 if it was offered.
    pub protocol: Option<String>,
    /// The name that the client asked for (SNI); none where it dialled an address.
    pub server_name: Option<String>,
}

/// How the answer to a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Still being received or answered.
    Open,
    /// Answered to the end of the script.
    Complete(Instant),
    /// The client closed the connection before the end.
    ClientGone(Instant),
    /// The script broke the connection.
    Broken(Instant),
}

impl Recorded {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in body {:?}", self.body))
    }

    /// A header's value as text; `None` where absent.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("a printable header"))
    }

    /// True once the client has closed the connection before the end of the answer.
    pub fn client_gone(&self) -> bool {
        matches!(self.outcome, Outcome::ClientGone(_))
    }

    /// True once the answer has ended, in whichever way.
    pub fn ended(&self) -> bool {
        self.outcome != Outcome::Open
    }
}

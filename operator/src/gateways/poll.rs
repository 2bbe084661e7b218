//! Asks one gateway, over and over, what it has loaded.
//!
//! ```text
//!  connect ─▶ GET /bundle?after=STATE&wait=30s ─▶ report ─▶ at once again, on the same connection
//!     ▲                                      └─ error ─▶ 100 ms, doubling up to 5 s, or until the pod changes
//!     └──────────────────────────────────────────┘  for 10 s nothing but errors: the report counts as none
//! ```

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    sync::{Notify, mpsc, watch},
    time::{Instant, sleep, timeout},
};
use turnpike_bundle::Report;

use crate::gateways::Tokens;

/// What a poll asks for.
const WAIT: Duration = Duration::from_secs(30);
/// How much longer than that an answer may take.
const GRACE: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(1);
/// Largest body that is read.
pub const MAX_BODY: usize = 1024 * 1024;
/// First and longest pause after an error.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Errors for so long make the last report worth nothing.
pub const FORGET_AFTER: Duration = Duration::from_secs(10);
/// Pause after an answer that came early and said nothing new: only a faulty gateway gives one.
const NOTHING_NEW: Duration = Duration::from_secs(1);

/// Why a gateway did not say what it has loaded.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
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
    /// A body that is no report.
    #[error("its answer is no report: {0}")]
    Report(#[from] serde_json::Error),
}

/// A gateway to ask.
#[derive(Debug)]
pub struct Poller {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it accepts.
    pub tokens: watch::Receiver<Tokens>,
    /// Told when the pod changes: worth another try at once.
    pub nudge: Arc<Notify>,
}

type Connection = http1::SendRequest<Empty<Bytes>>;

impl Poller {
    /// Sends each report with the pod's `uid`, and `None` once the last one is worth nothing any more. Ends only when
    /// dropped, or with the receiver.
    pub async fn run(mut self, reports: mpsc::Sender<(String, Option<Arc<Report>>)>, uid: String) {
        let mut connection = None;
        let mut state = String::new();
        let mut failing = Failing::default();
        loop {
            let asked = Instant::now();
            match self.poll(&mut connection, &state).await {
                Ok(new) => {
                    failing = Failing::default();
                    let early = new.state == state && asked.elapsed() < NOTHING_NEW;
                    state.clone_from(&new.state);
                    if reports.send((uid.clone(), Some(Arc::new(new)))).await.is_err() {
                        return;
                    }
                    if early {
                        sleep(NOTHING_NEW).await;
                    }
                }
                Err(error) => {
                    connection = None;
                    if failing.since.is_none() {
                        tracing::debug!(address = %self.address, %error, "a gateway did not report");
                    }
                    if failing.forget(Instant::now()) {
                        tracing::info!(address = %self.address, %error, "a gateway has not reported for a while");
                        state.clear();
                        if reports.send((uid.clone(), None)).await.is_err() {
                            return;
                        }
                    }
                    self.pause(&mut failing).await;
                }
            }
        }
    }

    async fn pause(&mut self, failing: &mut Failing) {
        let pause = failing.pause();
        tokio::select! {
            () = sleep(pause) => {}
            () = self.nudge.notified() => failing.pauses = 0,
            // Without a sender nothing will ever change: the pause alone counts.
            Ok(()) = self.tokens.changed() => failing.pauses = 0,
        }
    }

    /// Asks once, with the token before the last rotation too where the new one has not arrived there yet.
    async fn poll(&mut self, connection: &mut Option<Connection>, state: &str) -> Result<Report, PollError> {
        let tokens = self.tokens.borrow_and_update().clone();
        let mut refused = PollError::NoToken;
        for token in [tokens.current, tokens.previous].into_iter().flatten() {
            match timeout(WAIT + GRACE, self.ask(connection, state, &token)).await {
                Err(_) => return Err(PollError::Timeout),
                Ok(Err(PollError::Status(StatusCode::UNAUTHORIZED))) => {
                    refused = PollError::Status(StatusCode::UNAUTHORIZED);
                    *connection = None;
                }
                Ok(other) => return other,
            }
        }
        Err(refused)
    }

    async fn ask(&self, connection: &mut Option<Connection>, state: &str, token: &str) -> Result<Report, PollError> {
        let mut sender = match connection.take() {
            Some(kept) => kept,
            None => self.connect().await?,
        };
        if sender.ready().await.is_err() {
            sender = self.connect().await?;
        }
        let request = Request::get(format!("/bundle?after={state}&wait={}s", WAIT.as_secs()))
            .header(header::HOST, self.address.to_string())
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Empty::new())?;
        let response = sender.send_request(request).await?;
        if response.status() != StatusCode::OK {
            return Err(PollError::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), MAX_BODY).collect().await.map_err(PollError::Body)?;
        let report = serde_json::from_slice(&body.to_bytes())?;
        *connection = Some(sender);
        Ok(report)
    }

    async fn connect(&self) -> Result<Connection, PollError> {
        let stream = timeout(CONNECT, TcpStream::connect(self.address)).await.map_err(|_| PollError::Timeout)??;
        stream.set_nodelay(true)?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends when the sender is dropped or the peer closes; what went wrong the sender is told.
        tokio::spawn(async move { driver.await.ok() });
        Ok(sender)
    }
}

/// A row of errors.
#[derive(Debug, Default)]
struct Failing {
    since: Option<Instant>,
    forgotten: bool,
    pauses: u32,
}

impl Failing {
    /// Notes an error; true once, when the row has become too long.
    fn forget(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        let forget = !self.forgotten && now >= since + FORGET_AFTER;
        self.forgotten |= forget;
        forget
    }

    fn pause(&mut self) -> Duration {
        let pause = PAUSES.0.saturating_mul(2_u32.saturating_pow(self.pauses)).min(PAUSES.1);
        self.pauses = self.pauses.saturating_add(1).min(16);
        pause
    }
}

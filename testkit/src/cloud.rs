//! A scripted cloud: it issues keys and tokens as STS, the EKS Pod Identity agent, a machine's metadata service, Google's
//! token address and metadata server, and Entra do, and serves models to whoever proves to hold what it issued.
//!
//! Whatever the real ones refuse, it refuses; each refusal is in the log with its reason.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use jiff::{SignedDuration, Timestamp};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use crate::{sigv4::Account, wait::within};

mod federation;
mod google;
mod issue;
mod models;

pub use federation::{AUDIENCE, CALLER, SPOKEN_FOR};
pub use google::ServiceAccount;

/// The access key that the cloud knows from the start.
pub const KEY_ID: &str = "AKIATURNPIKETEST";
/// Its secret.
pub const SECRET_KEY: &str = "aws-secret-access-key-of-the-tests";
/// The region of everything.
pub const REGION: &str = "eu-central-1";
/// Token that the pod proves itself with, to STS, to the agent and to Entra.
pub const POD_TOKEN: &str = "projected-token-of-the-pod";
/// The role of the pod.
pub const POD_ROLE: &str = "arn:aws:iam::123456789012:role/pod";
/// The Entra tenant.
pub const TENANT: &str = "11111111-2222-3333-4444-555555555555";
/// The Entra application.
pub const CLIENT: &str = "66666666-7777-8888-9999-000000000000";
/// Its secret.
pub const CLIENT_SECRET: &str = "client-secret~of/the+tests";

/// The running cloud; stops when dropped.
#[derive(Debug)]
pub struct Cloud {
    address: SocketAddr,
    state: Arc<State>,
    _accepting: JoinSet<()>,
}

/// One request and how it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What was asked for: an action of STS, `agent`, `machine`, `google`, `metadata`, `entra`, `federated`, `spoken-for` or `proof` of
    /// Google's workload identity federation, or `model`.
    pub what: String,
    /// What was issued, or shown with a call of a model; empty where nothing was.
    pub credential: String,
    /// Why it was refused.
    pub refused: Option<String>,
}

#[derive(Debug)]
struct State {
    rules: Mutex<Rules>,
    log: watch::Sender<Vec<Call>>,
}

/// What the cloud knows and how it behaves.
#[derive(Debug)]
struct Rules {
    lifetime: Duration,
    failing: bool,
    pod_token: String,
    client_secret: String,
    service_account: Option<ServiceAccount>,
    /// With when they expire.
    accounts: Vec<(Account, Option<Timestamp>)>,
    /// Bearer tokens with when they expire.
    tokens: Vec<(String, Timestamp)>,
    issued: usize,
}

/// An answer: status, content type, body, and what goes into the log.
struct Answer {
    status: StatusCode,
    kind: &'static str,
    body: String,
    call: Call,
}

impl Cloud {
    /// Starts on a free port of 127.0.0.1. What it issues is good for an hour.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let first = Account { region: REGION.to_owned(), ..Account::bedrock(KEY_ID, SECRET_KEY) };
        let rules = Rules {
            lifetime: Duration::from_hours(1),
            failing: false,
            pod_token: POD_TOKEN.to_owned(),
            client_secret: CLIENT_SECRET.to_owned(),
            service_account: None,
            accounts: vec![(first, None)],
            tokens: Vec::new(),
            issued: 0,
        };
        let state = Arc::new(State { rules: Mutex::new(rules), log: watch::Sender::new(Vec::new()) });
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, Arc::clone(&state)));
        Self { address, state, _accepting: accepting }
    }

    /// Where everything is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Host and port.
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// What is issued from now on is good for so long.
    pub fn lifetime(&self, lifetime: Duration) {
        self.state.rules().lifetime = lifetime;
    }

    /// Whether every issuer answers 500 from now on. Models go on being served.
    pub fn failing(&self, failing: bool) {
        self.state.rules().failing = failing;
    }

    /// The pod's token is another one from now on.
    pub fn pod_token(&self, token: &str) {
        token.clone_into(&mut self.state.rules().pod_token);
    }

    /// The application's secret is another one from now on.
    pub fn client_secret(&self, secret: &str) {
        secret.clone_into(&mut self.state.rules().client_secret);
    }

    /// Lets this service account in.
    pub fn service_account(&self, account: &ServiceAccount) {
        self.state.rules().service_account = Some(account.clone());
    }

    /// All requests so far.
    pub fn log(&self) -> Vec<Call> {
        self.state.log.borrow().clone()
    }

    /// Those for one thing, see [`Call::what`].
    pub fn calls(&self, what: &str) -> Vec<Call> {
        self.log().into_iter().filter(|call| call.what == what).collect()
    }

    /// Waits until the log satisfies `condition`.
    pub async fn wait_for(&self, what: &str, mut condition: impl FnMut(&[Call]) -> bool) {
        let mut log = self.state.log.subscribe();
        within(what, log.wait_for(|log| condition(log))).await.expect("the log lives as long as the cloud");
    }
}

impl State {
    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().expect("no test panics while it holds the rules")
    }
}

impl Rules {
    /// A name for the next thing issued, and when it expires.
    fn issue(&mut self, kind: &str) -> (String, Timestamp) {
        self.issued += 1;
        let lifetime = SignedDuration::try_from(self.lifetime).expect("a sane lifetime");
        (format!("{kind}-{}", self.issued), Timestamp::now() + lifetime)
    }
}

impl Answer {
    fn new(status: StatusCode, kind: &'static str, body: String, what: &str) -> Self {
        let call = Call { what: what.to_owned(), credential: String::new(), refused: None };
        Self { status, kind, body, call }
    }

    fn with(mut self, credential: &str) -> Self {
        credential.clone_into(&mut self.call.credential);
        self
    }

    fn refused(status: StatusCode, kind: &'static str, body: String, what: &str, reason: &str) -> Self {
        let mut answer = Self::new(status, kind, body, what);
        answer.call.refused = Some(reason.to_owned());
        answer
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&state), request));
            // A client that goes away is its test's business.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> hyper::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let answer = {
        let mut rules = state.rules();
        issue::answer(&mut rules, &head, &body).unwrap_or_else(|| models::answer(&rules, &head, &body))
    };
    state.log.send_modify(|log| log.push(answer.call));
    let response = Response::builder().status(answer.status).header("content-type", answer.kind);
    Ok(response.body(Full::from(answer.body)).expect("a valid head"))
}

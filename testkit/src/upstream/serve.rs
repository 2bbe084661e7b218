//! Accepting, answering by script, and noticing when the client leaves.

use std::{
    fmt, io,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use http::{Method, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::{body::Frame, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::Instant,
};

use crate::provider::Asked;

use super::{
    State,
    answer::{Parts, Usage},
    record::{Handshake, Outcome, Recorded},
    script::{Cut, Gate, Rendered, Script, Step},
    strict::{self, Refusal},
    wire::{Farewell, Handle, Wire},
};

type Body = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Broken>>>;

/// How the delta of a chunk begins that brings text.
const PIECE: &[u8] = b"\"delta\":{\"content\":\"";

/// The script says that the connection breaks here.
#[derive(Debug)]
pub(super) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken by the script")
    }
}

impl std::error::Error for Broken {}

/// Serves until dropped.
pub(super) async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let number = state.connections.fetch_add(1, Ordering::Relaxed) + 1;
        connections.spawn(connection(socket, number, Arc::clone(&state)));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(socket: TcpStream, number: u64, state: Arc<State>) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut close_idle = state.close_idle.subscribe();
    let wire = match &state.tls {
        None => Wire::plain(socket),
        Some(config) => Wire::tls(socket, Arc::clone(config)).await?,
    };
    let (handle, handshake) = (wire.handle(), wire.handshake());
    let service = service_fn(move |request| {
        let from = Origin { connection: number, handshake: handshake.clone() };
        let (head, body) = request.into_parts();
        // At once: where the client has left already, nothing of the answer is ever begun.
        let tracked = Tracked::begin(Arc::clone(&state), from, &head);
        answer(Arc::clone(&state), tracked, handle.clone(), (head, body))
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(wire), service);
    let mut connection = std::pin::pin!(connection);
    // How a connection ends is in the log; its error has nothing to add.
    loop {
        tokio::select! {
            _ = &mut connection => return Ok(()),
            changed = close_idle.changed() => match changed {
                Ok(()) => connection.as_mut().graceful_shutdown(),
                Err(_) => return Ok(()),
            },
        }
    }
}

/// Where a request comes from.
struct Origin {
    connection: u64,
    handshake: Option<Handshake>,
}

/// Marks a request as abandoned when it is dropped before it has ended.
struct Tracked {
    state: Arc<State>,
    index: usize,
    ended: bool,
}

impl Tracked {
    fn begin(state: Arc<State>, from: Origin, head: &http::request::Parts) -> Self {
        let mut index = 0;
        state.log.send_modify(|log| {
            index = log.len();
            log.push(Recorded {
                connection: from.connection,
                handshake: from.handshake,
                method: head.method.clone(),
                target: head.uri.to_string(),
                headers: head.headers.clone(),
                body: Bytes::new(),
                started: Instant::now(),
                outcome: Outcome::Open,
                refused: None,
                billed: None,
            });
        });
        Self { state, index, ended: false }
    }

    fn edit(&self, change: impl FnOnce(&mut Recorded)) {
        self.state.log.send_modify(|log| {
            if let Some(entry) = log.get_mut(self.index) {
                change(entry);
            }
        });
    }

    fn end(&mut self, outcome: Outcome) {
        if !self.ended {
            self.ended = true;
            self.edit(|entry| entry.outcome = outcome);
        }
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.end(Outcome::ClientGone(Instant::now()));
    }
}

async fn answer(
    state: Arc<State>,
    tracked: Tracked,
    handle: Handle,
    (head, body): (http::request::Parts, Incoming),
) -> Result<Response<Body>, Broken> {
    let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
    tracked.edit(|entry| entry.body = body.clone());
    let rendered = match ask(&state, &head, &body) {
        Ok(rendered) => rendered,
        Err(refusal) => refuse(&tracked, &state, &refusal).render(|_| Parts::json(&Value::Null)),
    };
    play(rendered, tracked, handle).await
}

/// Finds the answer to a request that the dialect takes.
fn ask(state: &State, head: &http::request::Parts, raw: &[u8]) -> Result<Rendered, Refusal> {
    strict::head(state, &head.method, &head.headers)?;
    let get = head.method == Method::GET;
    let kind = head.headers.get(http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let body = match kind {
        _ if get => Value::Null,
        form if form.starts_with("multipart/") => strict::form(form, raw)?,
        _ => strict::parse(raw)?,
    };
    let asked = Asked {
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        headers: &head.headers,
        raw,
        body: &body,
        key: state.api_key.as_deref(),
    };
    state.dialect.authenticate(&asked)?;
    if get {
        let [health, listing] = &state.health;
        let status = if asked.path == "/health" { health } else { listing }.load(Ordering::Relaxed);
        let script = Script::raw("application/json", models(state));
        let script = if status == 0 { script.head_after(&Gate::default()) } else { script.status(status) };
        return Ok(script.render(|_| Parts::json(&Value::Null)));
    }
    state.dialect.check(&asked)?;
    let model = state.dialect.model(&asked);
    strict::model(state, model)?;
    let mut usage = None;
    let mut rendered = state.script_for(model, &body).render(|say| {
        usage = say.usage(&body);
        state.dialect.answer(&asked, say)
    });
    rendered.usage = usage.filter(|_| rendered.status.is_success());
    Ok(rendered)
}

fn models(state: &State) -> String {
    let data: Vec<Value> = state.models.iter().flatten().map(|id| json!({"id": id, "object": "model"})).collect();
    json!({"object": "list", "data": data}).to_string()
}

fn refuse(tracked: &Tracked, state: &State, refusal: &Refusal) -> Script {
    tracked.edit(|entry| entry.refused = Some(refusal.message.clone()));
    Script::raw("application/json", state.dialect.error(refusal).to_string()).status(refusal.status.as_u16())
}

async fn play(rendered: Rendered, mut tracked: Tracked, handle: Handle) -> Result<Response<Body>, Broken> {
    if let Some(usage) = rendered.usage {
        tracked.edit(|entry| entry.billed = Some(Usage { completion: 0, reasoning: 0, ..usage }));
    }
    for step in &rendered.before_head {
        step.wait().await;
    }
    if let Some(farewell) = rendered.farewell {
        tracked.end(Outcome::Broken(Instant::now()));
        handle.set(farewell);
        return Err(Broken);
    }
    let mut response = Response::builder().status(rendered.status);
    for (name, value) in rendered.headers {
        response = response.header(name, value);
    }
    if let Some(length) = rendered.content_length {
        response = response.header(http::header::CONTENT_LENGTH, length);
    }
    if rendered.steps.is_empty() {
        tracked.end(Outcome::Complete(Instant::now()));
    }
    let (usage, sized) = (rendered.usage, rendered.content_length.is_some());
    let playing = Playing { steps: rendered.steps.into_iter(), tracked, handle, sized, usage };
    let frames = stream::unfold(playing, |mut playing| async { playing.next().await.map(|frame| (frame, playing)) });
    Ok(response.body(StreamBody::new(frames.boxed())).expect("a script's head is valid"))
}

struct Playing {
    steps: std::vec::IntoIter<Step>,
    tracked: Tracked,
    handle: Handle,
    sized: bool,
    usage: Option<Usage>,
}

impl Playing {
    /// These bytes go out now.
    fn bill(&self, bytes: &[u8]) {
        let Some(all) = self.usage else { return };
        // The first of a chat's chunks says who speaks, and the last ones why it ends and what it used.
        let piece = bytes.windows(PIECE.len()).position(|window| window == PIECE);
        let is_piece = piece.is_some_and(|at| bytes.get(at + PIECE.len()) != Some(&b'"'));
        self.tracked.edit(|entry| {
            if let Some(billed) = &mut entry.billed {
                let more = if self.sized { all.completion } else { u64::from(is_piece) };
                billed.completion = (billed.completion + more).min(all.completion);
                billed.reasoning = all.reasoning.min(billed.completion);
            }
        });
    }

    async fn next(&mut self) -> Option<Result<Frame<Bytes>, Broken>> {
        while let Some(step) = self.steps.next() {
            step.wait().await;
            match step {
                Step::Send(bytes) => {
                    self.bill(&bytes);
                    // The writer asks for nothing more once a declared length is sent.
                    if self.sized && self.steps.len() == 0 {
                        self.tracked.end(Outcome::Complete(Instant::now()));
                    }
                    // Lets the writer flush what it has, so that each part travels by itself.
                    tokio::task::yield_now().await;
                    return Some(Ok(Frame::data(bytes)));
                }
                Step::Cut(Cut::Stall) => std::future::pending().await,
                Step::Cut(how) => {
                    tokio::task::yield_now().await;
                    self.tracked.end(Outcome::Broken(Instant::now()));
                    if how == Cut::Reset {
                        self.handle.set(Farewell::Reset);
                    }
                    return Some(Err(Broken));
                }
                Step::Pass(_) | Step::Pause(_) => {}
            }
        }
        self.tracked.end(Outcome::Complete(Instant::now()));
        None
    }
}

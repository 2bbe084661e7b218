//! What to answer and how to misbehave while doing it.

use std::{io::Write, sync::Arc, time::Duration};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::json;
use tokio::sync::Semaphore;

use super::{
    answer::{Parts, Say, Usage},
    wire::Farewell,
};

/// One answer. Without modifiers it is what a well-behaved provider sends.
#[derive(Clone, Debug)]
pub struct Script {
    body: Body,
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    head_gate: Option<Gate>,
    part_gate: Option<Gate>,
    every: Option<Duration>,
    cut: Option<(usize, Cut)>,
    trickle: bool,
    gzip: bool,
    chunked: bool,
}

#[derive(Clone, Debug)]
enum Body {
    Natural(Say),
    Fixed(Parts),
    Nothing(Farewell),
}

/// How an answer is cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The connection is closed in the middle.
    Close,
    /// The connection is reset.
    Reset,
    /// Nothing more comes, and the connection stays open.
    Stall,
}

/// Lets a test decide when the upstream goes on.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Semaphore>);

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }
}

impl Gate {
    /// Lets the upstream pass `times` more.
    pub fn open(&self, times: usize) {
        self.0.add_permits(times);
    }

    async fn pass(&self) {
        self.0.acquire().await.expect("a gate is never closed for good").forget();
    }
}

/// One thing that the upstream does.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Send(Bytes),
    Pass(Gate),
    Pause(Duration),
    Cut(Cut),
}

impl Step {
    /// Waits as long as this step says; sending and cutting take no time.
    pub(super) async fn wait(&self) {
        match self {
            Self::Pass(gate) => gate.pass().await,
            Self::Pause(time) => tokio::time::sleep(*time).await,
            Self::Send(_) | Self::Cut(_) => {}
        }
    }
}

/// A script made concrete for one request.
#[derive(Debug)]
pub(super) struct Rendered {
    pub(super) status: StatusCode,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) content_length: Option<usize>,
    pub(super) before_head: Vec<Step>,
    pub(super) steps: Vec<Step>,
    pub(super) farewell: Option<Farewell>,
    /// What the whole answer uses; `None` = it is an error, or does not say.
    pub(super) usage: Option<Usage>,
}

impl Default for Script {
    fn default() -> Self {
        Self::chat("Hello")
    }
}

impl Script {
    fn of(body: Body) -> Self {
        Self {
            body,
            status: StatusCode::OK,
            headers: Vec::new(),
            head_gate: None,
            part_gate: None,
            every: None,
            cut: None,
            trickle: false,
            gzip: false,
            chunked: false,
        }
    }

    fn say(pieces: Vec<String>) -> Self {
        Self::of(Body::Natural(Say { pieces, usage: Some(Usage::default()), fixed_format: None, stops_in_time: false }))
    }

    /// Says `text` in one piece, streamed or not as the request asks.
    pub fn chat(text: &str) -> Self {
        Self::say(vec![text.to_owned()])
    }

    /// Says `chunks` pieces, `t0 t1 t2 …`, streamed or not as the request asks.
    pub fn pieces(chunks: usize) -> Self {
        Self::say((0..chunks).map(|index| format!("t{index} ")).collect())
    }

    /// Says a word of one token so many times, streamed or not as the request asks.
    pub fn words(count: usize) -> Self {
        Self::say(vec![" word".to_owned(); count])
    }

    /// A whole chat answer of exactly `size` bytes of content.
    pub fn of_size(size: usize) -> Self {
        Self::chat(&"x".repeat(size))
    }

    /// An error in `OpenAI`'s shape.
    pub fn error(status: u16, message: &str, code: &str) -> Self {
        let kind = if status == 429 { "requests" } else { "invalid_request_error" };
        let body = json!({"error": {"message": message, "type": kind, "param": null, "code": code}});
        Self::raw("application/json", body.to_string()).status(status)
    }

    /// Exactly these bytes.
    pub fn raw(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self::of(Body::Fixed(Parts { content_type, parts: vec![body.into()] }))
    }

    /// An event stream sent in exactly these parts.
    pub fn parts(parts: impl IntoIterator<Item = impl Into<Bytes>>) -> Self {
        let parts = parts.into_iter().map(Into::into).collect();
        Self::of(Body::Fixed(Parts { content_type: "text/event-stream", parts })).chunked()
    }

    /// 200 with a page for humans, as captive portals and misconfigured proxies answer.
    pub fn html() -> Self {
        Self::raw("text/html", "<!doctype html><title>Welcome</title><p>It works!</p>")
    }

    /// Closes the connection instead of answering.
    pub fn hang_up() -> Self {
        Self::of(Body::Nothing(Farewell::Close))
    }

    /// Resets the connection instead of answering.
    pub fn reset() -> Self {
        Self::of(Body::Nothing(Farewell::Reset))
    }

    /// These bytes instead of an HTTP answer, then a close.
    pub fn garbage(bytes: &'static str) -> Self {
        Self::of(Body::Nothing(Farewell::Say(Bytes::from_static(bytes.as_bytes()))))
    }

    /// Reports these tokens.
    #[must_use]
    pub fn usage(mut self, usage: impl Into<Option<Usage>>) -> Self {
        if let Body::Natural(say) = &mut self.body {
            say.usage = usage.into();
        }
        self
    }

    /// Sends embeddings as `float` or `base64` whatever was asked.
    #[must_use]
    pub fn embeddings_as(mut self, format: &'static str) -> Self {
        if let Body::Natural(say) = &mut self.body {
            say.fixed_format = Some(format);
        }
        self
    }

    /// Reports no more completion tokens than `max_tokens` allows, as providers do.
    #[must_use]
    pub fn stops_in_time(mut self) -> Self {
        if let Body::Natural(say) = &mut self.body {
            say.stops_in_time = true;
        }
        self
    }

    /// Answers with this status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = StatusCode::from_u16(status).expect("a status");
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("a header value");
        self.headers.push((HeaderName::from_static(name), value));
        self
    }

    /// Sends nothing, not even the head, before the gate opens.
    #[must_use]
    pub fn head_after(mut self, gate: &Gate) -> Self {
        self.head_gate = Some(gate.clone());
        self
    }

    /// Passes the gate before each part of the body (each event of a stream).
    #[must_use]
    pub fn paced(mut self, gate: &Gate) -> Self {
        self.part_gate = Some(gate.clone());
        self
    }

    /// Waits this long before each part of the body.
    #[must_use]
    pub fn every(mut self, pause: Duration) -> Self {
        self.every = Some(pause);
        self
    }

    /// Cuts the body after this many bytes.
    #[must_use]
    pub fn cut(mut self, after: usize, how: Cut) -> Self {
        self.cut = Some((after, how));
        self
    }

    /// Sends the body byte by byte, each in a write of its own.
    #[must_use]
    pub fn trickle(mut self) -> Self {
        self.trickle = true;
        self
    }

    /// Compresses the body, asked or not.
    #[must_use]
    pub fn gzip(mut self) -> Self {
        self.gzip = true;
        self
    }

    /// Sends the body without a Content-Length; streams always are.
    #[must_use]
    pub fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// Makes the script concrete.
    pub(super) fn render(&self, natural: impl FnOnce(&Say) -> Parts) -> Rendered {
        let mut rendered = Rendered {
            status: self.status,
            headers: Vec::new(),
            content_length: None,
            before_head: self.head_gate.iter().cloned().map(Step::Pass).collect(),
            steps: Vec::new(),
            farewell: None,
            usage: None,
        };
        let mut answer = match &self.body {
            Body::Natural(say) => natural(say),
            Body::Fixed(parts) => parts.clone(),
            Body::Nothing(farewell) => {
                rendered.farewell = Some(farewell.clone());
                return rendered;
            }
        };
        rendered.headers.push((http::header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type)));
        if self.gzip {
            answer.parts = vec![compress(&answer.parts)];
            rendered.headers.push((http::header::CONTENT_ENCODING, HeaderValue::from_static("gzip")));
        }
        if !self.chunked && !answer.content_type.starts_with("text/event-stream") {
            rendered.content_length = Some(answer.parts.iter().map(Bytes::len).sum());
        }
        rendered.headers.extend(self.headers.iter().cloned());
        rendered.steps = self.steps(answer.parts);
        rendered
    }

    fn steps(&self, parts: Vec<Bytes>) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut left = self.cut.map_or(usize::MAX, |(after, _)| after);
        for mut part in parts {
            steps.extend(self.part_gate.iter().cloned().map(Step::Pass));
            steps.extend(self.every.map(Step::Pause));
            part.truncate(left);
            left -= part.len();
            if self.trickle {
                steps.extend((0..part.len()).map(|at| Step::Send(part.slice(at..=at))));
            } else if !part.is_empty() {
                steps.push(Step::Send(part));
            }
            if left == 0 {
                break;
            }
        }
        steps.extend(self.cut.map(|(_, how)| Step::Cut(how)));
        steps
    }
}

fn compress(parts: &[Bytes]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for part in parts {
        encoder.write_all(part).expect("memory takes every write");
    }
    encoder.finish().expect("memory takes every write").into()
}

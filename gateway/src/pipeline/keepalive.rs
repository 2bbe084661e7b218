//! Keeps the client of a stream that waits for an engine, and the proxies in between, from giving up: its 200 is sent, and a
//! comment from time to time until there is an answer. What fails from then on is one last event.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{body::Body as AxumBody, response::Response};
use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Collected};
use tokio::time::{Interval, interval, timeout};
use turnpike_llm::provider::Dialect;

use super::deliver;

/// Between two comments, and before the first one. What is answered until then is answered as if nothing had been waited for.
const EVERY: Duration = Duration::from_secs(15);
const COMMENT: Bytes = Bytes::from_static(b": keepalive\n\n");
/// Google's client takes a comment for an answer, and an empty line for nothing.
const LINE: Bytes = Bytes::from_static(b"\n");

/// An answer that may take long.
pub type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;

/// The answer, or a stream that becomes it.
pub async fn kept_alive(mut answer: Answer, dialect: Dialect) -> Response {
    if let Ok(response) = timeout(EVERY, &mut answer).await {
        return response;
    }
    let stream = Stream { state: State::Awaited(answer), ticks: interval(EVERY), dialect };
    let mut response = Response::new(AxumBody::new(stream));
    deliver::as_events(response.headers_mut());
    response
}

struct Stream {
    state: State,
    ticks: Interval,
    dialect: Dialect,
}

enum State {
    Awaited(Answer),
    Answering(AxumBody),
    Failing(Pin<Box<dyn Future<Output = Bytes> + Send>>),
    Ended,
}

impl Body for Stream {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        loop {
            let this = &mut *self;
            match &mut this.state {
                State::Awaited(answer) => match answer.as_mut().poll(cx) {
                    Poll::Ready(response) => this.state = State::of(response),
                    Poll::Pending => {
                        ready!(this.ticks.poll_tick(cx));
                        let nothing = if this.dialect == Dialect::Gemini { LINE } else { COMMENT };
                        return Poll::Ready(Some(Ok(Frame::data(nothing))));
                    }
                },
                State::Answering(body) => return Pin::new(body).poll_frame(cx),
                State::Failing(error) => {
                    let event = event(this.dialect, &ready!(error.as_mut().poll(cx)));
                    this.state = State::Ended;
                    return Poll::Ready(Some(Ok(Frame::data(event))));
                }
                State::Ended => return Poll::Ready(None),
            }
        }
    }
}

impl State {
    fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        if parts.status == StatusCode::OK {
            return Self::Answering(body);
        }
        // An error of ours: whole, and in memory.
        Self::Failing(Box::pin(async { body.collect().await.map(Collected::to_bytes).unwrap_or_default() }))
    }
}

/// An error's body as the last event of a stream.
fn event(dialect: Dialect, error: &[u8]) -> Bytes {
    let (head, rest): (&[u8], &[u8]) = match dialect {
        Dialect::OpenAi | Dialect::Gemini => (b"data: ", error),
        Dialect::Anthropic => (b"event: error\ndata: ", error),
        Dialect::Responses => (b"event: error\ndata: {\"type\":\"error\",", error.strip_prefix(b"{").unwrap_or(error)),
    };
    [head, rest, b"\n\n"].concat().into()
}

//! Makes a response of an answer: headers that clients of `OpenAI` and users of `LiteLLM` read, and a body that settles.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{body::Body as AxumBody, response::Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use turnpike_llm::{
    price::{decimal, nano_to_usd_string},
    provider::Dialect,
    splice::Splices,
};
use uuid::Uuid;

use super::{call::Reply, forward, meter::Meter, stream::Streaming};
use crate::{config::snapshot::Model, record::End};

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const MODEL_ID: HeaderName = HeaderName::from_static("x-litellm-model-id");
const MODEL_GROUP: HeaderName = HeaderName::from_static("x-litellm-model-group");
const MODEL_API_BASE: HeaderName = HeaderName::from_static("x-litellm-model-api-base");
const RETRIES: HeaderName = HeaderName::from_static("x-litellm-attempted-retries");
const FALLBACKS: HeaderName = HeaderName::from_static("x-litellm-attempted-fallbacks");
const COST: HeaderName = HeaderName::from_static("x-litellm-response-cost");
const DURATION: HeaderName = HeaderName::from_static("x-litellm-response-duration-ms");
const OVERHEAD: HeaderName = HeaderName::from_static("x-litellm-overhead-duration-ms");
const VERSION: HeaderName = HeaderName::from_static("x-litellm-version");
const CALL_ID: HeaderName = HeaderName::from_static("x-litellm-call-id");
const CAPPED: HeaderName = HeaderName::from_static("x-turnpike-max-tokens-capped");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Where Anthropic's clients look for it.
const ANTHROPIC_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// The headers that all whole answers of a model share; cloned, they have room for the others.
pub fn headers(id: HeaderValue, base: HeaderValue) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(20);
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(MODEL_ID, id);
    headers.insert(MODEL_API_BASE, base);
    headers.insert(RETRIES, HeaderValue::from_static("0"));
    headers.insert(FALLBACKS, HeaderValue::from_static("0"));
    headers.insert(VERSION, HeaderValue::from_static(env!("CARGO_PKG_VERSION")));
    headers
}

/// The response for an answer. `group` is the name that the client asked for.
pub fn respond(reply: Reply, mut meter: Meter, model: &Arc<Model>, group: &str) -> Response {
    meter.status(StatusCode::OK);
    let mut shown = model.headers.clone();
    let is_relayed = meter.operation().is_relayed();
    let (body, events, upstream) = match reply {
        Reply::Whole { body, headers } => {
            timing(&meter, &mut shown);
            (AxumBody::new(WholeBody::new(body, meter)), false, headers)
        }
        Reply::Canned(body) => (AxumBody::new(WholeBody::new(body, meter)), true, HeaderMap::new()),
        Reply::Streamed { source, headers, events } => {
            (AxumBody::new(Streaming::new(source, meter, events)), events, headers)
        }
    };
    if events {
        as_events(&mut shown);
    }
    // Sound, subtitles: the client asked for what it gets.
    if let Some(kind) = upstream.get(header::CONTENT_TYPE).filter(|_| is_relayed && !events) {
        shown.insert(header::CONTENT_TYPE, kind.clone());
    }
    forward::response(&upstream, &mut shown);
    shown.insert(MODEL_GROUP, forward::value(group));
    let mut response = Response::new(body);
    *response.headers_mut() = shown;
    response
}

/// Says that what comes is a stream of events.
pub fn as_events(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_TYPE, EVENT_STREAM);
    unbuffered(headers);
}

/// Keeps proxies from holding a stream back.
pub fn unbuffered(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
}

/// Tells that the answer was allowed fewer tokens of output than it might have had.
pub fn capped(response: &mut Response, cap: Option<u64>) {
    if let Some(cap) = cap {
        response.headers_mut().insert(CAPPED, HeaderValue::from(cap));
    }
}

/// Tells how many further attempts were made: with the same model, and with others.
pub fn attempted(response: &mut Response, retries: u16, fallbacks: u16) {
    for (name, count) in [(RETRIES, retries), (FALLBACKS, fallbacks)] {
        if count > 0 {
            response.headers_mut().insert(name, HeaderValue::from(count));
        }
    }
}

/// The client's own call id, else a new one.
pub fn request_id(client: &HeaderMap) -> Arc<str> {
    match forward::call_id(client) {
        Some(id) => id.into(),
        None => (&*Uuid::new_v4().hyphenated().encode_lower(&mut Uuid::encode_buffer())).into(),
    }
}

/// The ids that every response carries, errors too.
pub fn identify(response: &mut Response, dialect: Dialect, request_id: &str) {
    let id = forward::value(request_id);
    if dialect == Dialect::Anthropic {
        response.headers_mut().insert(ANTHROPIC_REQUEST_ID, id.clone());
    }
    response.headers_mut().insert(CALL_ID, id.clone());
    response.headers_mut().insert(REQUEST_ID, id);
}

/// Cost and times, known before the first byte of a whole answer.
fn timing(meter: &Meter, shown: &mut HeaderMap) {
    if let Some(cost) = meter.cost() {
        shown.insert(COST, forward::value(&nano_to_usd_string(cost)));
    }
    let elapsed = meter.elapsed();
    let overhead = elapsed.saturating_sub(meter.upstream().unwrap_or_default());
    shown.insert(DURATION, milliseconds(elapsed));
    shown.insert(OVERHEAD, milliseconds(overhead));
}

fn milliseconds(duration: std::time::Duration) -> HeaderValue {
    let text = decimal(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX), 3);
    // Digits and a point are always a header's value.
    HeaderValue::from_maybe_shared(Bytes::from(text)).unwrap_or(HeaderValue::from_static(""))
}

/// A whole answer in slices; its end settles the meter.
struct WholeBody {
    left: usize,
    slices: <Splices as IntoIterator>::IntoIter,
    meter: Meter,
}

impl WholeBody {
    fn new(body: Splices, mut meter: Meter) -> Self {
        body.parts().iter().for_each(|part| meter.shown(part));
        Self { left: body.len(), slices: body.into_iter(), meter }
    }
}

impl Body for WholeBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(slice) = self.slices.next() else {
            self.meter.finish(End::Success);
            return Poll::Ready(None);
        };
        self.meter.first_byte();
        self.left = self.left.saturating_sub(slice.len());
        if self.left == 0 {
            self.meter.finish(End::Success);
        }
        Poll::Ready(Some(Ok(Frame::data(slice))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}

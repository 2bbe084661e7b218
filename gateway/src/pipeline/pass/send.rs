//! The call itself: what comes back goes to the client as it is, and what it used is read on the way.

use std::{sync::Arc, time::Duration};

use axum::{body::Body as AxumBody, response::Response};
use bytes::Bytes;
use http::{StatusCode, header, response::Parts};
use http_body::Body;
use turnpike_llm::{
    error::{ErrorClass, UpstreamError},
    pass::{Reads, Spy},
    provider::Shown,
    request::Request,
    splice::Splices,
    stream::Tape,
};

use super::{Passing, Ready};
use crate::{
    error::Error,
    pipeline::{
        attempts,
        body::INLINE,
        call::{self, Collected, Reply},
        deliver, forward,
        meter::Meter,
        stream::{Decoding, Source},
    },
    record::End,
    upstream::pool::UpstreamBody,
};

/// Largest whole answer of a model call.
const LARGEST: usize = 64 * 1024 * 1024;

impl Passing<'_> {
    /// Sends it, once, and answers with what comes back.
    pub(super) async fn send(&self, mut ready: Ready, request: &Arc<Request>, mut meter: Meter) -> Response {
        if let Err(error) = meter.dispatch(request).await {
            return attempts::fail(meter, error);
        }
        let total = ready.total;
        let answered = tokio::time::timeout(total, self.exchange(&mut ready, request, &mut meter)).await;
        let answered = answered.unwrap_or(Err(Error::Timeout { what: "total", after: total }));
        let (head, reply) = match answered {
            Ok(Answered::Success(head, reply)) => (head, reply),
            Ok(Answered::Refused(head, body, error)) => return refused(meter, &head, body, error),
            Err(error) => return attempts::fail(meter, error),
        };
        meter.began_to_answer(&reply);
        let is_empty = matches!(&reply, Reply::Whole { body, .. } if body.is_empty());
        if is_empty {
            meter.status(head.status);
            // Nobody reads a body that is none.
            meter.finish(End::Success);
        }
        let mut response = deliver::respond(reply, meter, &ready.model, &ready.name);
        *response.status_mut() = head.status;
        if call::is_stream(&head.headers) {
            deliver::unbuffered(response.headers_mut());
        }
        forward::described(&head.headers, response.headers_mut());
        response
    }

    async fn exchange(&self, ready: &mut Ready, request: &Arc<Request>, meter: &mut Meter) -> Result<Answered, Error> {
        let body = Splices::from(request.bytes().clone());
        let to = (self.method, &ready.endpoint);
        let sent = (&mut ready.headers, &body);
        let response = call::exchange(&self.worker.pool, &ready.model, to, sent, meter.owed()).await?;
        drop(body);
        let (head, body) = response.into_parts();
        let mut decoding = Decoding::of(&head.headers)?;
        let adapter = call::upstream_of(&ready.model)?.adapter;
        if !head.status.is_success() {
            meter.release();
            let body = call::error_body(&mut decoding, body).await;
            let error = adapter.error(head.status, &head.headers, &body);
            return Ok(Answered::Refused(head, body, Box::new(error)));
        }
        let operation = match ready.reads {
            Some(Reads::Usage(operation)) => Some(operation),
            Some(Reads::Free) => {
                meter.uncounted(Some(0));
                None
            }
            None => {
                meter.uncounted(None);
                None
            }
        };
        let headers = head.headers.clone();
        if body.is_end_stream() {
            return Ok(Answered::Success(head, Reply::Whole { body: Splices::default(), headers }));
        }
        let (Some(operation), false) = (operation, call::is_stream(&headers)) else {
            let reader = operation.map(|operation| adapter.stream(operation, ready.shown()));
            let idle = Duration::from_millis(ready.model.entry.timeouts.idle);
            let source = Box::new(Source::new(body, Box::new(Spy::new(reader)), decoding, idle));
            return Ok(Answered::Success(head, Reply::Streamed { source, headers, events: false }));
        };
        let bytes = whole(&mut decoding, body).await?;
        meter.answered();
        let shown = ready.shown();
        let (answer, is_large) = (bytes.clone(), bytes.len() > INLINE);
        let read = move || adapter.decode(operation, answer, &shown);
        let decoded =
            if is_large { tokio::task::spawn_blocking(read).await.map_err(|_| Error::Internal)? } else { read() };
        match decoded.map(|decoded| (decoded.usage, decoded.body)) {
            Ok((Some(usage), _)) => meter.used(usage),
            Ok((None, body)) => meter.seen(&Tape::of_answer(&body.to_bytes())),
            // It is the client's to judge; its size tells what it may have cost.
            Err(_) => {
                let mut heard = Tape::default();
                heard.add(&String::from_utf8_lossy(&bytes));
                meter.seen(&heard);
            }
        }
        Ok(Answered::Success(head, Reply::Whole { body: Splices::from(bytes), headers }))
    }
}

impl Ready {
    /// What decoders are told, of which only what they read of usage is used.
    fn shown(&self) -> Shown {
        let upstream_model = Arc::clone(&self.upstream_model);
        Shown { model: Arc::clone(&self.name), upstream_model, ..Shown::default() }
    }
}

/// What came back.
enum Answered {
    Success(Parts, Reply),
    Refused(Parts, Bytes, Box<UpstreamError>),
}

async fn whole(decoding: &mut Decoding, body: UpstreamBody) -> Result<Bytes, Error> {
    match call::collect(body, LARGEST).await? {
        Collected::Whole(bytes) => decoding.take(bytes, LARGEST),
        Collected::Larger(..) => Err(call::too_large().into()),
    }
}

/// The upstream's own words, but for those about the gateway's credential, which may quote it.
fn refused(meter: Meter, head: &Parts, body: Bytes, error: Box<UpstreamError>) -> Response {
    let is_ours = error.class == ErrorClass::Authentication || head.status == StatusCode::UNAUTHORIZED;
    let mut headers = Box::default();
    forward::response(&head.headers, &mut headers);
    let mut response = attempts::fail(meter, Error::Answered { error, headers });
    if !is_ours {
        *response.status_mut() = head.status;
        let shown = response.headers_mut();
        shown.remove(header::CONTENT_LENGTH);
        match head.headers.get(header::CONTENT_TYPE) {
            Some(kind) => shown.insert(header::CONTENT_TYPE, kind.clone()),
            None => shown.remove(header::CONTENT_TYPE),
        };
        *response.body_mut() = AxumBody::from(body);
    }
    response
}

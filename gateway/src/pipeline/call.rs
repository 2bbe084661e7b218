//! Calls the chosen backend and gets its answer as far as it must be known before the client's status can be sent:
//! a whole body, or the first event of a stream.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Response, header};
use turnpike_llm::{
    error::{ErrorClass, UpstreamError},
    media::Fetched,
    provider::{Decoded, Encoded, Operation, Shown},
    relay::Relayed,
    request::Request,
    response::LargeAnswer,
    splice::Splices,
    stream::{StreamDecoder, Tape},
};

use super::{
    body::INLINE,
    detach::Detach,
    forward,
    meter::{Arrival, Meter, total},
    stream::{Decoding, Source},
};
use crate::{
    config::snapshot::{Backend, Model, Upstream},
    error::Error,
    upstream::{
        Endpoint,
        pool::{Pool, UpstreamBody},
    },
};

mod exchange;
mod parts;

pub use exchange::{Collected, collect, error_body, exchange};

/// Whole answers up to this size are collected; larger ones pass through as they come, without cost headers.
const COLLECT: usize = 1024 * 1024;
/// Largest whole answer that must be collected because its encoding changes.
const COLLECT_CONVERTED: usize = 64 * 1024 * 1024;
/// How long a call goes on for a client that left, so that its tokens are known.
const DRAIN: Duration = Duration::from_mins(1);

/// A successful answer, ready for delivery.
pub enum Reply {
    /// All of it.
    Whole {
        /// For the client.
        body: Splices,
        /// The upstream's headers.
        headers: HeaderMap,
    },
    /// A whole stream of events, made by the gateway itself.
    Canned(Splices),
    /// The first bytes of it, and where the rest comes from.
    Streamed {
        /// The rest.
        source: Box<Source>,
        /// The upstream's headers.
        headers: HeaderMap,
        /// Server-sent events; else one large JSON body, or sound.
        events: bool,
    },
}

/// One call: everything but the client's request.
pub struct Call<'a> {
    /// Who serves.
    pub model: &'a Arc<Model>,
    /// Its own name of the model.
    pub upstream_model: Arc<str>,
    /// Most output tokens of one choice, where the client asked for more than can be afforded.
    pub cap: Option<u64>,
    /// When and as what the request came.
    pub arrival: &'a Arrival,
    /// The name that the client asked for.
    pub name: &'a Arc<str>,
    /// The client's headers.
    pub client: &'a HeaderMap,
    /// Media of the request that the provider takes in place only.
    pub fetched: Fetched,
    /// What is left of the request's time.
    pub left: Duration,
}

/// What sending needs, by value: a non-streamed call may outlive its client.
struct Prepared {
    headers: HeaderMap,
    body: Splices,
    /// Bodies of further calls.
    further: Vec<Splices>,
    endpoint: Endpoint,
    model: Arc<Model>,
    operation: Operation,
    shown: Shown,
    total: Duration,
}

/// Makes the call. The meter comes back with the answer, or with the error that ends the attempt.
///
/// # Errors
/// Encoding, connecting, the upstream's refusal, a broken answer, or a time limit.
pub async fn call(
    pool: &Pool,
    call: Call<'_>,
    request: &Arc<Request>,
    mut meter: Meter,
) -> Result<(Reply, Meter), (Error, Meter)> {
    let stream = call.arrival.operation.is_streamed(request.stream());
    let prepared = match prepare(call, request, stream).await {
        Ok(prepared) => prepared,
        Err(error) => return Err((error, meter)),
    };
    if let Err(error) = meter.dispatch(request).await {
        return Err((error, meter));
    }
    if stream {
        return match streamed(pool, prepared, &mut meter).await {
            Ok(reply) => Ok((reply, meter)),
            Err(error) => Err((error, meter)),
        };
    }
    let (pool, lost) = (pool.clone(), meter.lost());
    // Of many calls, those that were not made yet are not made for nobody.
    let drain = if prepared.further.is_empty() { DRAIN } else { Duration::ZERO };
    let run = async move {
        let answered = if prepared.further.is_empty() {
            whole(&pool, prepared, &mut meter).await
        } else {
            // Boxed: few requests need it, and all would carry the room for it.
            Box::pin(parts::whole(&pool, prepared, &mut meter)).await
        };
        match answered {
            Ok(reply) => Ok((reply, meter)),
            Err(error) => Err((error, meter)),
        }
    };
    Detach::new(run, drain, lost).await
}

async fn prepare(call: Call<'_>, request: &Arc<Request>, stream: bool) -> Result<Prepared, Error> {
    let model = call.model;
    let upstream = upstream_of(model)?;
    let operation = call.arrival.operation;
    let encoding = Encoding {
        model: Arc::clone(model),
        upstream_model: Arc::clone(&call.upstream_model),
        request: Arc::clone(request),
        operation,
        stream,
        cap: call.cap,
        fetched: call.fetched,
    };
    // What is passed through is only spliced, however large it is.
    let (encoded, endpoint) = if request.bytes().len() <= INLINE || upstream.adapter.speaks(operation) {
        encoding.run()?
    } else {
        tokio::task::spawn_blocking(move || encoding.run()).await.map_err(|_| Error::Internal)??
    };
    let mut headers = forward::request(&upstream.headers, call.client);
    for (name, value) in encoded.headers {
        forward::add(&mut headers, name, value);
    }
    Ok(Prepared {
        headers,
        body: encoded.body,
        further: encoded.further,
        endpoint,
        operation,
        shown: Shown {
            model: Arc::clone(call.name),
            include_usage: request.include_usage(),
            base64_embeddings: request.base64_embeddings(),
            upstream_model: Arc::clone(&call.upstream_model),
            reasons: model.entry.capabilities.reasoning == Some(true),
            call_id: Arc::clone(&call.arrival.request_id),
            created: call.arrival.at_us / 1_000_000,
            repeated: Shown::repeated(operation, request),
            stored: request.stored().cloned(),
            recall: encoded.recall,
        },
        total: total(model).min(call.left),
        model: Arc::clone(model),
    })
}

/// The translation of a request, by value: of a large one it is work for another thread.
struct Encoding {
    model: Arc<Model>,
    upstream_model: Arc<str>,
    request: Arc<Request>,
    operation: Operation,
    stream: bool,
    cap: Option<u64>,
    fetched: Fetched,
}

impl Encoding {
    fn run(&self) -> Result<(Encoded, Endpoint), Error> {
        let upstream = upstream_of(&self.model)?;
        let drop = self.request.drop_params().unwrap_or(false);
        let mut target = upstream.target(&self.upstream_model, &self.model.entry, drop);
        target.max_output_tokens = self.cap;
        target.fetched = &self.fetched;
        let encoded = upstream.adapter.encode(self.operation, &self.request, &target)?;
        let called = encoded.recall.called(self.operation);
        let endpoint = upstream.endpoint(called, self.stream, &target).map_err(|_| Error::Invalid {
            message: "This model name cannot be part of the backend's URL.".into(),
            param: Some("model"),
        })?;
        Ok((encoded, endpoint))
    }
}

/// The upstream of a model that is no mock.
///
/// # Errors
/// It is one.
pub fn upstream_of(model: &Model) -> Result<&Upstream, Error> {
    match &model.backend {
        Backend::Provider(upstream) => Ok(upstream),
        Backend::Mock { .. } => Err(Error::Internal),
    }
}

async fn send(pool: &Pool, prepared: &mut Prepared, meter: &mut Meter) -> Result<Response<UpstreamBody>, Error> {
    let Prepared { endpoint, headers, body, model, .. } = &mut *prepared;
    let sent = exchange(pool, model, (&Method::POST, endpoint), (headers, body), meter.owed()).await;
    // Their bytes may go now.
    (prepared.headers, prepared.body) = Default::default();
    let response = sent?;
    prepared.model.live.has_left(forward::remaining(response.headers()));
    if response.status().is_success() {
        return Ok(response);
    }
    meter.release();
    // Boxed: only requests that fail pay for its size.
    Err(Box::pin(refused(&prepared.model, response)).await)
}

/// What an answer that is no success says.
async fn refused(model: &Model, response: Response<UpstreamBody>) -> Error {
    let adapter = match upstream_of(model) {
        Ok(upstream) => upstream.adapter,
        Err(error) => return error,
    };
    let (head, body) = response.into_parts();
    // An error that cannot be read is still an error of this status.
    let body = match Decoding::of(&head.headers) {
        Ok(mut decoding) => error_body(&mut decoding, body).await,
        Err(_) => Bytes::new(),
    };
    let error = Box::new(adapter.error(head.status, &head.headers, &body));
    let mut headers = Box::default();
    forward::response(&head.headers, &mut headers);
    Error::Answered { error, headers }
}

async fn whole(pool: &Pool, mut prepared: Prepared, meter: &mut Meter) -> Result<Reply, Error> {
    let total = prepared.total;
    let late = |_| Error::Timeout { what: "total", after: total };
    let run = async {
        let response = send(pool, &mut prepared, meter).await?;
        let (head, body) = response.into_parts();
        let mut decoding = Decoding::of(&head.headers)?;
        let operation = prepared.operation;
        let is_own = upstream_of(&prepared.model)?.adapter.speaks(operation)
            && prepared.shown.recall.called(operation) == operation;
        // Images are counted.
        let is_read = matches!(prepared.operation, Operation::Embeddings | Operation::GenerateContent)
            || prepared.operation.draws();
        let converts = is_read || !is_own;
        let collected = collect(body, if converts { COLLECT_CONVERTED } else { COLLECT }).await?;
        meter.answered();
        match collected {
            Collected::Whole(bytes) => {
                let bytes = decoding.take(bytes, COLLECT_CONVERTED)?;
                let decoded = decode(&prepared, bytes).await?;
                match decoded.usage {
                    Some(usage) => meter.used(usage),
                    None if prepared.operation.generates() => {
                        meter.seen(&Tape::of_answer(&decoded.body.to_bytes()));
                    }
                    None => {}
                }
                Ok(Reply::Whole { body: decoded.body, headers: head.headers })
            }
            Collected::Larger(_, _) if converts => Err(too_large().into()),
            Collected::Larger(start, rest) => {
                let decoder = Box::new(LargeAnswer::new(&prepared.shown));
                let idle = Duration::from_millis(prepared.model.entry.timeouts.idle);
                let mut source = Box::new(Source::new(rest, decoder, decoding, idle));
                source.feed(start)?;
                Ok(Reply::Streamed { source, headers: head.headers, events: false })
            }
        }
    };
    tokio::time::timeout(total, run).await.map_err(late)?
}

async fn decode(prepared: &Prepared, bytes: Bytes) -> Result<Decoded, Error> {
    let adapter = upstream_of(&prepared.model)?.adapter;
    let operation = prepared.operation;
    if bytes.len() <= INLINE {
        return Ok(adapter.decode(operation, bytes, &prepared.shown)?);
    }
    let shown = prepared.shown.clone();
    let work = tokio::task::spawn_blocking(move || adapter.decode(operation, bytes, &shown));
    Ok(work.await.map_err(|_| Error::Internal)??)
}

async fn streamed(pool: &Pool, mut prepared: Prepared, meter: &mut Meter) -> Result<Reply, Error> {
    let timeouts = prepared.model.entry.timeouts;
    let limit = prepared.total.min(Duration::from_millis(timeouts.first_byte));
    let run = async {
        let response = send(pool, &mut prepared, meter).await?;
        let (head, body) = response.into_parts();
        let events = is_stream(&head.headers);
        if !events && prepared.operation != Operation::Speech {
            return Err(bad_answer("The model's backend did not answer with a stream.").into());
        }
        let decoding = Decoding::of(&head.headers)?;
        let mut decoder: Box<dyn StreamDecoder> = if events {
            upstream_of(&prepared.model)?.adapter.stream(prepared.operation, prepared.shown.clone())
        } else {
            Box::new(Relayed::bytes())
        };
        if prepared.shown.include_usage {
            meter.pricing().into_iter().for_each(|cost| decoder.set_cost(cost));
        }
        let idle = Duration::from_millis(timeouts.idle);
        let mut source = Box::new(Source::new(body, decoder, decoding, idle));
        // 200 is sent only once the upstream has shown that it really answers.
        source.start().await?;
        Ok(Reply::Streamed { source, headers: head.headers, events })
    };
    let late = |_| Error::Timeout { what: "firstByte", after: limit };
    tokio::time::timeout(limit, run).await.map_err(late)?
}

/// Content types of streams: server-sent events, AWS's frames, and Ollama's lines.
const STREAMS: [&str; 3] = ["text/event-stream", "application/vnd.amazon.eventstream", "application/x-ndjson"];

/// Whether the answer comes as events.
pub fn is_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    STREAMS.iter().any(|stream| kind.eq_ignore_ascii_case(stream))
}

/// A 2xx answer that cannot be used.
pub fn bad_answer(message: &str) -> UpstreamError {
    UpstreamError {
        class: ErrorClass::BadAnswer,
        status: 0,
        message: message.to_owned(),
        kind: None,
        param: None,
        code: None,
        retry_after: None,
    }
}

/// An answer larger than what is held of one.
pub fn too_large() -> UpstreamError {
    bad_answer("The model's backend sent an answer too large to convert.")
}

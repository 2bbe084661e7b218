//! An upstream's body on its way to the client, decoded frame by frame.

use std::{
    io::Write,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use flate2::write::GzDecoder;
use http::{HeaderMap, header};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Limited};
use tokio::time::{Instant, Sleep};
use turnpike_llm::{provider::Dialect, stream::StreamDecoder};

use super::{call::bad_answer, meter::Meter};
use crate::{error::Error, record::End, upstream::pool::UpstreamBody};

/// Bytes that are gathered at most before they go out.
const MAX_GATHERED: usize = 64 * 1024;
/// Most bytes, and the longest time, that an upstream may go on after a complete answer.
const MAX_TRAILING: usize = 64 * 1024;
const TRAILING: Duration = Duration::from_secs(1);
/// What one frame of an encoded answer may decode to.
const MAX_DECODED_FRAME: usize = 8 * 1024 * 1024;

/// How an answer's bytes are encoded, although identity was asked for.
pub enum Decoding {
    /// They are not.
    Identity,
    /// gzip.
    Gzip(Box<GzDecoder<Vec<u8>>>),
}

impl Decoding {
    /// From Content-Encoding.
    ///
    /// # Errors
    /// An encoding that is not known here.
    pub fn of(headers: &HeaderMap) -> Result<Self, Error> {
        match headers.get(header::CONTENT_ENCODING).map(http::HeaderValue::as_bytes) {
            None | Some(b"identity" | b"") => Ok(Self::Identity),
            Some(b"gzip" | b"x-gzip") => Ok(Self::Gzip(Box::new(GzDecoder::new(Vec::new())))),
            Some(_) => Err(bad_answer("The model's backend used an encoding that was not asked for.").into()),
        }
    }

    /// Decodes the next bytes.
    ///
    /// # Errors
    /// Not gzip, or more than `most` bytes of it.
    pub fn take(&mut self, bytes: Bytes, most: usize) -> Result<Bytes, Error> {
        let Self::Gzip(decoder) = self else {
            return Ok(bytes);
        };
        // In parts, so that a bomb is seen before it fills the memory.
        for part in bytes.chunks(4096) {
            let decoded = decoder.write_all(part).and_then(|()| decoder.flush());
            if decoded.is_err() || decoder.get_ref().len() > most {
                return Err(bad_answer("The model's backend sent an answer whose encoding is broken.").into());
            }
        }
        Ok(Bytes::from(std::mem::take(decoder.get_mut())))
    }
}

/// Where the rest of an answer comes from.
pub struct Source {
    /// Gone once it was read to its end.
    upstream: Option<UpstreamBody>,
    decoder: Box<dyn StreamDecoder>,
    decoding: Decoding,
    ready: Gathered,
    idle: Duration,
    /// The answer is complete, or broken.
    over: bool,
    /// It broke after its first event, which the client is still to be given.
    failed: Option<Error>,
}

/// Bytes for the client; a single piece is not copied.
#[derive(Default)]
struct Gathered {
    single: Bytes,
    many: BytesMut,
}

impl Gathered {
    fn push(&mut self, bytes: Bytes) {
        if self.is_empty() {
            self.single = bytes;
            return;
        }
        if self.many.is_empty() {
            self.many.reserve(4096);
            self.many.extend_from_slice(&std::mem::take(&mut self.single));
        }
        self.many.extend_from_slice(&bytes);
    }

    fn is_empty(&self) -> bool {
        self.single.is_empty() && self.many.is_empty()
    }

    fn len(&self) -> usize {
        self.single.len().max(self.many.len())
    }

    fn take(&mut self) -> Bytes {
        if self.many.is_empty() { std::mem::take(&mut self.single) } else { self.many.split().freeze() }
    }
}

impl Source {
    /// A source at its beginning.
    pub fn new(upstream: UpstreamBody, decoder: Box<dyn StreamDecoder>, decoding: Decoding, idle: Duration) -> Self {
        Self {
            upstream: Some(upstream),
            decoder,
            decoding,
            ready: Gathered::default(),
            idle,
            over: false,
            failed: None,
        }
    }

    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let Some(upstream) = &mut self.upstream else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(upstream).poll_frame(cx);
        if matches!(polled, Poll::Ready(None)) {
            self.upstream = None;
        }
        polled
    }

    /// Reads what comes after a complete answer, usually only the end of the body, so that the connection can be used
    /// again.
    fn drain(&mut self) {
        let (true, Some(upstream)) = (self.over, self.upstream.take()) else {
            return;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let rest = Limited::new(upstream, MAX_TRAILING);
            runtime.spawn(async move { tokio::time::timeout(TRAILING, rest.collect()).await.is_ok() });
        }
    }

    /// Reads until the first event, or to an end that has none.
    ///
    /// # Errors
    /// The upstream failed before it said anything.
    pub async fn start(&mut self) -> Result<(), Error> {
        while !self.over && !self.decoder.started() {
            let frame = std::future::poll_fn(|cx| self.poll_upstream(cx)).await;
            if let Err(error) = self.take(frame) {
                if !self.decoder.started() || self.ready.is_empty() {
                    return Err(error);
                }
                self.failed = Some(error);
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes bytes that were read before.
    ///
    /// # Errors
    /// They are not what they should be.
    pub fn feed(&mut self, bytes: Bytes) -> Result<(), Error> {
        let bytes = self.decoding.take(bytes, MAX_DECODED_FRAME)?;
        let shown = self.decoder.push(bytes)?;
        self.ready.push(shown);
        if self.decoder.finished() {
            self.close()?;
        }
        Ok(())
    }

    fn take(&mut self, frame: Option<Result<Frame<Bytes>, std::io::Error>>) -> Result<(), Error> {
        match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => self.feed(data),
                Err(_) => Ok(()),
            },
            Some(Err(_)) => {
                self.over = true;
                self.upstream = None;
                Err(Error::Broken)
            }
            None => self.close(),
        }
    }

    fn close(&mut self) -> Result<(), Error> {
        self.over = true;
        let shown = self.decoder.end()?;
        self.ready.push(shown);
        Ok(())
    }
}

/// The response's body: what the source gives, gathered while more is at hand; settles the meter at its end.
pub struct Streaming {
    source: Box<Source>,
    meter: Option<Meter>,
    events: bool,
    timer: Pin<Box<Sleep>>,
    last: Instant,
    yielded: bool,
    failed: Option<Error>,
    client: (Dialect, Arc<str>),
}

impl Streaming {
    /// Starts delivery; `events` says that an error can be told as one more event.
    pub fn new(mut source: Box<Source>, meter: Meter, events: bool) -> Self {
        let timer = Box::pin(tokio::time::sleep(source.idle));
        let failed = source.failed.take();
        let client = meter.client();
        Self { source, meter: Some(meter), events, timer, last: Instant::now(), yielded: false, failed, client }
    }

    /// Reads what is there now, without waiting: all of a burst goes out in one write, a lone token at once.
    fn gather(&mut self, cx: &mut Context<'_>) {
        let mut read = false;
        while !self.source.over && self.failed.is_none() && self.source.ready.len() < MAX_GATHERED {
            let Poll::Ready(frame) = self.source.poll_upstream(cx) else {
                break;
            };
            read = true;
            if let Err(error) = self.source.take(frame) {
                self.failed = Some(error);
            }
        }
        if read {
            self.last = Instant::now();
            self.yielded = false;
        }
    }

    /// Whether only the end of the upstream's body is missing, which lets its connection be used again.
    fn end_is_due(&mut self, cx: &mut Context<'_>) -> bool {
        self.source.over && self.failed.is_none() && self.source.poll_upstream(cx).is_pending()
    }

    fn ended(&self) -> bool {
        self.source.over || self.failed.is_some()
    }

    fn settle(&mut self) -> Option<Error> {
        let mut meter = self.meter.take()?;
        let error = self.failed.take();
        if error.is_none() {
            self.source.drain();
        }
        note(&self.source, &mut meter);
        meter.finish(error.as_ref().map_or(End::Success, Error::end));
        error
    }

    /// A chunk silence longer than the limit ends the stream. The timer is moved only when it fires.
    fn poll_idle(&mut self, cx: &mut Context<'_>) {
        while self.timer.as_mut().poll(cx).is_ready() {
            let deadline = self.last + self.source.idle;
            if deadline <= Instant::now() {
                self.failed = Some(Error::Timeout { what: "idle", after: self.source.idle });
                return;
            }
            self.timer.as_mut().reset(deadline);
        }
    }
}

/// Tells the meter what the answer used.
fn note(source: &Source, meter: &mut Meter) {
    meter.answered();
    match source.decoder.usage() {
        Some(usage) => meter.used(usage),
        None => meter.seen(source.decoder.tape()),
    }
}

impl Body for Streaming {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let this = &mut *self;
        if this.meter.is_none() {
            return Poll::Ready(None);
        }
        this.gather(cx);
        if !this.ended() {
            this.poll_idle(cx);
        }
        if this.source.ready.is_empty() && !this.ended() {
            return Poll::Pending;
        }
        // It comes with the last event or right behind it: one more turn is enough, and not worth more.
        if !this.yielded && this.end_is_due(cx) {
            this.yielded = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        this.yielded = false;
        let ready = this.source.ready.take();
        if let Some(meter) = &mut this.meter {
            meter.first_byte();
            meter.shown(&ready);
        }
        if this.ended() {
            let failed = this.settle();
            return match (failed, this.events) {
                (None, _) => finish(ready),
                (Some(error), true) => {
                    let (dialect, request_id) = &this.client;
                    let mut last = Gathered::default();
                    last.push(ready);
                    last.push(error.event(*dialect, request_id));
                    finish(last.take())
                }
                // A JSON body cut short must not look whole.
                (Some(error), false) => Poll::Ready(Some(Err(std::io::Error::other(error.to_string())))),
            };
        }
        Poll::Ready(Some(Ok(Frame::data(ready))))
    }
}

fn finish(last: Bytes) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
    Poll::Ready((!last.is_empty()).then(|| Ok(Frame::data(last))))
}

impl Drop for Streaming {
    fn drop(&mut self) {
        if let Some(mut meter) = self.meter.take() {
            note(&self.source, &mut meter);
            meter.finish(End::Cancelled);
        }
    }
}

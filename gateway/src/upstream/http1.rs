//! HTTP/1.1 towards upstreams, read and written in the request's own task.
//!
//! A general client runs a second task for each connection and hands every chunk over through a channel. Here the body
//! is read where it is used: all chunks that one read brings come out together, and nothing is woken in between.
//! Framing follows RFC 9112, section 6.

use std::{
    future::Future,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, Waker, ready},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use http_body::{Body, Frame};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use turnpike_llm::splice::Splices;

use super::{Endpoint, connect::Stream};

mod chunked;
mod outgoing;

use chunked::Chunked;
use outgoing::Outgoing;

/// Longest answer head, status line included.
const MAX_HEAD: usize = 64 * 1024;
/// Most headers of an answer.
const MAX_HEADERS: usize = 128;
/// Room made for each read.
const READ: usize = 16 * 1024;
/// How answers begin that another one follows (100, 103).
const INTERIM: &[u8] = b"HTTP/1.1 1";

/// A connection that speaks HTTP/1.1.
pub struct Connection {
    stream: Stream,
    read: BytesMut,
}

/// Where an answer's body ends.
#[derive(Debug)]
enum Framing {
    /// After so many more bytes.
    Length(u64),
    /// With the last chunk.
    Chunked(Chunked),
    /// With the connection.
    Close,
}

/// An answer whose body is still to be read.
pub struct Answer {
    /// Status and headers.
    pub head: Response<()>,
    /// Its body.
    pub body: Incoming,
}

/// A body being read.
pub struct Incoming {
    connection: Connection,
    framing: Framing,
    keep: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong.
    pub error: io::Error,
    /// Not one byte of an answer came.
    pub silent: bool,
}

impl Connection {
    /// Over a fresh stream.
    pub fn new(stream: Stream) -> Self {
        Self { stream, read: BytesMut::new() }
    }

    /// Whether an idle connection can be used: the server has not closed it, and has sent nothing.
    pub fn is_usable(&mut self) -> bool {
        let (mut byte, mut cx) = ([0], Context::from_waker(Waker::noop()));
        self.read.is_empty() && Pin::new(&mut self.stream).poll_read(&mut cx, &mut ReadBuf::new(&mut byte)).is_pending()
    }

    /// Gives back the room for reading while it is idle.
    pub fn rest(&mut self) {
        if self.read.is_empty() {
            self.read = BytesMut::new();
        }
    }

    /// Sends a request and reads the answer's head.
    ///
    /// # Errors
    /// The connection failed, or the answer is not HTTP.
    pub async fn exchange(
        mut self,
        method: &Method,
        endpoint: &Endpoint,
        headers: &HeaderMap,
        body: &Splices,
    ) -> Result<Answer, Failure> {
        let sent = self.send(method, endpoint, headers, body).await;
        self.answer_to(sent).await
    }

    /// Sends a request, as far as the server takes it.
    ///
    /// # Errors
    /// The connection failed before all was sent. There may be an answer all the same.
    pub async fn send(
        &mut self,
        method: &Method,
        endpoint: &Endpoint,
        headers: &HeaderMap,
        body: &Splices,
    ) -> io::Result<Sent> {
        let mut outgoing = Outgoing::new(method, endpoint, headers, body);
        std::future::poll_fn(|cx| self.poll_send(&mut outgoing, cx)).await
    }

    /// Reads the head of the answer to a request of which so much was sent.
    ///
    /// # Errors
    /// The connection failed, or the answer is not HTTP.
    pub async fn answer_to(self, sent: io::Result<Sent>) -> Result<Answer, Failure> {
        // A server may answer, and close, before it has read everything: its answer counts.
        let mut answer = self.answer().await;
        match (&mut answer, sent) {
            (Ok(_), Ok(Sent::All)) | (Err(_), Ok(_)) => {}
            (Ok(answer), _) => answer.body.keep = false,
            (Err(failure), Err(error)) => failure.error = error,
        }
        answer
    }

    /// Writes until all is sent or an answer begins.
    fn poll_send(&mut self, outgoing: &mut Outgoing, cx: &mut Context<'_>) -> Poll<io::Result<Sent>> {
        if outgoing.poll_write(&mut self.stream, cx)?.is_ready() {
            return Poll::Ready(Ok(Sent::All));
        }
        // The server takes no more for now; perhaps it answers instead.
        loop {
            let interim = self.read.starts_with(INTERIM);
            if !interim && !INTERIM.starts_with(&self.read) {
                return Poll::Ready(Ok(Sent::Part));
            }
            if interim && self.parse_head()?.is_some() {
                continue;
            }
            if ready!(self.poll_fill(cx))? == 0 {
                return Poll::Ready(Ok(Sent::Part));
            }
        }
    }

    async fn answer(mut self) -> Result<Answer, Failure> {
        loop {
            if let Some(head) = self.parse_head().map_err(|error| Failure { error, silent: false })? {
                // An interim answer (100, 103) is followed by the real one.
                if head.response.status().is_informational() {
                    continue;
                }
                let (head, keep) = (head.response, head.keep);
                let framing = Framing::of(&head).map_err(|error| Failure { error, silent: false })?;
                let keep = keep && !matches!(framing, Framing::Close);
                return Ok(Answer { head, body: Incoming { connection: self, framing, keep } });
            }
            let silent = self.read.is_empty();
            let read = std::future::poll_fn(|cx| self.poll_fill(cx)).await;
            match read {
                Ok(0) => return Err(Failure { error: io::ErrorKind::UnexpectedEof.into(), silent }),
                Ok(_) => {}
                Err(error) => return Err(Failure { error, silent }),
            }
        }
    }

    /// Reads what is there into the buffer; 0 = closed.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.read.capacity() - self.read.len() < READ / 4 {
            self.read.reserve(READ);
        }
        // The future keeps no state of its own between polls.
        pin!(self.stream.read_buf(&mut self.read)).poll(cx)
    }

    fn parse_head(&mut self) -> io::Result<Option<Head>> {
        if self.read.is_empty() {
            return Ok(None);
        }
        let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Response::new(&mut fields);
        let length = match parsed.parse(&self.read).map_err(invalid)? {
            httparse::Status::Complete(length) => length,
            httparse::Status::Partial if self.read.len() > MAX_HEAD => return Err(invalid("the head is too long")),
            httparse::Status::Partial => return Ok(None),
        };
        let status = StatusCode::from_u16(parsed.code.unwrap_or_default()).map_err(invalid)?;
        let is_1_1 = parsed.version == Some(1);
        // Values become slices of the head, found by where they lie in it.
        let base = self.read.as_ptr().addr();
        let at: Vec<(HeaderName, usize, usize)> = parsed
            .headers
            .iter()
            .map(|field| {
                let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(invalid)?;
                Ok((name, field.value.as_ptr().addr() - base, field.value.len()))
            })
            .collect::<io::Result<_>>()?;
        let head = self.read.split_to(length).freeze();
        let mut headers = HeaderMap::with_capacity(at.len());
        for (name, start, length) in at {
            let value = HeaderValue::from_maybe_shared(head.slice(start..start + length)).map_err(invalid)?;
            headers.append(name, value);
        }
        let keep = is_1_1 && !has_token(&headers, &header::CONNECTION, "close");
        let mut response = Response::new(());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(Some(Head { response, keep }))
    }
}

struct Head {
    response: Response<()>,
    keep: bool,
}

impl Framing {
    fn of(head: &Response<()>) -> io::Result<Self> {
        let headers = head.headers();
        if matches!(head.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            return Ok(Self::Length(0));
        }
        if headers.contains_key(header::TRANSFER_ENCODING) {
            let chunked = has_token(headers, &header::TRANSFER_ENCODING, "chunked");
            return Ok(if chunked { Self::Chunked(Chunked::default()) } else { Self::Close });
        }
        let mut length = None;
        for value in headers.get_all(header::CONTENT_LENGTH) {
            let text = value.to_str().map_err(invalid)?;
            let one: u64 = text.trim().parse().map_err(invalid)?;
            if length.replace(one).is_some_and(|other| other != one) {
                return Err(invalid("two different lengths"));
            }
        }
        Ok(length.map_or(Self::Close, Self::Length))
    }
}

impl Incoming {
    /// The connection, where it can serve another request: the body was read to its end and nothing followed.
    pub fn into_connection(self) -> Option<Connection> {
        (self.keep && self.is_end_stream() && self.connection.read.is_empty()).then_some(self.connection)
    }

    /// Bytes of the body that are in the buffer.
    fn take(&mut self) -> io::Result<Bytes> {
        let buffer = &mut self.connection.read;
        match &mut self.framing {
            Framing::Length(left) => {
                let most = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                *left -= most as u64;
                Ok(buffer.split_to(most).freeze())
            }
            Framing::Chunked(chunked) => chunked.take(buffer),
            Framing::Close => Ok(buffer.split().freeze()),
        }
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            let data = self.take()?;
            if !data.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            if self.is_end_stream() {
                return Poll::Ready(None);
            }
            let ended = match ready!(self.connection.poll_fill(cx)) {
                Ok(0) => io::ErrorKind::UnexpectedEof.into(),
                Ok(_) => continue,
                Err(error) => error,
            };
            // TLS calls an end without its farewell UnexpectedEof too; many servers close so.
            if matches!(self.framing, Framing::Close) && ended.kind() == io::ErrorKind::UnexpectedEof {
                self.framing = Framing::Length(0);
                return Poll::Ready(None);
            }
            return Poll::Ready(Some(Err(ended)));
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.framing {
            Framing::Length(left) => *left == 0,
            Framing::Chunked(chunked) => chunked.is_over(),
            Framing::Close => false,
        }
    }
}

/// How much of a request was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// All of it.
    All,
    /// The server answered before it had read everything.
    Part,
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(token))
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(status: u16, fields: &[(&'static str, &'static str)]) -> String {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
        for (name, value) in fields {
            response.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        Framing::of(&response).map_or_else(|_| "refused".to_owned(), |framing| format!("{framing:?}"))
    }

    #[test]
    fn a_body_ends_where_rfc_9112_says() {
        assert_eq!(framing(200, &[("content-length", "12")]), "Length(12)");
        assert_eq!(framing(200, &[("content-length", "12"), ("content-length", " 12 ")]), "Length(12)");
        assert_eq!(framing(200, &[("content-length", "12"), ("content-length", "13")]), "refused");
        assert_eq!(framing(200, &[("content-length", "-1")]), "refused");
        assert_eq!(framing(200, &[("content-length", "99999999999999999999")]), "refused");
        assert_eq!(framing(200, &[("transfer-encoding", "gzip, Chunked"), ("content-length", "3")]), "Chunked(Size)");
        assert_eq!(framing(200, &[("transfer-encoding", "gzip")]), "Close");
        assert_eq!(framing(200, &[]), "Close");
        assert_eq!(framing(204, &[("content-length", "12")]), "Length(0)");
    }
}

//! A request on its way out: head and body as slices, written without joining them.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::{HeaderMap, Method, header};
use tokio::io::AsyncWrite;
use turnpike_llm::splice::Splices;

use crate::upstream::{Endpoint, connect::Stream};

/// Slices handed to one write.
const MAX_SLICES: usize = 16;

/// A request on its way: head and body in slices.
pub(super) struct Outgoing {
    parts: VecDeque<Bytes>,
}

impl Outgoing {
    pub(super) fn new(method: &Method, endpoint: &Endpoint, headers: &HeaderMap, body: &Splices) -> Self {
        let head = request_head(method, endpoint, headers, body.len());
        let mut parts = VecDeque::with_capacity(body.parts().len() + 1);
        parts.push_back(Bytes::from(head));
        parts.extend(body.parts().iter().cloned());
        Self { parts }
    }

    /// Writes with as few calls as the slices allow; ready when everything is out.
    pub(super) fn poll_write(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut stream = Pin::new(stream);
        while !self.parts.is_empty() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let mut count = 0;
            for (slice, part) in slices.iter_mut().zip(&self.parts) {
                *slice = IoSlice::new(part);
                count += 1;
            }
            let written = ready!(stream.as_mut().poll_write_vectored(cx, slices.get(..count).unwrap_or_default()))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        stream.poll_flush(cx)
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(part) = self.parts.front_mut() {
            if written < part.len() {
                part.advance(written);
                return;
            }
            written -= part.len();
            self.parts.pop_front();
        }
    }
}

fn request_head(method: &Method, endpoint: &Endpoint, headers: &HeaderMap, length: usize) -> Vec<u8> {
    let mut head = Vec::with_capacity(1024);
    head.extend_from_slice(method.as_str().as_bytes());
    head.push(b' ');
    head.extend_from_slice(endpoint.target.path_and_query().map_or("/", |target| target.as_str()).as_bytes());
    head.extend_from_slice(b" HTTP/1.1\r\nhost: ");
    head.extend_from_slice(endpoint.origin.header.as_bytes());
    for (name, value) in headers {
        if matches!(*name, header::HOST | header::CONTENT_LENGTH | header::TRANSFER_ENCODING | header::CONNECTION) {
            continue;
        }
        head.extend_from_slice(b"\r\n");
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
    }
    head.extend_from_slice(b"\r\ncontent-length: ");
    head.extend_from_slice(length.to_string().as_bytes());
    head.extend_from_slice(b"\r\n\r\n");
    head
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use turnpike_bundle::entry::Egress;

    use super::*;

    #[test]
    fn requests_are_written_once_and_completely() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("x-a", "1"), ("host", "evil"), ("content-length", "9"), ("connection", "close")] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let endpoint =
            Endpoint::parse("http://[::1]:8000/v1/chat?x=y", Egress::default()).map_err(|error| error.to_string());
        let head = endpoint.map(|endpoint| request_head(&Method::POST, &endpoint, &headers, 5));
        let text = head.map(|head| String::from_utf8_lossy(&head).into_owned());
        let expected = "POST /v1/chat?x=y HTTP/1.1\r\nhost: [::1]:8000\r\nx-a: 1\r\ncontent-length: 5\r\n\r\n";
        assert_eq!(text.as_deref(), Ok(expected));
    }
}

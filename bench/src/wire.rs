//! HTTP/1.1 with keep-alive, just what the two ends of the bench say to each other and to what is between them.
//!
//! Not hyper: the client and the upstream run on the cores that they measure, and the upstream must be able to give
//! every chunk of a stream a write of its own, which a library that batches writes is built not to do.

use std::{net::SocketAddr, str};

use anyhow::{Context as _, bail, ensure};
use bytes::{Buf as _, Bytes, BytesMut};
use memchr::memmem;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Longest head accepted, bytes.
const MAX_HEAD: usize = 16 * 1024;

/// One end of a keep-alive connection.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    buffer: BytesMut,
}

/// The head of a request or response.
#[derive(Debug)]
pub struct Head {
    raw: Bytes,
    /// How the body that follows is delimited.
    pub framing: Framing,
}

/// How a body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// That many bytes; also no body at all.
    Length(usize),
    /// `transfer-encoding: chunked`.
    Chunked,
}

impl Wire {
    /// Connects, without Nagle's delay.
    pub async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        Self::new(TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?)
    }

    /// Takes over an accepted connection and turns Nagle's delay off.
    pub fn new(stream: TcpStream) -> anyhow::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: BytesMut::with_capacity(16 * 1024) })
    }

    /// Reads a head; `None` = the peer closed the connection between two messages.
    pub async fn head(&mut self) -> anyhow::Result<Option<Head>> {
        loop {
            if let Some(end) = memmem::find(&self.buffer, b"\r\n\r\n") {
                let raw = self.buffer.split_to(end + 4).freeze();
                return Ok(Some(Head { framing: framing(&raw)?, raw }));
            }
            ensure!(self.buffer.len() < MAX_HEAD, "the head is longer than {MAX_HEAD} bytes");
            if !self.fill().await? {
                ensure!(self.buffer.is_empty(), "the connection closed inside a head");
                return Ok(None);
            }
        }
    }

    /// Appends the body to `into`; `arrived` is called once for every read that brought a part of it.
    pub async fn body(
        &mut self,
        framing: Framing,
        into: &mut Vec<u8>,
        mut arrived: impl FnMut(),
    ) -> anyhow::Result<()> {
        let mut decoder = Decoder::new(framing);
        loop {
            let before = into.len();
            let done = decoder.decode(&mut self.buffer, into)?;
            if into.len() > before {
                arrived();
            }
            if done {
                return Ok(());
            }
            ensure!(self.fill().await?, "the connection closed inside a body");
        }
    }

    /// Writes all of `bytes`, in one system call unless the socket's buffer is full.
    pub async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(self.stream.write_all(bytes).await?)
    }

    async fn fill(&mut self) -> anyhow::Result<bool> {
        self.buffer.reserve(8 * 1024);
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }
}

impl Head {
    /// The status of a response; `None` for a request.
    pub fn status(&self) -> Option<u16> {
        let digits = self.raw.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
        str::from_utf8(digits).ok()?.parse().ok()
    }

    /// Whether the first line starts with `text`.
    pub fn starts_with(&self, text: &str) -> bool {
        self.raw.starts_with(text.as_bytes())
    }
}

/// Takes a body out of what was read so far, in pieces of any size.
#[derive(Debug)]
pub struct Decoder {
    state: State,
}

#[derive(Debug)]
enum State {
    Length(usize),
    Size,
    Data(usize),
    DataEnd,
    Trailer,
    Done,
}

impl Decoder {
    /// A decoder for one body.
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Size,
        };
        Self { state }
    }

    /// Moves what `buffer` holds of the body to `into`; true when the body is complete. Bytes behind it stay.
    pub fn decode(&mut self, buffer: &mut BytesMut, into: &mut Vec<u8>) -> anyhow::Result<bool> {
        loop {
            match &mut self.state {
                State::Length(left) => {
                    move_up_to(left, buffer, into);
                    return Ok(*left == 0);
                }
                State::Size => match line(buffer) {
                    None => return Ok(false),
                    Some(size) => self.state = chunk_size(&size)?,
                },
                State::Data(left) => {
                    move_up_to(left, buffer, into);
                    if *left > 0 {
                        return Ok(false);
                    }
                    self.state = State::DataEnd;
                }
                State::DataEnd => match line(buffer) {
                    None => return Ok(false),
                    Some(rest) if rest.is_empty() => self.state = State::Size,
                    Some(_) => bail!("a chunk is longer than its size"),
                },
                State::Trailer => match line(buffer) {
                    None => return Ok(false),
                    Some(rest) if rest.is_empty() => self.state = State::Done,
                    Some(_) => {}
                },
                State::Done => return Ok(true),
            }
        }
    }
}

fn move_up_to(left: &mut usize, buffer: &mut BytesMut, into: &mut Vec<u8>) {
    let take = buffer.len().min(*left);
    into.extend(buffer.split_to(take));
    *left -= take;
}

/// Takes one line off, without its CRLF.
fn line(buffer: &mut BytesMut) -> Option<BytesMut> {
    let end = memmem::find(buffer, b"\r\n")?;
    let line = buffer.split_to(end);
    buffer.advance(2);
    Some(line)
}

fn chunk_size(line: &[u8]) -> anyhow::Result<State> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    let size = usize::from_str_radix(str::from_utf8(digits)?.trim(), 16).context("not a chunk size")?;
    Ok(if size == 0 { State::Trailer } else { State::Data(size) })
}

fn framing(head: &[u8]) -> anyhow::Result<Framing> {
    let mut framing = Framing::Length(0);
    for line in head.split(|byte| *byte == b'\n') {
        if let Some(value) = value_of(line, "content-length:") {
            framing = Framing::Length(value.parse().context("content-length")?);
        } else if value_of(line, "transfer-encoding:").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            return Ok(Framing::Chunked);
        }
    }
    Ok(framing)
}

fn value_of<'a>(line: &'a [u8], name: &str) -> Option<&'a str> {
    let (start, value) = line.split_at_checked(name.len())?;
    if start.eq_ignore_ascii_case(name.as_bytes()) { str::from_utf8(value).ok().map(str::trim) } else { None }
}

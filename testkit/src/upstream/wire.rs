//! A socket that can be broken in the ways that real ones break: reset, or garbage instead of an answer.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// What happens to the socket when it is dropped.
#[derive(Clone, Debug, Default)]
pub(super) enum Farewell {
    /// An ordinary close.
    #[default]
    Close,
    /// RST.
    Reset,
    /// These bytes, then an ordinary close.
    Say(Bytes),
}

/// Sets the farewell of one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Handle(Arc<Mutex<Farewell>>);

impl Handle {
    pub(super) fn set(&self, farewell: Farewell) {
        *self.0.lock().expect("held for an assignment only") = farewell;
    }
}

/// The socket.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    handle: Handle,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> (Self, Handle) {
        let handle = Handle::default();
        (Self { stream, handle: handle.clone() }, handle)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // Nobody is left to tell about a failure: the peer then sees an ordinary close, and its test fails.
        match &*self.handle.0.lock().expect("held for an assignment only") {
            Farewell::Close => {}
            Farewell::Reset => drop(self.stream.set_zero_linger()),
            Farewell::Say(bytes) => drop(self.stream.try_write(bytes)),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

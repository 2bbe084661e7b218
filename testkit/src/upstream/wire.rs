//! A socket that can be broken in the ways that real ones break: reset, or garbage instead of an answer.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::record::Handshake;

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
    stream: Stream,
    handle: Handle,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    pub(super) fn plain(stream: TcpStream) -> Self {
        Self { stream: Stream::Plain(stream), handle: Handle::default() }
    }

    /// Ends with an error where the client refuses the certificate.
    pub(super) async fn tls(stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<Self> {
        let stream = TlsAcceptor::from(config).accept(stream).await?;
        Ok(Self { stream: Stream::Tls(Box::new(stream)), handle: Handle::default() })
    }

    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// What the client said in its handshake; `None` without TLS.
    pub(super) fn handshake(&self) -> Option<Handshake> {
        let Stream::Tls(stream) = &self.stream else {
            return None;
        };
        let (_, session) = stream.get_ref();
        let protocol = session.alpn_protocol().map(|protocol| String::from_utf8_lossy(protocol).into_owned());
        Some(Handshake { protocol, server_name: session.server_name().map(str::to_owned) })
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // Nobody is left to tell about a failure: the peer then sees an ordinary close, and its test fails.
        let socket = match &self.stream {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => stream.get_ref().0,
        };
        match &*self.handle.0.lock().expect("held for an assignment only") {
            Farewell::Close => {}
            Farewell::Reset => drop(socket.set_zero_linger()),
            Farewell::Say(bytes) => drop(socket.try_write(bytes)),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

//! HTTP/1.1 by hand, for what no client library would send: torn, malformed and slow requests.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::wait::within;

/// A TCP connection.
#[derive(Debug)]
pub struct Raw {
    socket: TcpStream,
}

/// An answer as bytes, split at the end of its head.
#[derive(Debug)]
pub struct RawReply {
    /// Status code; 0 when the peer closed without an answer.
    pub status: u16,
    /// Status line and headers.
    pub head: String,
    /// What came of the body until the peer closed.
    pub body: Vec<u8>,
}

impl Raw {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> Self {
        let socket = within("connect", TcpStream::connect(address)).await.expect("the peer accepts");
        socket.set_nodelay(true).expect("a live socket");
        Self { socket }
    }

    /// Writes; false when the peer has already closed.
    pub async fn write(&mut self, bytes: &[u8]) -> bool {
        within("write", self.socket.write_all(bytes)).await.is_ok()
    }

    /// Says that nothing more will be written.
    pub async fn finish(&mut self) {
        // A peer that has closed already has what it wanted.
        drop(self.socket.shutdown().await);
    }

    /// Everything until the peer closes or resets.
    pub async fn read_to_end(mut self) -> Vec<u8> {
        let mut all = Vec::new();
        // A reset after the answer ends it as a close does; what came before counts.
        drop(within("the peer closes", self.socket.read_to_end(&mut all)).await);
        all
    }

    /// Reads until the bytes so far satisfy `enough` or the peer closes.
    pub async fn read_until(&mut self, what: &str, enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let read = async {
            let mut all = Vec::new();
            while !enough(&all) {
                match self.socket.read_buf(&mut all).await {
                    Ok(0) | Err(_) => break,
                    Ok(_) => {}
                }
            }
            all
        };
        within(what, read).await
    }

    /// Closes by reset.
    pub fn reset(self) {
        self.socket.set_zero_linger().expect("a live socket");
    }
}

/// Writes `request` whole, reads until the peer closes. Say `connection: close` in it.
pub async fn exchange(address: SocketAddr, request: &[u8]) -> RawReply {
    let mut raw = Raw::connect(address).await;
    raw.write(request).await;
    parse(&raw.read_to_end().await)
}

/// Splits an answer.
pub fn parse(bytes: &[u8]) -> RawReply {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    let (head, body) = bytes.split_at(end);
    let head = String::from_utf8_lossy(head).into_owned();
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    RawReply { status, head, body: body.to_vec() }
}

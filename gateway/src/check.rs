//! `turnpike-gateway health`: whether a gateway answers, for containers that hold no curl.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::Context;

/// A gateway that takes longer is not healthy.
const LIMIT: Duration = Duration::from_secs(2);

/// Asks for `/health/liveness`.
///
/// # Errors
/// No connection, no answer, or another answer than 200.
pub fn health(address: SocketAddr) -> anyhow::Result<()> {
    let mut stream =
        TcpStream::connect_timeout(&address, LIMIT).with_context(|| format!("nothing listens on {address}"))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    write!(stream, "GET /health/liveness HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).with_context(|| format!("{address} did not answer in time"))?;
    let status = String::from_utf8_lossy(&head);
    anyhow::ensure!(status == "HTTP/1.1 200", "{address} answered `{status}`");
    Ok(())
}

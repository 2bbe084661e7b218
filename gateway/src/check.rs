//! `turnpike-gateway health`: whether a gateway answers, for containers that hold no curl.

use std::{
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use anyhow::Context;

/// A gateway that takes longer is not healthy.
const LIMIT: Duration = Duration::from_secs(2);

/// Asks for `/health/liveness` at the first address of a host and port that takes a connection.
///
/// # Errors
/// No such host, no connection, no answer, or another answer than 200.
pub fn health(address: &str) -> anyhow::Result<()> {
    let mut resolved = address.to_socket_addrs().with_context(|| format!("{address} is no host and port"))?;
    let mut stream = resolved
        .find_map(|one| TcpStream::connect_timeout(&one, LIMIT).ok())
        .with_context(|| format!("nothing listens on {address}"))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    write!(stream, "GET /health/liveness HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).with_context(|| format!("{address} did not answer in time"))?;
    let status = String::from_utf8_lossy(&head);
    anyhow::ensure!(status == "HTTP/1.1 200", "{address} answered `{status}`");
    Ok(())
}

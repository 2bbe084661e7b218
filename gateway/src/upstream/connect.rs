//! Opens connections to upstreams: DNS, the egress guard on each resolved address, a proxy's tunnel, TLS.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Origin, egress::Egress, proxy::Proxy};

pub use super::{proxy::ProxyVariables, tls::client_config};

/// Everything needed to connect; shared by all runtimes.
#[derive(Clone)]
pub struct Connector {
    egress: Arc<Egress>,
    proxy: Arc<Proxy>,
    tls: Arc<ClientConfig>,
}

/// Why no connection came to be. `Display` is safe to show to callers: no address, no credential.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name does not resolve.
    #[error("its name could not be resolved")]
    Dns(#[source] io::Error),
    /// Every address is refused by the egress guard.
    #[error("its address may not be dialled (egress guard)")]
    Refused,
    /// TCP failed.
    #[error("the connection was refused or failed")]
    Tcp(#[source] io::Error),
    /// The proxy failed.
    #[error("the proxy failed")]
    Proxy(#[source] io::Error),
    /// The handshake or the certificate failed.
    #[error("TLS failed")]
    Tls(#[source] io::Error),
    /// Not within `timeouts.connect`.
    #[error("it did not connect in time")]
    Timeout,
}

impl ConnectError {
    /// `Display` as a constant.
    pub fn text(&self) -> &'static str {
        match self {
            Self::Dns(_) => "its name could not be resolved",
            Self::Refused => "its address may not be dialled (egress guard)",
            Self::Tcp(_) => "the connection was refused or failed",
            Self::Proxy(_) => "the proxy failed",
            Self::Tls(_) => "TLS failed",
            Self::Timeout => "it did not connect in time",
        }
    }
}

impl Connector {
    /// A connector under these rules.
    ///
    /// # Errors
    /// A proxy variable is malformed.
    pub fn new(egress: Egress, variables: &ProxyVariables, tls: Arc<ClientConfig>) -> anyhow::Result<Self> {
        Ok(Self { egress: Arc::new(egress), proxy: Arc::new(Proxy::new(variables)?), tls })
    }

    /// The same under other rules.
    #[must_use]
    pub fn under(&self, egress: Egress) -> Self {
        Self { egress: Arc::new(egress), ..self.clone() }
    }

    /// Connects; the caller bounds the time.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(&self, origin: &Origin) -> Result<Stream, ConnectError> {
        let tcp = if let Some(hop) = self.proxy.hop(origin) {
            // The proxy resolves names itself; an address written in the URL is still checked here.
            if is_address(&origin.host) {
                self.allowed(origin).await?;
            }
            let mut tcp = dial(&resolve(&hop.host, hop.port).await?).await?;
            hop.tunnel(&mut tcp, origin).await.map_err(ConnectError::Proxy)?;
            tcp
        } else {
            dial(&self.allowed(origin).await?).await?
        };
        if !origin.tls {
            return Ok(Stream::Plain(tcp));
        }
        let name = ServerName::try_from(origin.host.to_string())
            .map_err(|error| ConnectError::Tls(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
        let tls = TlsConnector::from(Arc::clone(&self.tls)).connect(name, tcp).await.map_err(ConnectError::Tls)?;
        Ok(Stream::Tls(Box::new(tls)))
    }

    /// Addresses of the origin that the guard lets pass; an error where that is none.
    async fn allowed(&self, origin: &Origin) -> Result<Vec<SocketAddr>, ConnectError> {
        let mut addresses = resolve(&origin.host, origin.port).await?;
        addresses.retain(|address| self.egress.allows(address.ip(), origin.reach));
        if addresses.is_empty() { Err(ConnectError::Refused) } else { Ok(addresses) }
    }
}

/// An address in any notation that resolvers take: `127.1`, `2130706433` and `0x7f.1` are 127.0.0.1. What ends in a
/// number is never a domain.
fn is_address(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let number = match last.strip_prefix("0x").or_else(|| last.strip_prefix("0X")) {
        Some(hex) => hex.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()),
    };
    number || host.contains(':')
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let found: Vec<_> = tokio::net::lookup_host((host, port)).await.map_err(ConnectError::Dns)?.collect();
    if found.is_empty() {
        return Err(ConnectError::Dns(io::Error::new(io::ErrorKind::NotFound, "no address")));
    }
    Ok(found)
}

async fn dial(addresses: &[SocketAddr]) -> Result<TcpStream, ConnectError> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(tcp) => {
                tcp.set_nodelay(true).map_err(ConnectError::Tcp)?;
                return Ok(tcp);
            }
            Err(error) => last = error,
        }
    }
    Err(ConnectError::Tcp(last))
}

/// A connection, plain or TLS.
pub enum Stream {
    /// TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

macro_rules! delegate {
    ($self:ident, $method:ident ( $($argument:expr),* )) => {
        match $self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).$method($($argument),*),
            Stream::Tls(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        delegate!(self, poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        delegate!(self, poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        delegate!(self, poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, poll_shutdown(cx))
    }
}

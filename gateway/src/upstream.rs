//! The way to upstreams: origins, egress guard, connections, and one pool of idle connections per runtime.

use std::{net::SocketAddr, sync::Arc};

use http::{HeaderValue, Uri};
use turnpike_bundle::entry::Egress as Reach;

pub mod connect;
pub mod credentials;
pub mod egress;
pub mod fetch;
pub mod http1;
pub mod pool;
pub mod proxy;
pub mod sign;
mod tls;

/// Scheme, host and port of an upstream.
#[derive(Debug, PartialEq, Eq)]
pub struct Origin {
    /// TLS or not.
    pub tls: bool,
    /// Name or address, IPv6 without brackets.
    pub host: Box<str>,
    /// TCP port.
    pub port: u16,
    /// Which addresses may be dialled for it.
    pub reach: Reach,
    /// `scheme://host:port` and the reach: the pool's key, so that nobody is lent a connection that it might not open.
    pub key: Box<str>,
    /// The `Host` header.
    pub header: HeaderValue,
}

/// Where a request goes: its origin and the origin-form target.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Who to connect to.
    pub origin: Arc<Origin>,
    /// Path and query only.
    pub target: Uri,
}

/// The URL cannot be dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not a URI.
    #[error("not a valid URL")]
    Syntax,
    /// Neither http nor https.
    #[error("the scheme must be http or https")]
    Scheme,
    /// No host.
    #[error("the URL has no host")]
    Host,
}

/// The same URL at an address instead of a host.
pub fn at(url: &str, address: SocketAddr) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default();
    format!("{scheme}://{address}{path}")
}

impl Endpoint {
    /// Splits an absolute URL, whose host may be dialled within `reach`.
    ///
    /// # Errors
    /// It is no absolute http(s) URL.
    pub fn parse(url: &str, reach: Reach) -> Result<Self, UrlError> {
        let uri: Uri = url.parse().map_err(|_| UrlError::Syntax)?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(UrlError::Scheme),
        };
        let authority = uri.authority().ok_or(UrlError::Host)?;
        let host = authority.host();
        if host.is_empty() {
            return Err(UrlError::Host);
        }
        let default_port = if tls { 443 } else { 80 };
        let port = authority.port_u16().unwrap_or(default_port);
        let header = if port == default_port { host.to_owned() } else { format!("{host}:{port}") };
        let origin = Origin {
            tls,
            host: host.trim_start_matches('[').trim_end_matches(']').into(),
            port,
            reach,
            key: format!("{}://{host}:{port} {reach:?}", if tls { "https" } else { "http" }).into(),
            header: HeaderValue::try_from(header).map_err(|_| UrlError::Syntax)?,
        };
        let target = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        Ok(Self { origin: Arc::new(origin), target: target.parse().map_err(|_| UrlError::Syntax)? })
    }
}

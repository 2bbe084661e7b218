//! A forward proxy towards upstreams (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`), used by CONNECT.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use http::Uri;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use turnpike_bundle::entry::Egress as Reach;

use super::Origin;

/// The longest answer to CONNECT that is read.
const MAX_ANSWER: usize = 8 * 1024;

/// A proxy and the hosts that go past it.
#[derive(Clone, Default)]
pub struct Proxy {
    https: Option<Hop>,
    http: Option<Hop>,
    except: Vec<String>,
}

/// Where a proxy listens.
#[derive(Clone)]
pub struct Hop {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    authorization: Option<String>,
}

/// Values of the environment's proxy variables.
#[derive(Clone, Debug, Default)]
pub struct ProxyVariables {
    /// `HTTPS_PROXY`.
    pub https: Option<String>,
    /// `HTTP_PROXY`.
    pub http: Option<String>,
    /// `NO_PROXY`: comma-separated hosts, `.suffixes`, or `*`.
    pub except: Option<String>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("https", &self.https.is_some())
            .field("http", &self.http.is_some())
            .finish_non_exhaustive()
    }
}

impl Proxy {
    /// Reads the variables' values.
    ///
    /// # Errors
    /// A proxy is not an `http://[user:password@]host[:port]` URL.
    pub fn new(variables: &ProxyVariables) -> anyhow::Result<Self> {
        let except = variables.except.as_deref().unwrap_or_default();
        Ok(Self {
            https: variables.https.as_deref().map(Hop::parse).transpose()?,
            http: variables.http.as_deref().map(Hop::parse).transpose()?,
            except: except
                .split(',')
                .map(|host| host.trim().trim_start_matches("*.").trim_start_matches('.').to_ascii_lowercase())
                .filter(|host| !host.is_empty())
                .collect(),
        })
    }

    /// The proxy to go through, if any.
    pub fn hop(&self, origin: &Origin) -> Option<&Hop> {
        let hop = if origin.tls { self.https.as_ref() } else { self.http.as_ref() }?;
        let host = origin.host.to_ascii_lowercase();
        // A Service and its pods are in this cluster, where no proxy leads.
        let past = origin.reach == Reach::OwnService
            || host == "localhost"
            || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
            || self.except.iter().any(|except| {
                except == "*"
                    || host == *except
                    || host.strip_suffix(except.as_str()).is_some_and(|rest| rest.ends_with('.'))
            });
        (!past).then_some(hop)
    }
}

impl Hop {
    fn parse(url: &str) -> anyhow::Result<Self> {
        let with_scheme = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        // The value may hold a password, so the error never repeats it.
        let uri: Uri = with_scheme
            .parse()
            .map_err(|_| anyhow::anyhow!("a proxy variable is not a URL such as http://proxy:3128"))?;
        anyhow::ensure!(uri.scheme_str() == Some("http"), "a proxy variable must be an http:// URL");
        let authority = uri.authority().ok_or_else(|| anyhow::anyhow!("a proxy variable names no host"))?;
        let authorization = authority.as_str().rsplit_once('@').map(|(user, _)| {
            let user = percent_encoding::percent_decode_str(user).collect::<Vec<u8>>();
            format!("Basic {}", BASE64_STANDARD.encode(user))
        });
        Ok(Self {
            host: authority.host().trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: authority.port_u16().unwrap_or(80),
            authorization,
        })
    }

    /// Opens a tunnel to `origin` over a connection to this proxy.
    ///
    /// # Errors
    /// The proxy refused, or broke off.
    pub async fn tunnel(&self, stream: &mut TcpStream, origin: &Origin) -> std::io::Result<()> {
        let host = if origin.host.contains(':') { format!("[{}]", origin.host) } else { origin.host.to_string() };
        let target = format!("{host}:{}", origin.port);
        let authorization =
            self.authorization.as_ref().map(|value| format!("Proxy-Authorization: {value}\r\n")).unwrap_or_default();
        let head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{authorization}\r\n");
        stream.write_all(head.as_bytes()).await?;
        let mut answer = Vec::with_capacity(256);
        // One byte at a time: what follows the head belongs to the tunnel.
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() > MAX_ANSWER {
                return Err(std::io::Error::other("the proxy's answer is too long"));
            }
            answer.push(stream.read_u8().await?);
        }
        // The status alone: what else a proxy says may repeat what it was told.
        match status(&answer) {
            Some(200..300) => Ok(()),
            Some(status) => Err(std::io::Error::other(format!("the proxy refused the tunnel with status {status}"))),
            None => Err(std::io::Error::other("the proxy does not answer as an HTTP proxy")),
        }
    }
}

/// The status of an HTTP/1 answer.
fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\r').next()?;
    let rest = line.strip_prefix(b"HTTP/1.1 ").or_else(|| line.strip_prefix(b"HTTP/1.0 "))?;
    std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok()
}

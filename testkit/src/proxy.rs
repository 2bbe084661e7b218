//! A scripted forward proxy: answers CONNECT, leads every tunnel to one place, and records who asked for what.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use crate::wait::within;

/// Longest head that is read.
const MAX_HEAD: usize = 16 * 1024;

/// The running proxy; stops when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    log: watch::Sender<Vec<Asked>>,
    _accepting: JoinSet<()>,
}

/// What is done with everyone who connects.
#[derive(Clone, Debug)]
pub enum Conduct {
    /// Opens the tunnel, whatever name was asked for, to this address: names are the proxy's to resolve.
    Lead(SocketAddr),
    /// Says this instead of an opened tunnel, then closes.
    Say(String),
    /// Reads the request and never answers.
    Stall,
}

/// One request for a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The request line and headers.
    pub head: String,
}

impl Asked {
    /// Host and port that the tunnel should lead to.
    pub fn target(&self) -> &str {
        let mut words = self.head.split(' ');
        assert_eq!(words.next(), Some("CONNECT"), "{}", self.head);
        words.next().unwrap_or_default()
    }

    /// A header's value; `None` where absent.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl Proxy {
    /// Starts listening on a free port of 127.0.0.1.
    pub async fn start(conduct: Conduct) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let log = watch::Sender::new(Vec::new());
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, conduct, log.clone()));
        Self { address, log, _accepting: accepting }
    }

    /// Its URL; `user` is `user:password`, percent-encoded, or empty.
    pub fn url(&self, user: &str) -> String {
        let at = if user.is_empty() { "" } else { "@" };
        format!("http://{user}{at}{}", self.address)
    }

    /// All requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.log.borrow().clone()
    }

    /// Waits until this many have asked.
    pub async fn wait_for(&self, count: usize) -> Vec<Asked> {
        let mut log = self.log.subscribe();
        let what = format!("{count} requests to the proxy");
        within(&what, log.wait_for(|log| log.len() >= count)).await.expect("it lives as long as the proxy").clone()
    }
}

async fn accept(listener: TcpListener, conduct: Conduct, log: watch::Sender<Vec<Asked>>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        connections.spawn(serve(socket, conduct.clone(), log.clone()));
        while connections.try_join_next().is_some() {}
    }
}

/// Ends with whoever closes first; what went wrong shows at both ends of the tunnel.
async fn serve(mut socket: TcpStream, conduct: Conduct, log: watch::Sender<Vec<Asked>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD {
        head.push(socket.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    log.send_modify(|log| log.push(Asked { head }));
    match conduct {
        Conduct::Lead(to) => {
            let mut upstream = TcpStream::connect(to).await?;
            socket.write_all(b"HTTP/1.1 200 Connection established\r\nvia: 1.1 test\r\n\r\n").await?;
            copy_bidirectional(&mut socket, &mut upstream).await?;
            Ok(())
        }
        Conduct::Say(answer) => socket.write_all(answer.as_bytes()).await,
        Conduct::Stall => std::future::pending().await,
    }
}

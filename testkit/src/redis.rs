//! A real Redis for tests, on a Unix socket in a temporary folder.

use std::path::PathBuf;

use tokio::net::UnixStream;

use crate::{
    service::{Service, folder, guarded},
    wait::eventually,
};

/// One server, of one test.
#[derive(Debug)]
pub struct Redis {
    socket: PathBuf,
    service: Service,
}

impl Redis {
    /// Starts a server that keeps nothing on disk, and waits until it listens.
    pub async fn start() -> Self {
        let folder = folder("redis-");
        let socket = folder.join("socket");
        let mut words = guarded(None, "KILL");
        words.extend(["redis-server", "--port", "0", "--save", "", "--appendonly", "no"].map(str::to_owned));
        words.extend(["--unixsocket".to_owned(), socket.display().to_string()]);
        words.extend(["--dir".to_owned(), folder.display().to_string()]);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let service = Service::start(&folder, "KILL", &words);
        let server = Self { socket, service };
        eventually("Redis listens", || async { UnixStream::connect(&server.socket).await.ok() }).await;
        server
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket.display())
    }

    /// Stops it from answering; connections stay open.
    pub fn freeze(&self) {
        self.service.signal("STOP");
    }

    /// Lets it answer again.
    pub fn thaw(&self) {
        self.service.signal("CONT");
    }
}

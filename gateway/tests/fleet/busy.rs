//! A database that answers slowly is not one that is gone.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{UnixListener, UnixStream},
    sync::oneshot,
    task::JoinSet,
    time::Instant,
};
use turnpike_testkit::{manifest, postgres};

use crate::stage::{CHAT, Fleet, key, request};

const SOCKET: &str = ".s.PGSQL.5432";

/// Stands before a database; whatever is asked comes to it later.
struct Slow {
    folder: TempDir,
    delay: Arc<AtomicU64>,
    /// Dropped, it ends.
    _ending: oneshot::Sender<()>,
}

impl Slow {
    fn new(folder: &Path) -> Self {
        let (real, delay) = (folder.join(SOCKET), Arc::new(AtomicU64::new(0)));
        let folder = tempfile::tempdir().unwrap();
        let listener = std::os::unix::net::UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let (ending, ended) = oneshot::channel();
        let late = Arc::clone(&delay);
        // With a thread of its own: late by as much as it should be, whatever clients do.
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = UnixListener::from_std(listener).unwrap();
                tokio::select! {
                    () = accept(listener, real, late) => {}
                    _ = ended => {}
                }
            });
        });
        Self { folder, delay, _ending: ending }
    }

    /// From now on by so much, each time.
    fn by(&self, delay: Duration) {
        self.delay.store(u64::try_from(delay.as_millis()).unwrap(), Ordering::Relaxed);
    }
}

async fn accept(listener: UnixListener, real: PathBuf, delay: Arc<AtomicU64>) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let (mut from, mut to) = near.into_split();
        let (mut answers, mut asks) = UnixStream::connect(&real).await.unwrap().into_split();
        let delay = Arc::clone(&delay);
        connections.spawn(async move {
            let asking = async {
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(read @ 1..) = from.read(&mut buffer).await {
                    tokio::time::sleep(Duration::from_millis(delay.load(Ordering::Relaxed))).await;
                    if asks.write_all(&buffer[..read]).await.is_err() {
                        return;
                    }
                }
            };
            tokio::select! {
                () = asking => {}
                _ = copy(&mut answers, &mut to) => {}
            }
        });
    }
}

#[tokio::test]
async fn a_thousand_clients_wait_for_a_slow_database_and_none_is_refused() {
    let database = postgres::database().await;
    let (address, folder) = database.split_once("?host=").unwrap();
    let slow = Slow::new(Path::new(folder));
    let database = format!("{address}?host={}", slow.folder.path().display());
    let warm = "sk-warm-0123456789abcdef";
    let limit = json!({"window": "Month", "usd": "1000.00"});
    let objects = [key(&limit), manifest::key("warm", warm).with("budget", json!([limit]))];
    let fleet = Fleet::new(3, database, &objects).await;
    for number in 0..3 {
        assert_eq!(fleet.client(number).with_key(warm).post(CHAT, &request(0, 10)).await.status, 200);
    }
    // An exchange is four questions, and has the account's row to itself for most of them, as have the writers of spend rows: in
    // all a second or so.
    slow.by(Duration::from_millis(50));
    let clients = (0..1000).map(|number| {
        let client = fleet.client(number);
        tokio::spawn(async move { client.post(CHAT, &request(number, 9_000)).await })
    });
    let began = Instant::now();
    let mut refused = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        let reply = client.await.unwrap();
        if reply.status != 200 {
            refused.push(reply.text());
        }
    }
    println!("{} of 1,000 refused, in {:?}", refused.len(), began.elapsed());
    assert!(refused.is_empty(), "{refused:?}");
    slow.by(Duration::ZERO);
    fleet.all_booked().await;
}

//! Kept answers in Redis, shared by gateways. Nobody waits long for it: one that is slow, gone or full of something else is a
//! miss.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use redis::{AsyncConnectionConfig, Client, RedisResult, aio::MultiplexedConnection};
use tokio::{
    runtime::Handle,
    sync::Semaphore,
    time::{Instant, timeout},
};
use turnpike_ledger::store::{Breaker, Turn};

use super::{
    kept::{Kept, Unusable},
    key::{self, Key},
};

/// Longest that a request waits for an answer.
const PATIENCE: Duration = Duration::from_millis(10);
/// Longest that a new connection, or a value on its way there, may take; nobody waits for either.
const BESIDE: Duration = Duration::from_secs(2);
/// Values on their way there at most; more are not sent.
const SENDING: usize = 64;

/// A Redis server. Cheap to clone.
#[derive(Clone)]
pub struct Remote {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    /// Where the connection lives, whoever asks.
    home: Handle,
    connection: ArcSwapOption<MultiplexedConnection>,
    connecting: AtomicBool,
    breaker: Mutex<Breaker>,
    sending: Semaphore,
    failures: AtomicU64,
    unusable: AtomicU64,
}

impl Remote {
    /// Begins to connect, without waiting. `url`: `redis://`, `rediss://` or `redis+unix://`.
    ///
    /// # Errors
    /// The URL is not one.
    pub fn open(url: &str, home: Handle) -> RedisResult<Self> {
        let shared = Arc::new(Shared {
            client: Client::open(url)?,
            home,
            connection: ArcSwapOption::empty(),
            connecting: AtomicBool::new(false),
            breaker: Mutex::default(),
            sending: Semaphore::new(SENDING),
            failures: AtomicU64::new(0),
            unusable: AtomicU64::new(0),
        });
        shared.connect();
        Ok(Self { shared })
    }

    /// What it keeps under this key, if it can say so at once.
    pub async fn get(&self, key: &Key) -> Option<Kept> {
        let mut connection = self.shared.connection()?;
        let asked = timeout(PATIENCE, redis::cmd("GET").arg(name(key)).query_async(&mut connection)).await;
        let value: Option<Vec<u8>> = match asked {
            Ok(Ok(value)) => {
                self.shared.succeeded();
                value
            }
            Ok(Err(error)) => {
                self.shared.failed(&error, true);
                None
            }
            Err(late) => {
                self.shared.failed(&late, false);
                None
            }
        };
        let read = Kept::read_beside(Bytes::from(value?), *key).await?;
        read.inspect_err(|why| self.shared.unusable(*why)).ok()
    }

    /// Sends it there beside; it may not arrive.
    pub fn put(&self, key: Key, kept: &Arc<Kept>, now: i64) {
        let (shared, kept) = (Arc::clone(&self.shared), Arc::clone(kept));
        let Ok(left) = u64::try_from(kept.until.saturating_sub(now)) else { return };
        let Some(mut connection) = shared.connection().filter(|_| left > 0) else { return };
        self.shared.home.spawn(async move {
            // Full: what Redis cannot take it does without.
            let Ok(_sending) = shared.sending.try_acquire() else { return };
            let mut set = redis::cmd("SET");
            set.arg(name(&key)).arg(kept.write(&key)).arg("PX").arg(left);
            match timeout(BESIDE, set.exec_async(&mut connection)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => shared.failed(&error, true),
                Err(late) => shared.failed(&late, false),
            }
        });
    }

    /// Asks without an answer in time, since the start.
    pub fn failures(&self) -> u64 {
        self.shared.failures.load(Relaxed)
    }

    /// Values found there that are not ours, not of this version, or damaged, since the start.
    pub fn unusable(&self) -> u64 {
        self.shared.unusable.load(Relaxed)
    }
}

impl Shared {
    /// `None` = there is none now, or it is left alone for a while.
    fn connection(self: &Arc<Self>) -> Option<MultiplexedConnection> {
        if !self.breaker().allows(Instant::now()) {
            return None;
        }
        let connection = self.connection.load();
        if connection.is_none() {
            self.connect();
        }
        connection.as_deref().cloned()
    }

    fn connect(self: &Arc<Self>) {
        if self.connecting.swap(true, Relaxed) {
            return;
        }
        let shared = Arc::clone(self);
        self.home.spawn(async move {
            let config =
                AsyncConnectionConfig::new().set_connection_timeout(Some(BESIDE)).set_response_timeout(Some(BESIDE));
            match shared.client.get_multiplexed_async_connection_with_config(&config).await {
                Ok(connection) => shared.connection.store(Some(Arc::new(connection))),
                Err(error) => shared.failed(&error, true),
            }
            shared.connecting.store(false, Relaxed);
        });
    }

    fn succeeded(&self) {
        if self.breaker().succeeded() == Turn::Closed {
            tracing::info!("Redis answers again; kept answers are shared");
        }
    }

    /// After an error the connection is a new one; after a silence only when it lasts.
    fn failed(&self, error: &dyn std::error::Error, is_broken: bool) {
        self.failures.fetch_add(1, Relaxed);
        let turn = self.breaker().failed(Instant::now());
        if is_broken || turn == Turn::Opened {
            self.connection.store(None);
        }
        if turn == Turn::Opened {
            tracing::warn!(%error, "Redis does not answer; each gateway keeps answers for itself, and it is tried again");
        }
    }

    fn unusable(&self, why: Unusable) {
        if self.unusable.fetch_add(1, Relaxed).is_multiple_of(1000) {
            tracing::warn!(?why, "a kept answer in Redis cannot be used; the model is asked");
        }
    }

    fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name(key: &Key) -> String {
    format!("turnpike:answer:{}", key::shown(key))
}

//! Kept answers by what their requests mean, in the gateways' PostgreSQL: for all of them, and more than one process compares.
//! Nobody waits long for it: a server that is slow, gone or without the extension `vector` leaves each gateway to itself.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    runtime::Handle,
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};
use turnpike_ledger::store::{Alike, AlikeError, AlikeStore, Breaker, Likest, Turn, Wanted};

use super::{Meaning, index::Found};
use crate::cache::{
    kept::{Kept, Unusable},
    key::Key,
};

/// Longest that a request waits for an answer. Its embedding took longer.
const PATIENCE: Duration = Duration::from_millis(250);
/// Answers on their way there at most; more are not sent.
const SENDING: usize = 64;
/// Between looks for expired answers.
const TIDY: Duration = Duration::from_mins(1);
/// Until an extension that was not there is looked for again.
const ABSENT: Duration = Duration::from_mins(1);

/// The table. Cheap to clone.
#[derive(Clone)]
pub struct Shared {
    inner: Arc<Inner>,
}

struct Inner {
    store: AlikeStore,
    /// Where its connections live, whoever asks.
    home: Handle,
    is_ready: AtomicBool,
    preparing: AtomicBool,
    /// The log has it that there is a table.
    is_said: AtomicBool,
    /// The log has it that there is no extension.
    is_absent: AtomicBool,
    breaker: Mutex<Breaker>,
    sending: Semaphore,
    failures: AtomicU64,
    unusable: AtomicU64,
}

impl Shared {
    /// Begins to make the table where it is not there, without waiting. `url`: of PostgreSQL.
    ///
    /// # Errors
    /// The URL is not one.
    pub fn open(url: &str, home: Handle) -> Result<Self, AlikeError> {
        let inner = Arc::new(Inner {
            store: AlikeStore::new(url)?,
            home,
            is_ready: AtomicBool::new(false),
            preparing: AtomicBool::new(false),
            is_said: AtomicBool::new(false),
            is_absent: AtomicBool::new(false),
            breaker: Mutex::default(),
            sending: Semaphore::new(SENDING),
            failures: AtomicU64::new(0),
            unusable: AtomicU64::new(0),
        });
        inner.prepare();
        let tidying = Arc::clone(&inner);
        inner.home.spawn(async move {
            loop {
                sleep(TIDY).await;
                tidying.tidy().await;
            }
        });
        Ok(Self { inner })
    }

    /// The likest answer, if it is like enough and can be had at once.
    pub async fn find(&self, meaning: &Meaning, threshold: f32, now: i64) -> Option<(Kept, Found)> {
        if !self.inner.is_usable() {
            return None;
        }
        let wanted =
            Wanted { partition: meaning.partition, vector: meaning.vector.numbers(), threshold: threshold.into(), now };
        let inner = Arc::clone(&self.inner);
        // Goes on when nobody waits any more: to give a connection up costs the server more than to answer.
        let asked = self.inner.home.spawn(async move { inner.store.find(&wanted).await });
        let likest = match timeout(PATIENCE, asked).await {
            Ok(Ok(Ok(likest))) => {
                self.inner.succeeded();
                likest
            }
            Ok(Ok(Err(error))) => {
                self.inner.failed(&error);
                None
            }
            Ok(Err(_ending)) => None,
            Err(late) => {
                self.inner.late(&late);
                None
            }
        };
        let Likest { key, value, likeness } = likest?;
        let kept = Kept::read_beside(Bytes::from(value), key).await?;
        let kept = kept.inspect_err(|why| self.inner.unusable(*why)).ok()?;
        Some((kept, Found { key, likeness: narrow(likeness) }))
    }

    /// Sends it there beside; it may not arrive.
    pub fn put(&self, meaning: &Meaning, key: Key, kept: &Arc<Kept>) {
        if !self.inner.is_usable() {
            return;
        }
        let (inner, meaning, kept) = (Arc::clone(&self.inner), meaning.clone(), Arc::clone(kept));
        self.inner.home.spawn(async move {
            // Full: what the server cannot take it does without.
            let Ok(_sending) = inner.sending.try_acquire() else { return };
            let alike = Alike {
                partition: meaning.partition,
                key,
                vector: meaning.vector.numbers(),
                value: kept.write(&key),
                until: kept.until,
            };
            if let Err(error) = inner.store.put(&alike).await {
                inner.failed(&error);
            }
        });
    }

    /// Asks without an answer in time, since the start.
    pub fn failures(&self) -> u64 {
        self.inner.failures.load(Relaxed)
    }

    /// Values found there that are not ours, not of this version, or damaged, since the start.
    pub fn unusable(&self) -> u64 {
        self.inner.unusable.load(Relaxed)
    }
}

impl Inner {
    /// Whether to ask: there is a table, and the server is not left alone for a while.
    fn is_usable(self: &Arc<Self>) -> bool {
        if !self.breaker().allows(Instant::now()) {
            return false;
        }
        let is_ready = self.is_ready.load(Relaxed);
        if !is_ready {
            self.prepare();
        }
        is_ready
    }

    fn prepare(self: &Arc<Self>) {
        if self.preparing.swap(true, Relaxed) {
            return;
        }
        let inner = Arc::clone(self);
        self.home.spawn(async move {
            match inner.store.prepare().await {
                Ok(()) => {
                    inner.is_ready.store(true, Relaxed);
                    if !inner.is_said.swap(true, Relaxed) {
                        tracing::info!("answers to requests that mean the same are shared through PostgreSQL");
                    }
                    inner.tidy().await;
                }
                Err(error @ (AlikeError::Extension(_) | AlikeError::Old)) => {
                    inner.absent(&error);
                    sleep(ABSENT).await;
                }
                Err(error) => inner.failed(&error),
            }
            inner.preparing.store(false, Relaxed);
        });
    }

    /// Other gateways do the same: each row is deleted by one of them.
    async fn tidy(&self) {
        if self.is_ready.load(Relaxed)
            && let Err(error) = self.store.forget(jiff::Timestamp::now().as_millisecond()).await
        {
            self.failed(&error);
        }
    }

    fn absent(&self, error: &AlikeError) {
        if !self.is_absent.swap(true, Relaxed) {
            let source = std::error::Error::source(error).map(ToString::to_string);
            tracing::warn!(%error, source, "each gateway compares requests by itself; the database is looked at again now and then");
        }
    }

    fn succeeded(&self) {
        if self.breaker().succeeded() == Turn::Closed {
            tracing::info!("PostgreSQL answers again; answers to requests that mean the same are shared");
        }
    }

    /// After an error the table may be gone as well: it is made anew.
    fn failed(&self, error: &AlikeError) {
        self.is_ready.store(false, Relaxed);
        self.late(error);
    }

    fn late(&self, error: &dyn std::error::Error) {
        self.failures.fetch_add(1, Relaxed);
        if self.breaker().failed(Instant::now()) == Turn::Opened {
            let source = error.source().map(ToString::to_string);
            tracing::warn!(%error, source, "answers to requests that mean the same are not shared now; PostgreSQL is tried again");
        }
    }

    fn unusable(&self, why: Unusable) {
        if self.unusable.fetch_add(1, Relaxed).is_multiple_of(1000) {
            tracing::warn!(?why, "a kept answer in PostgreSQL cannot be used; the model is asked");
        }
    }

    fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a number from 0 to 1 with at most 6 decimals")]
fn narrow(likeness: f64) -> f32 {
    (likeness as f32).min(1.0)
}

//! Answers that are given again: to the very same request, and to one that means the same.
//!
//! ```text
//!  request ─ control (what the client wants) ─▶ key ─▶ local ─▶ remote (Redis) ─▶ a hit: the kept answer, at no cost
//!                                                │ miss
//!                                                ├─▶ flight: an equal request is under way: wait for it, look again
//!                                                ├─▶ semantic: embed the last message, find the likest here or in PostgreSQL
//!                                                └─▶ Recorder: rides with the answer, keeps it at its clean end
//! ```

pub mod canonical;
pub mod control;
pub mod flight;
pub mod keepable;
pub mod kept;
pub mod key;
pub mod local;
pub mod recorder;
pub mod remote;
pub mod replay;
pub mod semantic;
pub mod settings;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use self::{
    control::Control,
    flight::{Flight, Flights},
    kept::Kept,
    key::Key,
    local::Local,
    recorder::{Plan, Recorder},
    remote::Remote,
    semantic::{
        Embedders, Meaning,
        index::{Found, Index},
        shared::Shared,
    },
};
use crate::pipeline::admit::Budget;

/// Longest that a request waits for an equal one.
const WAIT: Duration = Duration::from_secs(30);
/// A search that reads more bytes than this leaves the runtime.
const INLINE_SEARCH: usize = 256 * 1024;

/// All kept answers that this gateway knows of.
pub struct Cache {
    /// Nothing is kept.
    pub is_off: bool,
    local: Local,
    remote: Option<Remote>,
    flights: Flights,
    meanings: Arc<Index>,
    shared: Option<Shared>,
    /// Models that compare requests.
    pub embedders: Embedders,
    /// Bytes of answers under way that may be kept.
    recording: Budget,
    waited: AtomicU64,
}

/// What is known of a request before its model is asked.
pub enum Looked {
    /// Its answer.
    Hit(Arc<Kept>),
    /// There is none; what comes may be kept.
    Miss(Option<Box<Recorder>>),
}

impl Cache {
    /// Holds at most `bytes` in this process; 0 = nothing.
    pub fn new(bytes: u64, remote: Option<Remote>, shared: Option<Shared>) -> Self {
        Self {
            is_off: bytes == 0,
            local: Local::new(bytes),
            remote,
            flights: Flights::default(),
            meanings: Arc::default(),
            shared,
            embedders: Embedders::default(),
            recording: Budget::new(usize::try_from(bytes).unwrap_or(usize::MAX), "answers to keep"),
            waited: AtomicU64::new(0),
        }
    }

    /// Looks for an answer as far as `control` lets it, waiting for an equal request that is under way.
    pub async fn look(self: &Arc<Self>, plan: Plan, control: &Control) -> Looked {
        let key = plan.key;
        let mut lead = None;
        if control.read {
            if let Some(kept) = self.get(&key, control.max_age).await {
                return Looked::Hit(kept);
            }
            if control.write {
                match self.flights.join(key) {
                    Flight::First(first) => lead = Some(first),
                    Flight::Other(wait) => {
                        self.waited.fetch_add(1, Relaxed);
                        wait.end(WAIT.min(plan.left)).await;
                        if let Some(kept) = self.get(&key, control.max_age).await {
                            return Looked::Hit(kept);
                        }
                    }
                }
            }
        }
        let is_kept = control.write && plan.ttl > 0;
        Looked::Miss(is_kept.then(|| Box::new(Recorder::new(Arc::clone(self), plan, lead))))
    }

    /// An answer to a request that means the same. `None`: there is none that is like enough.
    pub async fn look_alike(
        &self,
        meaning: &Meaning,
        threshold: f32,
        max_age: Option<Duration>,
    ) -> Option<(Arc<Kept>, Found)> {
        let now = now();
        if let Some(alike) = self.look_alike_here(meaning, threshold, now).await
            && is_young(&alike.0, max_age, now)
        {
            return Some(alike);
        }
        // Another gateway may have one, or a younger one.
        let (kept, found) = self.shared.as_ref()?.find(meaning, threshold, now).await?;
        let kept = Arc::new(kept);
        self.local.put(found.key, Arc::clone(&kept));
        is_young(&kept, max_age, now).then_some((kept, found))
    }

    async fn look_alike_here(&self, meaning: &Meaning, threshold: f32, now: i64) -> Option<(Arc<Kept>, Found)> {
        let found = if self.meanings.weight(meaning) <= INLINE_SEARCH {
            self.meanings.find(meaning, threshold, now)
        } else {
            let (meanings, meaning) = (Arc::clone(&self.meanings), meaning.clone());
            tokio::task::spawn_blocking(move || meanings.find(&meaning, threshold, now)).await.ok().flatten()
        }?;
        let kept = self.get(&found.key, None).await;
        if kept.is_none() {
            // It had to make room.
            self.meanings.remove(&meaning.partition, &found.key);
        }
        Some((kept?, found))
    }

    async fn get(&self, key: &Key, max_age: Option<Duration>) -> Option<Arc<Kept>> {
        let now = now();
        if let Some(kept) = self.local.get(key, now).filter(|kept| is_young(kept, max_age, now)) {
            return Some(kept);
        }
        // Another gateway may have a younger one.
        let kept = Arc::new(self.remote.as_ref()?.get(key).await?);
        if kept.until <= now {
            return None;
        }
        self.local.put(*key, Arc::clone(&kept));
        is_young(&kept, max_age, now).then_some(kept)
    }

    /// Keeps an answer.
    pub fn put(&self, key: Key, kept: Kept, meaning: Option<Meaning>) {
        let (now, until, kept) = (now(), kept.until, Arc::new(kept));
        if let Some(remote) = &self.remote {
            remote.put(key, &kept, now);
        }
        if let (Some(shared), Some(meaning)) = (&self.shared, &meaning) {
            shared.put(meaning, key, &kept);
        }
        self.local.put(key, kept);
        if let Some(meaning) = meaning {
            self.meanings.add(meaning, key, until, now);
        }
    }

    /// Answers in this process.
    pub fn answers(&self) -> usize {
        self.local.len()
    }

    /// Bytes of them.
    pub fn bytes(&self) -> u64 {
        self.local.bytes()
    }

    /// Embeddings in this process.
    pub fn embeddings(&self) -> usize {
        self.meanings.len()
    }

    /// Requests that waited for an equal one, since the start.
    pub fn waited(&self) -> u64 {
        self.waited.load(Relaxed)
    }

    /// Redis, if there is one.
    pub fn remote(&self) -> Option<&Remote> {
        self.remote.as_ref()
    }

    /// The table in PostgreSQL, if it is used.
    pub fn shared(&self) -> Option<&Shared> {
        self.shared.as_ref()
    }

    /// Values of other gateways that are not ours, not of this version, or damaged, since the start.
    pub fn unusable(&self) -> u64 {
        self.remote.as_ref().map_or(0, Remote::unusable) + self.shared.as_ref().map_or(0, Shared::unusable)
    }
}

fn is_young(kept: &Kept, max_age: Option<Duration>, now: i64) -> bool {
    max_age.is_none_or(|most| u128::from(kept.age(now)) < most.as_millis())
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

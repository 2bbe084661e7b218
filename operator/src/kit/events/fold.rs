//! Which events are written: the first of its kind at once, repeats now and then, floods of one object not at all.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::core::v1::ObjectReference;
use tokio::time::Instant;

use super::EventType;

/// A repeat is written at most this often.
const REPEAT: Duration = Duration::from_mins(5);
/// After this long without a repeat the next one is a new event: the apiserver keeps events for an hour by default.
const FORGET: Duration = Duration::from_mins(30);
/// New events that one object may have at once.
const BURST: u32 = 20;
/// Time in which it earns one more.
const REFILL: Duration = Duration::from_secs(30);
/// Entries that are kept before old ones are looked for.
const SWEEP: usize = 4096;

/// What makes two events the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    object: String,
    kind: EventType,
    reason: String,
    note: String,
}

impl Key {
    /// Of an event about an object.
    pub fn new(regarding: &ObjectReference, kind: EventType, reason: &str, note: &str) -> Self {
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        let object =
            [part(&regarding.kind), part(&regarding.namespace), part(&regarding.name), part(&regarding.uid)].join("/");
        Self { object, kind, reason: reason.to_owned(), note: note.to_owned() }
    }
}

/// What to do with an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Write a new one.
    Create,
    /// Set the count of this one.
    Count {
        /// Its name.
        event: String,
        /// How often it has happened, at least 2.
        count: i32,
    },
    /// Write nothing.
    Suppress,
}

#[derive(Debug)]
struct Past {
    name: String,
    count: i32,
    written: Instant,
    seen: Instant,
}

#[derive(Debug)]
struct Bucket {
    left: u32,
    since: Instant,
}

/// What was written of late.
#[derive(Debug, Default)]
pub struct Fold {
    events: BTreeMap<Key, Past>,
    objects: BTreeMap<String, Bucket>,
}

impl Fold {
    /// Takes note of an event and says what to write of it: `name` is that of the event if it becomes a new one.
    pub fn decide(&mut self, key: Key, name: &str, now: Instant) -> Decision {
        self.sweep(now);
        if let Some(known) = self.events.get_mut(&key)
            && now.duration_since(known.seen) < FORGET
        {
            known.count = known.count.saturating_add(1);
            known.seen = now;
            if now.duration_since(known.written) < REPEAT {
                return Decision::Suppress;
            }
            known.written = now;
            return Decision::Count { event: known.name.clone(), count: known.count };
        }
        let bucket = self.objects.entry(key.object.clone()).or_insert(Bucket { left: BURST, since: now });
        bucket.refill(now);
        if bucket.left == 0 {
            return Decision::Suppress;
        }
        bucket.left -= 1;
        self.events.insert(key, Past { name: name.to_owned(), count: 1, written: now, seen: now });
        Decision::Create
    }

    /// The event could not be written, or is gone: the next one like it is a new one.
    pub fn forget(&mut self, key: &Key) {
        self.events.remove(key);
    }

    fn sweep(&mut self, now: Instant) {
        if self.events.len() > SWEEP {
            self.events.retain(|_, known| now.duration_since(known.seen) < FORGET);
        }
        if self.objects.len() > SWEEP {
            self.objects.retain(|_, bucket| now.duration_since(bucket.since) < REFILL * BURST);
        }
    }
}

impl Bucket {
    fn refill(&mut self, now: Instant) {
        let earned = u32::try_from(now.duration_since(self.since).as_secs() / REFILL.as_secs()).unwrap_or(u32::MAX);
        if earned > 0 {
            self.left = self.left.saturating_add(earned).min(BURST);
            self.since = now;
        }
    }
}

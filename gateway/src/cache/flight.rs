//! Equal requests at one time: the first one asks the model, the others wait for what it gets.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use super::key::Key;

type Waiting = HashMap<Key, watch::Receiver<()>>;

/// All requests whose answers others may wait for.
#[derive(Clone, Debug, Default)]
pub struct Flights {
    waiting: Arc<Mutex<Waiting>>,
}

/// What a request is among its equals.
#[derive(Debug)]
pub enum Flight {
    /// The first: it asks, and those that come now wait.
    First(Lead),
    /// One that waits.
    Other(Wait),
}

/// Held by the first one. Dropped when its answer is kept, or will not be.
#[derive(Debug)]
pub struct Lead {
    waiting: Arc<Mutex<Waiting>>,
    key: Key,
    /// Dropped, it wakes all.
    _done: watch::Sender<()>,
}

/// Held by the others.
#[derive(Debug)]
pub struct Wait(watch::Receiver<()>);

impl Flights {
    /// Joins the requests of this key.
    pub fn join(&self, key: Key) -> Flight {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match waiting.entry(key) {
            Entry::Occupied(first) => Flight::Other(Wait(first.get().clone())),
            Entry::Vacant(place) => {
                let (done, receiver) = watch::channel(());
                place.insert(receiver);
                Flight::First(Lead { waiting: Arc::clone(&self.waiting), key, _done: done })
            }
        }
    }
}

impl Wait {
    /// Waits for the end of the first one, at most so long.
    pub async fn end(mut self, most: Duration) {
        // Nothing is ever sent: this ends with the sender.
        tokio::time::timeout(most, self.0.changed()).await.ok();
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

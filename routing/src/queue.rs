//! Who waits for a free place, and who gets the next one.
//!
//! Keys take turns: a key that has many requests waiting does not keep out one that has few (start-time fair queueing with
//! equal shares). Among one key's requests, who came first goes first. How many wait is bounded, for each key too, and so is
//! how long: the caller says until when. The caller has the lock and the free places; this is only the order.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use crate::{Moment, window::Window};

/// Shortest and longest time after which a refused client is told to come back.
const COME_BACK: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// How many may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Requests of all keys.
    pub all: usize,
    /// Requests of one key.
    pub per_key: usize,
}

/// Requests that wait, each with what its caller needs to be told of its turn.
#[derive(Debug)]
pub struct Queue<T> {
    bounds: Bounds,
    waiting: BTreeMap<Ticket, Waiting<T>>,
    keys: HashMap<u64, Key>,
    /// The turn that was given last.
    turn: u64,
    came: u64,
    /// Over the last ten seconds.
    served: Window<10>,
}

/// A place in a queue. The lower goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    turn: u64,
    came: u64,
}

#[derive(Debug)]
struct Waiting<T> {
    key: u64,
    until: Moment,
    what: T,
}

#[derive(Debug, Default)]
struct Key {
    waiting: usize,
    /// Turn of its last ticket.
    last: u64,
}

/// Too many wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// When there will be room, as fast as places became free lately.
    pub retry_after: Duration,
}

impl<T> Queue<T> {
    /// Nobody waits.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            waiting: BTreeMap::new(),
            keys: HashMap::new(),
            turn: 0,
            came: 0,
            served: Window::new(Duration::from_secs(1)),
        }
    }

    /// How many wait, those who gave up without saying so included.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Nobody waits: who comes now may take a free place at once.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Waits until then at most. `key`: a hash of who asks.
    ///
    /// # Errors
    /// Too many wait already.
    pub fn join(&mut self, key: u64, (now, until): (Moment, Moment), what: T) -> Result<Ticket, Full> {
        let full = |queue: &Self| {
            let mine = queue.keys.get(&key).map_or(0, |key| key.waiting);
            queue.waiting.len() >= queue.bounds.all || mine >= queue.bounds.per_key
        };
        if full(self) {
            self.drop_late(now);
        }
        if full(self) {
            return Err(Full { retry_after: self.retry_after(now) });
        }
        let state = self.keys.entry(key).or_default();
        state.waiting += 1;
        state.last = state.last.max(self.turn) + 1;
        self.came += 1;
        let ticket = Ticket { turn: state.last, came: self.came };
        self.waiting.insert(ticket, Waiting { key, until, what });
        Ok(ticket)
    }

    /// A place is free: who gets it. Those whose time is over are passed over.
    pub fn next(&mut self, now: Moment) -> Option<T> {
        while let Some((ticket, waiting)) = self.waiting.pop_first() {
            self.turn = self.turn.max(ticket.turn);
            self.forget(waiting.key);
            if now < waiting.until {
                self.served.add(now);
                return Some(waiting.what);
            }
        }
        None
    }

    /// Waits no longer; `None` if its turn came already, or its time was over.
    pub fn leave(&mut self, ticket: Ticket) -> Option<T> {
        let waiting = self.waiting.remove(&ticket)?;
        self.forget(waiting.key);
        Some(waiting.what)
    }

    /// When all that wait now will have had their turn, as fast as places became free lately; 1 s to 60 s.
    pub fn retry_after(&self, now: Moment) -> Duration {
        let ten_seconds = self.served.sum(now).max(1);
        let (soonest, latest) = COME_BACK;
        Duration::from_millis(self.waiting.len() as u64 * 10_000 / ten_seconds).clamp(soonest, latest)
    }

    fn drop_late(&mut self, now: Moment) {
        let late: Vec<Ticket> =
            self.waiting.iter().filter(|(_, waiting)| waiting.until <= now).map(|(ticket, _)| *ticket).collect();
        for ticket in late {
            self.leave(ticket);
        }
    }

    fn forget(&mut self, key: u64) {
        let turn = self.turn;
        if let Some(state) = self.keys.get_mut(&key) {
            state.waiting = state.waiting.saturating_sub(1);
        }
        // Whoever is behind the last turn would begin at it anyway.
        if self.keys.get(&key).is_some_and(|state| state.waiting == 0 && state.last <= turn) {
            self.keys.remove(&key);
        }
    }
}

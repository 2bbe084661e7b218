//! Which pot an end user's requests count in. Clients choose the name, so a key gets only so many pots a day of its own; the rest
//! of its users share one.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, Mutex, PoisonError},
};

const DAY: i64 = 86_400_000_000;

/// The end users of each key today. Each gateway counts those that it sees.
pub struct EndUsers {
    most: usize,
    hasher: RandomState,
    today: Mutex<Today>,
}

#[derive(Default)]
struct Today {
    /// Days since the epoch, UTC.
    day: i64,
    /// Hashes of names, by key.
    users: HashMap<Arc<str>, HashSet<u64>>,
}

impl EndUsers {
    /// At most so many pots for each key and day.
    pub fn new(most: usize) -> Self {
        Self { most, hasher: RandomState::new(), today: Mutex::default() }
    }

    /// Names the pot of a key's end user at the store's time `now` (microseconds since the epoch).
    pub fn pot(&self, key_id: &Arc<str>, user: &str, now: i64) -> String {
        let hash = self.hasher.hash_one(user);
        let mut today = self.today.lock().unwrap_or_else(PoisonError::into_inner);
        if today.admits(key_id, hash, now.div_euclid(DAY), self.most) {
            format!("user:{user}")
        } else {
            format!("others:{key_id}")
        }
    }
}

impl Today {
    /// Whether a user has a pot; the first of a day get one.
    fn admits(&mut self, key_id: &Arc<str>, user: u64, day: i64, most: usize) -> bool {
        // A clock that goes back begins no day anew.
        if day > self.day {
            *self = Self { day, users: HashMap::new() };
        }
        let users = self.users.entry(Arc::clone(key_id)).or_default();
        users.contains(&user) || (users.len() < most && users.insert(user))
    }
}

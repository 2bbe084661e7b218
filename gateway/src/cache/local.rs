//! Kept answers in this process: as many as fit into a number of bytes, those used least go first.

use std::sync::Arc;

use quick_cache::{
    DefaultHashBuilder, OptionsBuilder, Weighter,
    sync::{self, DefaultLifecycle},
};

use super::{kept::Kept, key::Key};

#[derive(Clone, Copy, Debug)]
struct BySize;

impl Weighter<Key, Arc<Kept>> for BySize {
    fn weight(&self, _: &Key, kept: &Arc<Kept>) -> u64 {
        kept.size()
    }
}

/// A map from keys to answers.
pub struct Local {
    answers: sync::Cache<Key, Arc<Kept>, BySize>,
}

/// Bytes of an answer, to guess how many will fit.
const USUAL: u64 = 4096;
/// Fewest bytes of a shard: room for a few of the largest answers.
const SHARD: u64 = 8 * 1024 * 1024;

impl Local {
    /// Holds at most `bytes`; 0 = nothing.
    pub fn new(bytes: u64) -> Self {
        let count = usize::try_from(bytes / USUAL).unwrap_or(usize::MAX).clamp(16, 1 << 20);
        // Each shard has its part of the bytes, and takes no answer larger than that.
        let shards = usize::try_from(bytes / SHARD).unwrap_or(usize::MAX).clamp(1, 64);
        let options =
            OptionsBuilder::new().estimated_items_capacity(count).weight_capacity(bytes).shards(shards).build();
        Self {
            answers: options.map_or_else(
                |_| sync::Cache::with_weighter(count, bytes, BySize),
                |options| {
                    sync::Cache::with_options(
                        options,
                        BySize,
                        DefaultHashBuilder::default(),
                        DefaultLifecycle::default(),
                    )
                },
            ),
        }
    }

    /// An answer that is still one at `now`, milliseconds since the epoch.
    pub fn get(&self, key: &Key, now: i64) -> Option<Arc<Kept>> {
        let kept = self.answers.get(key)?;
        if kept.until > now {
            return Some(kept);
        }
        self.answers.remove_if(key, |kept| kept.until <= now);
        None
    }

    /// Keeps it.
    pub fn put(&self, key: Key, kept: Arc<Kept>) {
        self.answers.insert(key, kept);
    }

    /// How many answers there are, expired ones included.
    pub fn len(&self) -> usize {
        self.answers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// Bytes that they take.
    pub fn bytes(&self) -> u64 {
        self.answers.weight()
    }
}

//! Embeddings in this process, compared one by one: exact, and fast enough for what is kept of one gateway.
//!
//! A vector takes a byte for each dimension; what that costs in likeness is below 0.002.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::{Key, Meaning};

/// Most vectors.
pub const MOST: usize = 20_000;
/// Most dimensions of one.
const DIMENSIONS: usize = 8192;
/// Of the vectors, the part that goes when there is no room: one in so many.
const PART: usize = 16;

/// A direction, and nothing of its length.
#[derive(Clone, Debug, PartialEq)]
pub struct Vector {
    parts: Box<[i8]>,
    /// 1 over its length.
    scale: f32,
}

impl Vector {
    /// `None`: no direction, not finite, or too many dimensions.
    #[expect(clippy::cast_possible_truncation, reason = "rounded to -127..=127")]
    #[expect(clippy::cast_precision_loss, reason = "a square sum of bytes: what f32 does not hold is no likeness")]
    pub fn new(numbers: &[f32]) -> Option<Self> {
        let most = numbers.iter().fold(0_f32, |most, number| most.max(number.abs()));
        let is_usable = numbers.iter().all(|number| number.is_finite()) && numbers.len() <= DIMENSIONS;
        if !is_usable || most <= 0.0 {
            return None;
        }
        let parts: Box<[i8]> = numbers.iter().map(|number| (number / most * 127.0).round() as i8).collect();
        let scale = 1.0 / (dot(&parts, &parts) as f32).sqrt();
        Some(Self { parts, scale })
    }

    /// Cosine of the angle between two, to a millionth; 0 where they cannot be compared.
    #[expect(clippy::cast_precision_loss, reason = "as above")]
    pub fn likeness(&self, other: &Self) -> f32 {
        if self.parts.len() != other.parts.len() {
            return 0.0;
        }
        let cosine = dot(&self.parts, &other.parts) as f32 * self.scale * other.scale;
        ((cosine * 1e6).round() / 1e6).min(1.0)
    }

    /// As it was made from, but for its length and what a byte does not hold.
    pub fn numbers(&self) -> Vec<f32> {
        self.parts.iter().map(|part| f32::from(*part)).collect()
    }

    /// Dimensions.
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// Never: a direction has at least one.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

/// At most 127 x 127 x 8192, which an i32 holds.
fn dot(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(a, b)| i32::from(i16::from(*a) * i16::from(*b))).sum()
}

#[derive(Debug)]
struct Entry {
    key: Key,
    vector: Vector,
    /// Milliseconds since the epoch.
    until: i64,
    /// When it was last found, in [`Index::uses`].
    used: AtomicU64,
}

/// Copied where somebody reads it while it changes: nobody waits for a search.
type Partition = Arc<Vec<Arc<Entry>>>;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Of the answer.
    pub key: Key,
    /// Of its request's message and this one's.
    pub likeness: f32,
}

/// All vectors.
#[derive(Debug)]
pub struct Index {
    partitions: Mutex<Partitions>,
    uses: AtomicU64,
    most: usize,
}

#[derive(Debug, Default)]
struct Partitions {
    by_key: HashMap<Key, Partition>,
    count: usize,
}

impl Default for Index {
    fn default() -> Self {
        Self::new(MOST)
    }
}

impl Index {
    /// Holds at most so many.
    pub fn new(most: usize) -> Self {
        Self { partitions: Mutex::default(), uses: AtomicU64::new(0), most: most.max(1) }
    }

    /// The likest one of those that may be compared, if it is at least so like. About 12 ms of a core for 20,000 of 1536 dimensions.
    pub fn find(&self, meaning: &Meaning, threshold: f32, now: i64) -> Option<Found> {
        let partition = self.partition(&meaning.partition)?;
        let live = partition.iter().filter(|entry| entry.until > now);
        let likest = live
            .map(|entry| (entry, entry.vector.likeness(&meaning.vector)))
            .max_by(|(_, a), (_, b)| a.total_cmp(b))
            .filter(|(_, likeness)| *likeness >= threshold)?;
        let (entry, likeness) = likest;
        entry.used.store(self.tick(), Relaxed);
        Some(Found { key: entry.key, likeness })
    }

    /// How many bytes a search reads.
    pub fn weight(&self, meaning: &Meaning) -> usize {
        self.partition(&meaning.partition).map_or(0, |partition| partition.len() * meaning.vector.len())
    }

    /// From now on it is found.
    pub fn add(&self, meaning: Meaning, key: Key, until: i64, now: i64) {
        let entry = Arc::new(Entry { key, vector: meaning.vector, until, used: AtomicU64::new(self.tick()) });
        let mut partitions = self.lock();
        if partitions.count >= self.most {
            partitions.shrink(self.most - self.most.div_ceil(PART), now);
        }
        let partition = Arc::make_mut(partitions.by_key.entry(meaning.partition).or_default());
        if let Some(other) = partition.iter_mut().find(|other| other.key == key) {
            *other = entry;
        } else {
            partition.push(entry);
            partitions.count += 1;
        }
    }

    /// It is not found any more.
    pub fn remove(&self, partition: &Key, key: &Key) {
        let mut partitions = self.lock();
        partitions.retain(Some(partition), |entry| entry.key != *key);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn partition(&self, key: &Key) -> Option<Partition> {
        self.lock().by_key.get(key).map(Arc::clone)
    }

    fn tick(&self) -> u64 {
        self.uses.fetch_add(1, Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Partitions> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Partitions {
    /// Drops what has expired, then those used longest ago, until `most` are left.
    fn shrink(&mut self, most: usize, now: i64) {
        let entries = || self.by_key.values().flat_map(|partition| partition.iter());
        let mut uses: Vec<u64> =
            entries().filter(|entry| entry.until > now).map(|entry| entry.used.load(Relaxed)).collect();
        let surplus = uses.len().saturating_sub(most);
        let oldest = surplus.checked_sub(1).map(|at| *uses.select_nth_unstable(at).1);
        self.retain(None, |entry| entry.until > now && oldest.is_none_or(|oldest| entry.used.load(Relaxed) > oldest));
    }

    /// Of one partition, or of all.
    fn retain(&mut self, only: Option<&Key>, keep: impl Fn(&Entry) -> bool) {
        let mut gone = 0;
        self.by_key.retain(|key, partition| {
            if only.is_none_or(|only| only == key) && !partition.iter().all(|entry| keep(entry)) {
                let entries = Arc::make_mut(partition);
                let before = entries.len();
                entries.retain(|entry| keep(entry));
                gone += before - entries.len();
            }
            !partition.is_empty()
        });
        self.count = self.count.saturating_sub(gone);
    }
}

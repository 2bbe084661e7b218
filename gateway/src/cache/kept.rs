//! A kept answer, and how it is written down for other gateways.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use turnpike_llm::usage::Usage;

use super::key::Key;
use crate::pipeline::body::INLINE;

/// Stands before every value, so that what others write is known as such.
const MAGIC: &[u8; 8] = b"turnpike";
/// Of the format. A gateway takes values of its own version only.
const VERSION: u8 = 1;
/// Bytes of the check sum.
const CHECK: usize = 16;

/// An answer as the client got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its body: a JSON object, or all events of a stream.
    pub body: Bytes,
    /// The model's name in it.
    pub name: Box<str>,
    /// `namespace/name` of the model that gave it.
    pub model: Box<str>,
    /// The provider's name of that model.
    pub upstream_model: Box<str>,
    /// What it took.
    pub usage: Usage,
    /// When, milliseconds since the epoch.
    pub at: i64,
    /// When it stops being one, milliseconds since the epoch.
    pub until: i64,
}

/// Why a value is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// Something that is not ours.
    Foreign,
    /// Of another version.
    Version,
    /// Cut, changed, or of another key.
    Damaged,
}

impl Kept {
    /// Whole milliseconds that it has been kept at `now`.
    pub fn age(&self, now: i64) -> u64 {
        now.saturating_sub(self.at).max(0).unsigned_abs()
    }

    /// Bytes of memory.
    pub fn size(&self) -> u64 {
        let texts = self.name.len() + self.model.len() + self.upstream_model.len();
        (self.body.len() + texts + size_of::<Self>() + size_of::<Key>() + OVERHEAD) as u64
    }

    /// As bytes: magic, version, key, check sum, and what it sums up.
    pub fn write(&self, key: &Key) -> Vec<u8> {
        let mut content = Vec::with_capacity(self.body.len() + 256);
        for number in [self.at, self.until] {
            content.extend_from_slice(&number.to_le_bytes());
        }
        for count in counts(&self.usage) {
            content.extend_from_slice(&count.to_le_bytes());
        }
        content.push(self.usage.estimated.into());
        for text in [&self.name, &self.model, &self.upstream_model] {
            content.extend_from_slice(&(text.len() as u64).to_le_bytes());
            content.extend_from_slice(text.as_bytes());
        }
        content.extend_from_slice(&self.body);
        let mut out = Vec::with_capacity(content.len() + 64);
        out.extend_from_slice(MAGIC);
        out.push(VERSION);
        out.extend_from_slice(key);
        out.extend_from_slice(&check(key, &content));
        out.extend_from_slice(&content);
        out
    }

    /// The reverse.
    ///
    /// # Errors
    /// It is not what [`Self::write`] made for this key.
    pub fn read(value: &Bytes, key: &Key) -> Result<Self, Unusable> {
        let rest = value.strip_prefix(MAGIC).ok_or(Unusable::Foreign)?;
        let (version, rest) = rest.split_first().ok_or(Unusable::Damaged)?;
        if *version != VERSION {
            return Err(Unusable::Version);
        }
        let (of, rest) = rest.split_first_chunk::<32>().ok_or(Unusable::Damaged)?;
        let (sum, mut content) = rest.split_first_chunk::<CHECK>().ok_or(Unusable::Damaged)?;
        if of != key || *sum != check(key, content) {
            return Err(Unusable::Damaged);
        }
        Self::content(&mut content, value).ok_or(Unusable::Damaged)
    }

    /// The same, a large one on another thread. `None`: this process is ending.
    pub async fn read_beside(value: Bytes, key: Key) -> Option<Result<Self, Unusable>> {
        if value.len() <= INLINE {
            return Some(Self::read(&value, &key));
        }
        tokio::task::spawn_blocking(move || Self::read(&value, &key)).await.ok()
    }

    fn content(from: &mut &[u8], value: &Bytes) -> Option<Self> {
        let (at, until) = (array(from).map(i64::from_le_bytes)?, array(from).map(i64::from_le_bytes)?);
        let mut usage = Usage::default();
        for count in counts_mut(&mut usage) {
            *count = array(from).map(u64::from_le_bytes)?;
        }
        usage.estimated = array(from)? == [1];
        let (name, model, upstream_model) = (text(from)?, text(from)?, text(from)?);
        Some(Self { body: value.slice_ref(from), name, model, upstream_model, usage, at, until })
    }
}

/// What a map needs for an entry, about.
const OVERHEAD: usize = 64;

fn check(key: &Key, content: &[u8]) -> [u8; CHECK] {
    let sum: [u8; 32] = Sha256::new().chain_update(key).chain_update(content).finalize().into();
    sum.first_chunk().copied().unwrap_or_default()
}

fn counts(usage: &Usage) -> [u64; 9] {
    let mut usage = *usage;
    counts_mut(&mut usage).map(|count| *count)
}

fn counts_mut(usage: &mut Usage) -> [&mut u64; 9] {
    let Usage {
        prompt,
        completion,
        cached,
        cache_write,
        cache_write_1h,
        reasoning,
        audio_input,
        audio_output,
        queries,
        service: _,
        estimated: _,
    } = usage;
    [prompt, completion, cached, cache_write, cache_write_1h, reasoning, audio_input, audio_output, queries]
}

fn array<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(*taken)
}

fn text(from: &mut &[u8]) -> Option<Box<str>> {
    let length = usize::try_from(array(from).map(u64::from_le_bytes)?).ok()?;
    let (taken, rest) = from.split_at_checked(length)?;
    *from = rest;
    str::from_utf8(taken).ok().map(Into::into)
}

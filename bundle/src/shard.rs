//! Cuts contents into shards that are small, stable and named from a fixed set.
//!
//! ```text
//!  entry ─ sha256(name)[0] ─▶ slot 0..256 ─ ranges ─▶ shard        models-00 [0,128)   models-01 [128,256)
//!                                                                   ├─ grows beyond 128 KiB: halved, the upper half
//!                                                                   │  takes the lowest free number
//!                                                                   └─ shrinks with its other half: joined again
//! ```
//! Ranges carry over from the previous manifest, so one change touches one shard.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    canonical,
    entry::{Contents, ObjectRef},
    manifest::{FORMAT, Kind, Manifest, ShardRef, Slots},
};

mod pieces;

pub(crate) use pieces::Entry;
pub use pieces::Piece;
use pieces::Pieces;

/// Bytes above which a shard is split.
pub const AIM_BYTES: usize = 128 * 1024;
/// Bytes that no shard exceeds: an object in etcd must stay below 1 MiB in base64.
pub const MAX_BYTES: usize = 700 * 1024;
/// Two halves are joined again once they fit into this together, well below [`AIM_BYTES`] so that a bundle near the
/// limit does not split and join in turn.
const JOIN_BYTES: usize = AIM_BYTES / 4;
/// Room for the members around the entries.
const ENVELOPE_BYTES: usize = 160;

/// One shard, ready to be written.
#[derive(Clone, PartialEq, Eq)]
pub struct Shard {
    /// `models-00`, ….
    pub name: String,
    /// Decides whether it goes into a Secret.
    pub kind: Kind,
    /// As in the manifest.
    pub version: u64,
    /// sha256 of `bytes`, lower-case hex.
    pub hash: String,
    /// Canonical JSON.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The bytes may hold credentials.
        write!(f, "Shard({} version {}, {} bytes)", self.name, self.version, self.bytes.len())
    }
}

/// What the operator publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Equal to the previous one where nothing changed.
    pub manifest: Manifest,
    /// In the order of the manifest, which is the order to publish them in.
    pub shards: Vec<Shard>,
    /// Entries that did not fit (`BundleFull`), as `models ml/gpt-4o`: the largest of their shard.
    pub left_out: Vec<String>,
}

/// Cuts contents into shards of the newest format. Unchanged shards keep version and bytes; the rest and the manifest get the
/// version max(previous + 1, `now_ms`), unix milliseconds.
pub fn shard(contents: &Contents, previous: Option<&Manifest>, now_ms: u64) -> Bundle {
    Cutter::default().cut(contents, FORMAT, previous, now_ms)
}

/// Cuts contents again and again as [`shard`] does, and spares itself what has not changed since the last time.
#[derive(Default)]
pub struct Cutter {
    pieces: Pieces,
    /// By name.
    shards: BTreeMap<String, Made>,
}

/// A shard with what it was made of.
struct Made {
    pieces: Vec<Arc<Piece>>,
    shard: Shard,
}

impl Cutter {
    /// As [`shard`], in a format that this build writes: what that does not have is left out.
    pub fn cut(&mut self, contents: &Contents, format: u32, previous: Option<&Manifest>, now_ms: u64) -> Bundle {
        let version = previous.map_or(now_ms, |manifest| now_ms.max(manifest.version.saturating_add(1)));
        let (mut shards, mut refs, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
        self.pieces.renew(contents);
        let mut before = std::mem::take(&mut self.shards);
        for kind in Kind::of_format(format) {
            let items = by_slot(self.pieces.of_kind(kind));
            for range in plan(kind, &items, previous) {
                let (pieces, full) = fitting(range.slots, &items);
                let name = kind.shard_name(range.number);
                let old = previous.and_then(|manifest| manifest.shard(&name));
                let old = old.filter(|old| old.kind == kind && old.slots == range.slots);
                let made = before.remove(&name).filter(|made| old.is_some_and(|old| made.is(old, &pieces)));
                let made = made.unwrap_or_else(|| Made::new((kind, &name), pieces, old, version));
                refs.push(made.listed(range.slots));
                shards.push(made.shard.clone());
                left_out.extend(full.iter().map(|key| format!("{} {key}", kind.name())));
                self.shards.insert(name, made);
            }
        }
        let manifest = match previous {
            Some(previous) if previous.format == format && previous.shards == refs => previous.clone(),
            _ => Manifest::new(format, version, refs),
        };
        Bundle { manifest, shards, left_out }
    }

    /// What each object was cut to the last time, those that did not fit included; sorted by object within each kind.
    pub fn pieces(&self) -> impl Iterator<Item = (Kind, &ObjectRef, &Piece)> {
        self.pieces.of_objects()
    }
}

impl Made {
    /// Of the version of `old` if it is no other than that.
    fn new((kind, name): (Kind, &str), pieces: Vec<&Arc<Piece>>, old: Option<&ShardRef>, version: u64) -> Self {
        let shard = |version: u64| {
            let bytes = document(kind, name, version, &pieces).into_bytes();
            Shard { name: name.to_owned(), kind, version, hash: canonical::sha256_hex(&bytes), bytes }
        };
        let unchanged = old.and_then(|old| Some(shard(old.version)).filter(|shard| shard.hash == old.hash));
        let shard = unchanged.unwrap_or_else(|| shard(version));
        Self { pieces: pieces.into_iter().cloned().collect(), shard }
    }

    /// Whether it is what the manifest lists, and made of these very pieces.
    fn is(&self, listed: &ShardRef, pieces: &[&Arc<Piece>]) -> bool {
        let same = |(ours, theirs): (&Arc<Piece>, &&Arc<Piece>)| Arc::ptr_eq(ours, theirs);
        self.shard.version == listed.version
            && self.shard.hash == listed.hash
            && self.pieces.len() == pieces.len()
            && self.pieces.iter().zip(pieces).all(same)
    }

    fn listed(&self, slots: Slots) -> ShardRef {
        let Shard { name, kind, version, hash, .. } = &self.shard;
        ShardRef { name: name.clone(), kind: *kind, slots, version: *version, hash: hash.clone() }
    }
}

/// The pieces of one slot.
#[derive(Default)]
struct Slot<'a> {
    /// Sorted by key.
    pieces: Vec<&'a Arc<Piece>>,
    /// What they take in a shard.
    bytes: usize,
}

/// Pieces by slot.
type Items<'a> = BTreeMap<u8, Slot<'a>>;

fn by_slot(pieces: Vec<&Arc<Piece>>) -> Items<'_> {
    let mut items = Items::new();
    for piece in pieces {
        let slot = items.entry(piece.slot()).or_default();
        slot.bytes += piece.json.len() + 1;
        slot.pieces.push(piece);
    }
    for slot in items.values_mut() {
        slot.pieces.sort_by(|a, b| a.key.cmp(&b.key));
    }
    items
}

/// A shard to be: its number and what it covers.
#[derive(Clone)]
struct Range {
    number: u16,
    slots: Slots,
}

fn plan(kind: Kind, items: &Items<'_>, previous: Option<&Manifest>) -> Vec<Range> {
    let mut ranges = previous
        .and_then(|manifest| carried(kind, manifest))
        .unwrap_or_else(|| vec![Range { number: 0, slots: Slots::ALL }]);
    while let Some(at) = largest_to_split(&ranges, items) {
        let Some(number) = free_number(kind, &ranges) else {
            break;
        };
        let Some(range) = ranges.get_mut(at) else {
            break;
        };
        let (lower, upper) = range.slots.halves();
        range.slots = lower;
        ranges.insert(at + 1, Range { number, slots: upper });
    }
    while let Some(at) = pair_to_join(&ranges, items) {
        let upper = ranges.remove(at + 1);
        if let Some(lower) = ranges.get_mut(at) {
            lower.slots.end = upper.slots.end;
        }
    }
    ranges
}

/// The ranges of the previous manifest, unless they cannot be carried on.
fn carried(kind: Kind, manifest: &Manifest) -> Option<Vec<Range>> {
    if !manifest.covers(kind) {
        return None;
    }
    manifest
        .of_kind(kind)
        .map(|shard| {
            let number = shard.name.strip_prefix(kind.name())?.strip_prefix('-')?.parse().ok()?;
            let known = number < kind.max_shards() && shard.slots.len().is_power_of_two();
            known.then_some(Range { number, slots: shard.slots })
        })
        .collect()
}

fn largest_to_split(ranges: &[Range], items: &Items<'_>) -> Option<usize> {
    ranges
        .iter()
        .enumerate()
        .map(|(at, range)| (size(range.slots, items), at, range.slots.len()))
        .filter(|(bytes, _, slots)| *bytes > AIM_BYTES && *slots > 1)
        .max_by_key(|(bytes, at, _)| (*bytes, std::cmp::Reverse(*at)))
        .map(|(_, at, _)| at)
}

/// The lower of two halves of one range that are small enough together.
fn pair_to_join(ranges: &[Range], items: &Items<'_>) -> Option<usize> {
    ranges.windows(2).position(|pair| match pair {
        [lower, upper] => {
            let halves = lower.slots.len() == upper.slots.len() && lower.slots.start % (2 * lower.slots.len()) == 0;
            halves && size(lower.slots, items) + size(upper.slots, items) <= JOIN_BYTES
        }
        _ => false,
    })
}

fn free_number(kind: Kind, ranges: &[Range]) -> Option<u16> {
    let taken: BTreeSet<u16> = ranges.iter().map(|range| range.number).collect();
    (0..kind.max_shards()).find(|number| !taken.contains(number))
}

fn size(slots: Slots, items: &Items<'_>) -> usize {
    within(slots, items).map(|slot| slot.bytes).sum::<usize>() + ENVELOPE_BYTES
}

fn within<'i, 'a>(slots: Slots, items: &'i Items<'a>) -> impl Iterator<Item = &'i Slot<'a>> {
    items.iter().filter(move |(number, _)| slots.contains(**number)).map(|(_, slot)| slot)
}

/// The range's pieces sorted by key, less the largest ones where all would be too much; the keys of those.
fn fitting<'a>(slots: Slots, items: &Items<'a>) -> (Vec<&'a Arc<Piece>>, Vec<String>) {
    let mut fitting: Vec<&'a Arc<Piece>> = within(slots, items).flat_map(|slot| slot.pieces.iter().copied()).collect();
    let mut bytes = size(slots, items);
    let mut left_out = Vec::new();
    if bytes > MAX_BYTES {
        fitting.sort_by(|a, b| (a.json.len(), &a.key).cmp(&(b.json.len(), &b.key)));
        while bytes > MAX_BYTES {
            let Some(largest) = fitting.pop() else { break };
            bytes -= largest.json.len() + 1;
            left_out.push(largest.key.clone());
        }
    }
    fitting.sort_by(|a, b| a.key.cmp(&b.key));
    (fitting, left_out)
}

/// The shard's bytes: members in alphabetical order, as canonical JSON wants it.
fn document(kind: Kind, name: &str, version: u64, pieces: &[&Arc<Piece>]) -> String {
    let entries: Vec<&str> = pieces.iter().map(|piece| piece.json.as_str()).collect();
    format!(
        r#"{{"entries":[{}],"format":{},"kind":"{}","name":"{name}","version":{version}}}"#,
        entries.join(","),
        kind.format(),
        kind.name()
    )
}

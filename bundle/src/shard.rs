//! Cuts contents into shards that are small, stable and named from a fixed set.
//!
//! ```text
//!  entry ─ sha256(name)[0] ─▶ slot 0..256 ─ ranges ─▶ shard        models-00 [0,128)   models-01 [128,256)
//!                                                                   ├─ grows beyond 128 KiB: halved, the upper half
//!                                                                   │  takes the lowest free number
//!                                                                   └─ shrinks with its other half: joined again
//! ```
//! Ranges carry over from the previous manifest, so one change touches one shard.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{
    canonical,
    entry::{BudgetEntry, Contents, CredentialEntry, KeyEntry, ModelEntry},
    manifest::{FORMAT, Kind, Manifest, ShardRef, Slots},
};

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

/// Cuts contents into shards. Unchanged shards keep version and bytes; the rest and the manifest get the version
/// max(previous + 1, `now_ms`), unix milliseconds.
pub fn shard(contents: &Contents, previous: Option<&Manifest>, now_ms: u64) -> Bundle {
    let version = previous.map_or(now_ms, |manifest| now_ms.max(manifest.version.saturating_add(1)));
    let mut bundle = Bundle { manifest: Manifest::new(version, Vec::new()), shards: Vec::new(), left_out: Vec::new() };
    let mut refs = Vec::new();
    for kind in Kind::ALL {
        let items = items(contents, kind);
        for range in plan(kind, &items, previous) {
            let (shard, left_out) = build(kind, &range, &items, previous, version);
            refs.push(ShardRef {
                name: shard.name.clone(),
                kind,
                slots: range.slots,
                version: shard.version,
                hash: shard.hash.clone(),
            });
            bundle.shards.push(shard);
            bundle.left_out.extend(left_out);
        }
    }
    bundle.manifest = match previous {
        Some(previous) if previous.format == FORMAT && previous.shards == refs => previous.clone(),
        _ => Manifest::new(version, refs),
    };
    bundle
}

/// An entry that can be put into a shard.
pub(crate) trait Entry: Serialize + serde::de::DeserializeOwned {
    /// The name that its slot and order follow from.
    fn key(&self) -> String;
}

impl Entry for ModelEntry {
    fn key(&self) -> String {
        self.object.to_string()
    }
}

impl Entry for KeyEntry {
    fn key(&self) -> String {
        self.object.to_string()
    }
}

impl Entry for BudgetEntry {
    fn key(&self) -> String {
        self.object.to_string()
    }
}

impl Entry for CredentialEntry {
    fn key(&self) -> String {
        self.digest.clone()
    }
}

/// A serialized entry.
struct Item {
    key: String,
    json: String,
}

/// The serialized entries of one slot.
#[derive(Default)]
struct Slot {
    /// Sorted by key.
    items: Vec<Item>,
    /// What they take in a shard.
    bytes: usize,
}

/// Serialized entries by slot.
type Items = BTreeMap<u8, Slot>;

fn items(contents: &Contents, kind: Kind) -> Items {
    match kind {
        Kind::Models => by_slot(contents.models.iter()),
        Kind::Budgets => by_slot(contents.budgets.iter()),
        Kind::Keys => by_slot(contents.keys.iter()),
        Kind::Credentials => by_slot(contents.credentials.values()),
    }
}

fn by_slot<'a, E: Entry + 'a>(entries: impl Iterator<Item = &'a E>) -> Items {
    let mut items = Items::new();
    for entry in entries {
        let key = entry.key();
        let item = Item { json: canonical::to_string(entry), key };
        let slot = items.entry(canonical::slot(&item.key)).or_default();
        slot.bytes += item.json.len() + 1;
        slot.items.push(item);
    }
    for slot in items.values_mut() {
        slot.items.sort_by(|a, b| a.key.cmp(&b.key));
    }
    items
}

/// A shard to be: its number and what it covers.
#[derive(Clone)]
struct Range {
    number: u16,
    slots: Slots,
}

fn plan(kind: Kind, items: &Items, previous: Option<&Manifest>) -> Vec<Range> {
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

fn largest_to_split(ranges: &[Range], items: &Items) -> Option<usize> {
    ranges
        .iter()
        .enumerate()
        .map(|(at, range)| (size(range.slots, items), at, range.slots.len()))
        .filter(|(bytes, _, slots)| *bytes > AIM_BYTES && *slots > 1)
        .max_by_key(|(bytes, at, _)| (*bytes, std::cmp::Reverse(*at)))
        .map(|(_, at, _)| at)
}

/// The lower of two halves of one range that are small enough together.
fn pair_to_join(ranges: &[Range], items: &Items) -> Option<usize> {
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

fn size(slots: Slots, items: &Items) -> usize {
    within(slots, items).map(|slot| slot.bytes).sum::<usize>() + ENVELOPE_BYTES
}

fn within(slots: Slots, items: &Items) -> impl Iterator<Item = &Slot> {
    items.iter().filter(move |(number, _)| slots.contains(**number)).map(|(_, slot)| slot)
}

fn build(kind: Kind, range: &Range, items: &Items, previous: Option<&Manifest>, version: u64) -> (Shard, Vec<String>) {
    let (items, left_out) = fitting(range.slots, items);
    let name = kind.shard_name(range.number);
    let shard = |version: u64| {
        let bytes = document(kind, &name, version, &items).into_bytes();
        Shard { name: name.clone(), kind, version, hash: canonical::sha256_hex(&bytes), bytes }
    };
    let unchanged = previous
        .and_then(|manifest| manifest.shard(&name))
        .filter(|old| old.kind == kind && old.slots == range.slots)
        .map(|old| (shard(old.version), &old.hash))
        .filter(|(shard, hash)| shard.hash == **hash)
        .map(|(shard, _)| shard);
    let left_out = left_out.iter().map(|key| format!("{} {key}", kind.name())).collect();
    (unchanged.unwrap_or_else(|| shard(version)), left_out)
}

/// The range's items sorted by key, less the largest ones where all would be too much.
fn fitting(slots: Slots, items: &Items) -> (Vec<&Item>, Vec<String>) {
    let mut fitting: Vec<&Item> = within(slots, items).flat_map(|slot| &slot.items).collect();
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
fn document(kind: Kind, name: &str, version: u64, items: &[&Item]) -> String {
    let entries: Vec<&str> = items.iter().map(|item| item.json.as_str()).collect();
    format!(
        r#"{{"entries":[{}],"format":{FORMAT},"kind":"{}","name":"{name}","version":{version}}}"#,
        entries.join(","),
        kind.name()
    )
}

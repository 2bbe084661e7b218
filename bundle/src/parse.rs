//! Reads what the operator published, shard by shard, and keeps the last good content of whatever cannot be taken.
//!
//! ```text
//!  manifest ─ readable, not older? ─ no ──▶ everything stays as it was
//!      │ yes
//!      ▼ each shard: present, hash as listed, format known, not older?
//!      ├─ yes ─▶ its entries
//!      └─ no ──▶ the last good entries of the SLOTS it covers (a split must not lose the half that has not arrived)
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, de::IgnoredAny};

use crate::{
    canonical,
    entry::{Backend, BudgetEntry, Contents, CredentialEntry, EndpointEntry, KeyEntry, ModelEntry},
    manifest::{FORMAT, Kind, Manifest, ManifestError, ShardRef, Slots, readable},
    report::LoadedShard,
    shard::Entry,
};

/// What a gateway has taken so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    version: u64,
    hash: String,
    complete: bool,
    taken: BTreeMap<String, Taken>,
    contents: Contents,
    offered: BTreeMap<String, Offered>,
}

/// A shard's bytes as they were last offered. Most are the same the next time, and comparing is cheaper than hashing.
#[derive(Clone, PartialEq)]
struct Offered {
    bytes: Arc<[u8]>,
    hash: String,
}

impl std::fmt::Debug for Offered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The bytes may hold credentials.
        write!(f, "Offered({}, ***)", self.hash)
    }
}

/// A shard whose content is in [`State::contents`].
#[derive(Clone, Debug, PartialEq)]
struct Taken {
    kind: Kind,
    slots: Slots,
    version: u64,
    /// `None` = what is held differs from what the shard said: read it again next time.
    hash: Option<String>,
}

impl State {
    /// What to serve from.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Version of the manifest last taken; 0 before the first.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Hash of the manifest whose every shard is loaded: what to report as loaded. `None` while a part is held back.
    pub fn hash(&self) -> Option<&str> {
        self.complete.then_some(self.hash.as_str())
    }

    /// The shards in use, by name.
    pub(crate) fn loaded(&self) -> impl Iterator<Item = (String, LoadedShard)> {
        self.taken.iter().map(|(name, taken)| {
            let Taken { kind, slots, version, hash } = taken;
            let shard = LoadedShard { kind: *kind, slots: *slots, version: *version, complete: hash.is_some() };
            (name.clone(), shard)
        })
    }
}

/// The outcome of [`parse`].
#[derive(Clone, Debug)]
pub struct Parsed {
    /// To serve from, and to hand to the next [`parse`].
    pub state: State,
    /// What was not taken and why, for the log and the metrics.
    pub rejections: Vec<Rejection>,
    /// A shard was taken that was not held before: the contents may be others than those of the previous state. Endpoints do
    /// not count: they are hints, and nothing else follows from them.
    pub changed: bool,
}

/// A part that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part} was not taken: {reason}; its last good content stays")]
pub struct Rejection {
    /// `manifest`, a shard's name, or `models ml/gpt-4o` for one entry.
    pub part: String,
    /// Why.
    pub reason: Reason,
}

/// Why a part was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// There is no manifest (yet).
    #[error("it is not there")]
    Absent,
    /// Nothing in the manifest can be relied on.
    #[error("{0}")]
    Manifest(ManifestError),
    /// A manifest or shard that the operator replaced long ago.
    #[error("it has version {found}, older than {have}")]
    Older {
        /// What was offered.
        found: u64,
        /// What is loaded.
        have: u64,
    },
    /// Two manifests of one version.
    #[error("another manifest of version {0} is loaded")]
    Conflict(u64),
    /// Listed but not there (yet).
    #[error("the manifest lists it, but it is not there")]
    Missing,
    /// The shard is of another version than the manifest: one of the two has not arrived.
    #[error("it has version {found}, the manifest lists {listed}")]
    Stale {
        /// Version in the shard.
        found: u64,
        /// Version in the manifest.
        listed: u64,
    },
    /// The hash does not fit.
    #[error("its hash does not fit the manifest: it is torn or was edited")]
    Torn,
    /// A format that this build does not read.
    #[error("it has format {0}, which this build does not read (up to {FORMAT})")]
    Format(u32),
    /// The hash fits, the content does not.
    #[error("it is not readable: {0}")]
    Unreadable(String),
    /// A model whose credential has not arrived.
    #[error("its credential has not arrived yet")]
    CredentialMissing,
}

/// Takes what is consistent of a manifest and its shards (bytes by name) over what was there before.
pub fn parse(manifest: &[u8], shards: &BTreeMap<String, Vec<u8>>, previous: State) -> Parsed {
    let manifest = match accept(manifest, &previous) {
        Ok(manifest) => manifest,
        Err(reason) => {
            let rejection = Rejection { part: "manifest".to_owned(), reason };
            return Parsed { state: previous, rejections: vec![rejection], changed: false };
        }
    };
    let offered = offered(&manifest, shards, previous.offered);
    let (old, before) = (previous.contents, previous.taken);
    let mut reader = Reader {
        manifest: &manifest,
        offered: &offered,
        before,
        taken: BTreeMap::new(),
        rejections: Vec::new(),
        changed: false,
    };
    let credentials =
        reader.read(Kind::Credentials, old.credentials.values().cloned().collect::<Vec<CredentialEntry>>());
    let mut contents = Contents {
        credentials: credentials.into_iter().map(|entry| (entry.digest.clone(), entry)).collect(),
        keys: reader.read::<KeyEntry>(Kind::Keys, old.keys),
        budgets: reader.read::<BudgetEntry>(Kind::Budgets, old.budgets),
        models: reader.read::<ModelEntry>(Kind::Models, old.models.clone()),
        endpoints: Vec::new(),
    };
    let changed = reader.changed;
    contents.endpoints = reader.read::<EndpointEntry>(Kind::Endpoints, old.endpoints);
    reader.pair(&mut contents, &old.models, &old.credentials);
    let complete = manifest
        .shards
        .iter()
        .all(|shard| reader.taken.get(&shard.name).is_some_and(|taken| taken.hash.as_ref() == Some(&shard.hash)));
    let Reader { taken, rejections, .. } = reader;
    let state = State { version: manifest.version, hash: manifest.hash, complete, taken, contents, offered };
    Parsed { state, rejections, changed }
}

/// The listed shards with their hashes, computed only where the bytes are others than before.
fn offered(
    manifest: &Manifest,
    shards: &BTreeMap<String, Vec<u8>>,
    mut before: BTreeMap<String, Offered>,
) -> BTreeMap<String, Offered> {
    let listed = manifest.shards.iter().filter_map(|shard| shards.get_key_value(&shard.name));
    let offer = |(name, bytes): (&String, &Vec<u8>)| {
        let same = before.remove(name).filter(|before| *before.bytes == **bytes);
        let new = || Offered { bytes: bytes.as_slice().into(), hash: canonical::sha256_hex(bytes) };
        (name.clone(), same.unwrap_or_else(new))
    };
    listed.map(offer).collect()
}

fn accept(bytes: &[u8], previous: &State) -> Result<Manifest, Reason> {
    let manifest = Manifest::from_bytes(bytes).map_err(Reason::Manifest)?;
    if manifest.version < previous.version {
        return Err(Reason::Older { found: manifest.version, have: previous.version });
    }
    if manifest.version == previous.version && manifest.hash != previous.hash {
        return Err(Reason::Conflict(previous.version));
    }
    Ok(manifest)
}

struct Reader<'a> {
    manifest: &'a Manifest,
    offered: &'a BTreeMap<String, Offered>,
    before: BTreeMap<String, Taken>,
    taken: BTreeMap<String, Taken>,
    rejections: Vec<Rejection>,
    changed: bool,
}

impl Reader<'_> {
    /// The entries of a kind, sorted, given those held so far.
    fn read<E: Entry>(&mut self, kind: Kind, held: Vec<E>) -> Vec<E> {
        let mut held_by_slot: BTreeMap<u8, Vec<E>> = BTreeMap::new();
        for entry in held {
            held_by_slot.entry(canonical::slot(&entry.key())).or_default().push(entry);
        }
        let mut entries = Vec::new();
        for listed in self.manifest.of_kind(kind) {
            let before = self.before.get(&listed.name).cloned();
            let current = before.as_ref().is_some_and(|taken| taken.hash.as_ref() == Some(&listed.hash));
            let offered = check::<E>(listed, self.offered.get(&listed.name), before.as_ref(), current);
            let (version, hash) = match offered {
                Ok(Some(new)) => {
                    self.changed = true;
                    entries.extend(new);
                    (listed.version, Some(listed.hash.clone()))
                }
                unusable => {
                    entries.extend(take(&mut held_by_slot, listed.slots));
                    if let Err(reason) = unusable {
                        self.reject(listed.name.clone(), reason);
                    }
                    let version = before.map_or(0, |taken| taken.version);
                    (version, current.then(|| listed.hash.clone()))
                }
            };
            self.taken.insert(listed.name.clone(), Taken { kind, slots: listed.slots, version, hash });
        }
        entries.sort_by_cached_key(Entry::key);
        entries
    }

    fn reject(&mut self, part: String, reason: Reason) {
        self.rejections.push(Rejection { part, reason });
    }

    /// Keeps models and the credentials that they name together, because shards of the two may arrive in any order: a
    /// credential still named stays, and a model whose credential is not there yet keeps its last good entry.
    fn pair(
        &mut self,
        contents: &mut Contents,
        models: &[ModelEntry],
        credentials: &BTreeMap<String, CredentialEntry>,
    ) {
        let now = &mut contents.credentials;
        let mut kept = Vec::with_capacity(contents.models.len());
        for model in std::mem::take(&mut contents.models) {
            let held = |entry: &ModelEntry| {
                credential(entry).is_none_or(|digest| now.contains_key(digest) || credentials.contains_key(digest))
            };
            if held(&model) {
                kept.push(model);
                continue;
            }
            kept.extend(models.iter().find(|old| old.object == model.object && held(old)).cloned());
            let key = model.key();
            self.reject(format!("{} {key}", Kind::Models.name()), Reason::CredentialMissing);
            self.read_again(Kind::Models, &key);
        }
        let named: BTreeSet<String> = kept.iter().filter_map(credential).map(str::to_owned).collect();
        for digest in named {
            if let (false, Some(entry)) = (now.contains_key(&digest), credentials.get(&digest)) {
                self.read_again(Kind::Credentials, &digest);
                now.insert(digest, entry.clone());
            }
        }
        contents.models = kept;
    }

    /// Has the shard that covers a key's slot read again next time.
    fn read_again(&mut self, kind: Kind, key: &str) {
        let slot = canonical::slot(key);
        let shard = self.manifest.of_kind(kind).find(|shard| shard.slots.contains(slot));
        if let Some(taken) = shard.and_then(|shard| self.taken.get_mut(&shard.name)) {
            taken.hash = None;
        }
    }
}

fn take<E>(held: &mut BTreeMap<u8, Vec<E>>, slots: Slots) -> Vec<E> {
    let (taken, left) =
        std::mem::take(held).into_iter().partition::<BTreeMap<u8, Vec<E>>, _>(|(slot, _)| slots.contains(*slot));
    *held = left;
    taken.into_values().flatten().collect()
}

/// The head of a shard, alike in every format.
#[derive(Deserialize)]
struct Header {
    format: u32,
    version: u64,
}

#[derive(Deserialize)]
struct Document<E> {
    kind: Kind,
    name: String,
    entries: Vec<E>,
}

/// A shard's entries; `None` = they are held already.
fn check<E: Entry>(
    listed: &ShardRef,
    offered: Option<&Offered>,
    before: Option<&Taken>,
    current: bool,
) -> Result<Option<Vec<E>>, Reason> {
    let Offered { bytes, hash } = offered.ok_or(Reason::Missing)?;
    let unreadable = |error: serde_json::Error| Reason::Unreadable(explain(listed.kind, &error));
    if *hash != listed.hash {
        return Err(match serde_json::from_slice::<Header>(bytes) {
            Ok(header) if header.version != listed.version => {
                Reason::Stale { found: header.version, listed: listed.version }
            }
            _ => Reason::Torn,
        });
    }
    if current {
        return Ok(None);
    }
    let header: Header = serde_json::from_slice(bytes).map_err(unreadable)?;
    if !readable(header.format) {
        return Err(Reason::Format(header.format));
    }
    if let Some(before) = before.filter(|before| header.version < before.version) {
        return Err(Reason::Older { found: header.version, have: before.version });
    }
    // First without the entries' types, so that a shard in another's place is told from one with a bad entry.
    let outline: Document<IgnoredAny> = serde_json::from_slice(bytes).map_err(unreadable)?;
    if outline.kind != listed.kind || outline.name != listed.name {
        return Err(Reason::Unreadable(format!("it says that it is {}", outline.name)));
    }
    serde_json::from_slice::<Document<E>>(bytes).map(|document| Some(document.entries)).map_err(unreadable)
}

/// Errors quote what they stumble over, which must not happen with what lies in Secrets.
fn explain(kind: Kind, error: &serde_json::Error) -> String {
    if kind.is_secret() {
        return format!("an error of {:?} at line {} column {}", error.classify(), error.line(), error.column());
    }
    error.to_string()
}

fn credential(entry: &ModelEntry) -> Option<&str> {
    match &entry.backend {
        Backend::Provider(backend) => backend.credential.as_deref(),
        Backend::Route(_) | Backend::Mock { .. } => None,
    }
}

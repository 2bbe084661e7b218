//! The bundle's table of contents: which shards there are, which slots each covers, and what each must hash to.

use serde::{Deserialize, Serialize};

use crate::canonical;

/// Newest format that this build reads and writes. It grows when a reader of the one before would take an entry for something
/// else, or could read nothing at all. Members that such a reader leaves out do not count, nor do entries that it refuses to
/// read: it says so, and goes on with what it has.
///
/// 1: models, budgets, keys, credentials. 2: endpoints as well.
pub const FORMAT: u32 = 2;
/// Oldest format that this build reads and writes: the one before.
pub const OLDEST: u32 = FORMAT - 1;
/// Hash slots of each kind. Fixed for ever: an object's slot must not depend on how many shards there are.
pub const SLOTS: u16 = 256;

/// What a shard holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// [`crate::entry::ModelEntry`].
    Models,
    /// [`crate::entry::BudgetEntry`].
    Budgets,
    /// [`crate::entry::KeyEntry`].
    Keys,
    /// [`crate::entry::CredentialEntry`].
    Credentials,
    /// [`crate::entry::EndpointEntry`].
    Endpoints,
}

impl Kind {
    /// In the order in which shards are listed and must be published: what others refer to comes first.
    pub const ALL: [Self; 5] = [Self::Credentials, Self::Keys, Self::Budgets, Self::Models, Self::Endpoints];

    /// Those that a bundle of this format has.
    pub fn of_format(format: u32) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |kind| kind.format() <= format)
    }

    /// The oldest format that can have this kind, and the one that its shards say: what is not new in a format stays as it is
    /// when bundles begin to have that format.
    pub const fn format(self) -> u32 {
        match self {
            Self::Models | Self::Budgets | Self::Keys | Self::Credentials => 1,
            Self::Endpoints => 2,
        }
    }

    /// Whether shards of this kind are Secrets rather than `ConfigMap`s.
    pub const fn is_secret(self) -> bool {
        match self {
            Self::Keys | Self::Credentials => true,
            Self::Models | Self::Budgets | Self::Endpoints => false,
        }
    }

    /// Most shards of this kind. The volume that gateways mount lists 128 fixed names each of Secrets and of
    /// `ConfigMap`s, the manifest being one of the latter.
    pub const fn max_shards(self) -> u16 {
        match self {
            Self::Models => 95,
            Self::Budgets => 31,
            Self::Credentials => 32,
            Self::Keys => 96,
            Self::Endpoints => 1,
        }
    }

    /// As in names and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Models => "models",
            Self::Budgets => "budgets",
            Self::Keys => "keys",
            Self::Credentials => "credentials",
            Self::Endpoints => "endpoints",
        }
    }

    /// Name of this kind's `number`th shard.
    pub fn shard_name(self, number: u16) -> String {
        format!("{}-{number:02}", self.name())
    }
}

/// A range of hash slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Slots {
    /// First.
    pub start: u16,
    /// One past the last.
    pub end: u16,
}

impl Slots {
    /// Every slot.
    pub const ALL: Self = Self { start: 0, end: SLOTS };

    /// How many.
    pub const fn len(self) -> u16 {
        self.end.saturating_sub(self.start)
    }

    /// Covers nothing.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether the slot is among them.
    pub fn contains(self, slot: u8) -> bool {
        (self.start..self.end).contains(&u16::from(slot))
    }

    /// Both halves.
    pub(crate) const fn halves(self) -> (Self, Self) {
        let middle = self.start + self.len() / 2;
        (Self { start: self.start, end: middle }, Self { start: middle, end: self.end })
    }
}

/// One shard as the manifest lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardRef {
    /// `models-00`, …; also the shard's key in the volume.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// The slots whose entries it holds.
    pub slots: Slots,
    /// Version of the manifest that last changed it.
    pub version: u64,
    /// sha256 of its bytes, lower-case hex.
    pub hash: String,
}

/// The table of contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Between [`OLDEST`] and [`FORMAT`].
    pub format: u32,
    /// Grows with every change.
    pub version: u64,
    /// sha256 over all other fields, lower-case hex: what gateways report as loaded.
    pub hash: String,
    /// Sorted by kind (order of [`Kind::ALL`]) and first slot.
    pub shards: Vec<ShardRef>,
}

/// Why a manifest is not to be used at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, or not of this shape.
    #[error("the manifest is not readable: {0}")]
    Unreadable(String),
    /// From a newer or a much older writer.
    #[error("the manifest has format {0}; this build reads {OLDEST} to {FORMAT}")]
    Format(u32),
    /// The hash does not fit the content.
    #[error("the manifest's hash does not fit its content: it is torn or was edited")]
    Torn,
    /// Shards overlap or leave slots out.
    #[error("the manifest's {} shards do not cover every slot once", .0.name())]
    Coverage(Kind),
}

impl Manifest {
    /// Computes the hash.
    pub(crate) fn new(format: u32, version: u64, shards: Vec<ShardRef>) -> Self {
        let mut manifest = Self { format, version, hash: String::new(), shards };
        manifest.hash = manifest.computed_hash();
        manifest
    }

    /// Canonical JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        canonical::to_string(self).into_bytes()
    }

    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// Where nothing in it can be relied on; the caller keeps what it has.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Header {
            format: u32,
        }
        // The format comes first: a newer one may differ in everything else.
        let unreadable = |error: serde_json::Error| ManifestError::Unreadable(error.to_string());
        let header: Header = serde_json::from_slice(bytes).map_err(unreadable)?;
        if !readable(header.format) {
            return Err(ManifestError::Format(header.format));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(unreadable)?;
        if manifest.computed_hash() != manifest.hash {
            return Err(ManifestError::Torn);
        }
        match Kind::of_format(manifest.format).find(|kind| !manifest.covers(*kind)) {
            Some(kind) => Err(ManifestError::Coverage(kind)),
            None => Ok(manifest),
        }
    }

    /// The shard of this name.
    pub fn shard(&self, name: &str) -> Option<&ShardRef> {
        self.shards.iter().find(|shard| shard.name == name)
    }

    /// The shard that an entry of this kind and key (an object's `namespace/name`, a credential's digest) lies in.
    pub fn covering(&self, kind: Kind, key: &str) -> Option<&ShardRef> {
        self.in_slot(kind, canonical::slot(key))
    }

    /// The shard of a kind that covers a slot.
    pub fn in_slot(&self, kind: Kind, slot: u8) -> Option<&ShardRef> {
        self.of_kind(kind).find(|shard| shard.slots.contains(slot))
    }

    /// The shards of a kind, by first slot.
    pub(crate) fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &ShardRef> {
        self.shards.iter().filter(move |shard| shard.kind == kind)
    }

    /// Whether the kind's shards cover every slot exactly once, in order.
    pub(crate) fn covers(&self, kind: Kind) -> bool {
        let mut next = 0;
        for shard in self.of_kind(kind) {
            if shard.slots.start != next || shard.slots.is_empty() {
                return false;
            }
            next = shard.slots.end;
        }
        next == SLOTS
    }

    fn computed_hash(&self) -> String {
        let unhashed = Self { hash: String::new(), ..self.clone() };
        canonical::sha256_hex(canonical::to_string(&unhashed).as_bytes())
    }
}

/// Whether this build reads a format.
pub(crate) fn readable(format: u32) -> bool {
    (OLDEST..=FORMAT).contains(&format)
}

//! What was published before: by this process, or as read from the cluster when it starts to lead.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use turnpike_bundle::{
    Cutter, Manifest, State,
    manifest::Kind,
    parse,
    problem::{ObjectId, ObjectKind},
};

use crate::publish::endpoints::Endpoints;

/// Hex digits of an entry's digest in status.
const DIGEST_LENGTH: usize = 16;
/// How far ahead of the clock a version is still believed that no whole manifest has.
pub const AHEAD_MS: u64 = 24 * 60 * 60 * 1000;

/// The bundle before this one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Previous {
    /// `None` = none that can be carried on.
    pub manifest: Option<Manifest>,
    /// What it said of each object; objects that it never knew are absent.
    pub known: BTreeMap<ObjectId, Known>,
    /// Digests of its credentials.
    pub credentials: BTreeSet<String>,
    /// Where engines' pods were, whether or not its format can tell.
    pub endpoints: Endpoints,
    /// The highest version that was ever seen or tried: the next one is above it.
    pub floor: u64,
}

/// What the bundle said of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its entry's digest; `None` = it had no entry.
    pub digest: Option<String>,
    /// Version since when that is so, or a later one.
    pub since: u64,
}

impl Previous {
    /// Reads what lies in the cluster: the manifest's bytes and those of the shards, by name. Whatever is missing or was
    /// edited counts as unknown, so that it is written again.
    pub fn read(manifest: Option<&[u8]>, shards: &BTreeMap<String, Vec<u8>>, now_ms: u64) -> Self {
        let heads = manifest.into_iter().chain(shards.values().map(Vec::as_slice));
        let believed = now_ms.saturating_add(AHEAD_MS);
        let floor = heads.filter_map(version).filter(|version| *version <= believed).max().unwrap_or_default();
        let Some(manifest) = manifest.and_then(|bytes| Manifest::from_bytes(bytes).ok()) else {
            return Self { floor, ..Self::default() };
        };
        let parsed = parse(&manifest.to_bytes(), shards, State::default());
        let contents = parsed.state.contents();
        let mut cutter = Cutter::default();
        cutter.cut(contents, manifest.format, None, now_ms);
        let known = cutter.pieces().filter_map(|(kind, object, piece)| {
            let id = ObjectId { kind: object_kind(kind)?, object: object.clone() };
            let shard = manifest.in_slot(kind, piece.slot())?;
            Some((id, Known { digest: Some(short(piece.hash())), since: shard.version }))
        });
        Self {
            known: known.collect(),
            credentials: contents.credentials.keys().cloned().collect(),
            endpoints: contents.endpoints.as_slice().into(),
            floor: floor.max(manifest.version),
            manifest: Some(manifest),
        }
    }
}

/// The version at the head of any part, of any format.
fn version(bytes: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Header {
        version: u64,
    }
    serde_json::from_slice::<Header>(bytes).ok().map(|header| header.version)
}

/// Where the bundle holds objects of a kind; `None` = it holds none.
pub fn kind_of(kind: ObjectKind) -> Option<Kind> {
    match kind {
        ObjectKind::ModelDeployment => Some(Kind::Models),
        ObjectKind::VirtualKey => Some(Kind::Keys),
        ObjectKind::Budget => Some(Kind::Budgets),
        ObjectKind::Secret | ObjectKind::File => None,
    }
}

/// Of which kind the objects are that compile to what lies in such shards; `None` = none do.
fn object_kind(kind: Kind) -> Option<ObjectKind> {
    match kind {
        Kind::Models => Some(ObjectKind::ModelDeployment),
        Kind::Keys => Some(ObjectKind::VirtualKey),
        Kind::Budgets => Some(ObjectKind::Budget),
        Kind::Credentials | Kind::Endpoints => None,
    }
}

/// The digest of an entry in status, of its whole hash.
pub fn short(hash: &str) -> String {
    hash.chars().take(DIGEST_LENGTH).collect()
}

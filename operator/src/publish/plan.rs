//! Which objects to write, and in which order, so that gateways find a consistent bundle whenever the writing ends.
//!
//! ```text
//!  credentials ─▶ keys ─▶ budgets ─▶ models ─▶ endpoints ─▶ credentials that only go ─▶ manifest ─▶ delete what it lists no more
//! ```
//! Until the manifest is written, what was changed before it does not fit the old one's hashes: gateways keep what they have.

use std::collections::{BTreeMap, BTreeSet};

use turnpike_bundle::{Bundle, Shard, layout::MANIFEST, manifest::Kind, sha256_hex};

/// A part as it lies in the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lying {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// sha256 of the part's bytes; empty where the data key is absent.
    pub hash: String,
    /// Its labels and its owner are as written.
    pub intact: bool,
}

/// The parts that lie in the cluster, by name.
pub type Observed = BTreeMap<String, Lying>;

/// One write.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Write {
    /// The part as in the bundle: a shard's name, or [`MANIFEST`].
    Apply(String),
    /// A part that the bundle lists no more.
    Delete(String),
}

/// The writes that make the cluster hold the bundle. Those of one stage may go side by side; a stage begins only when all
/// writes of the one before have succeeded. `credentials`: digests in the bundle that is replaced.
pub fn plan(bundle: &Bundle, observed: &Observed, credentials: &BTreeSet<String>) -> Vec<Vec<Write>> {
    let differs = |name: &str, hash: &str| observed.get(name).is_none_or(|lying| lying.hash != hash || !lying.intact);
    let mut stages: BTreeMap<usize, Vec<Write>> = BTreeMap::new();
    for shard in bundle.shards.iter().filter(|shard| differs(&shard.name, &shard.hash)) {
        stages.entry(stage(shard, credentials)).or_default().push(Write::Apply(shard.name.clone()));
    }
    let mut stages: Vec<Vec<Write>> = stages.into_values().collect();
    if differs(MANIFEST, &sha256_hex(&bundle.manifest.to_bytes())) {
        stages.push(vec![Write::Apply(MANIFEST.to_owned())]);
    }
    let listed = |name: &str| name == MANIFEST || bundle.manifest.shard(name).is_some();
    let obsolete: Vec<Write> = observed.keys().filter(|name| !listed(name)).cloned().map(Write::Delete).collect();
    stages.extend((!obsolete.is_empty()).then_some(obsolete));
    stages
}

/// What others refer to comes first, and goes last.
fn stage(shard: &Shard, credentials: &BTreeSet<String>) -> usize {
    if shard.kind == Kind::Credentials && !adds(shard, credentials) {
        return Kind::ALL.len();
    }
    Kind::ALL.iter().position(|kind| *kind == shard.kind).unwrap_or_default()
}

/// Whether a shard of credentials holds one that was not published before.
fn adds(shard: &Shard, credentials: &BTreeSet<String>) -> bool {
    #[derive(serde::Deserialize)]
    struct Named {
        digest: String,
    }
    #[derive(serde::Deserialize)]
    struct Document {
        entries: Vec<Named>,
    }
    serde_json::from_slice::<Document>(&shard.bytes)
        .map_or(true, |document| document.entries.iter().any(|entry| !credentials.contains(&entry.digest)))
}

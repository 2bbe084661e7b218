//! Whose the manifest in the cluster is. Decisions only.

use std::collections::BTreeSet;

use turnpike_bundle::Manifest;

/// Another process has published after this one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the manifest in the cluster has version {found}, which another process wrote; this one published {ours}")]
pub struct Foreign {
    /// Its version.
    pub found: u64,
    /// The last version that this process knows of.
    pub ours: u64,
}

/// What a manifest that was found means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The one that this process published last.
    Ours,
    /// One that this process tried to publish, and did not know that it had succeeded.
    Arrived,
    /// Missing, damaged or put back: publish again.
    Damaged,
    /// Newer, and none of ours.
    Foreign(Foreign),
}

/// Judges the bytes of a manifest; `None` = it is missing. `published`: the last one that this process published or found
/// when it began. `tried`: hashes of those that it tried to write since.
pub fn judge(found: Option<&[u8]>, published: Option<&Manifest>, tried: &BTreeSet<String>) -> Verdict {
    let Some(found) = found.and_then(|bytes| Manifest::from_bytes(bytes).ok()) else {
        return Verdict::Damaged;
    };
    let ours = published.map_or(0, |manifest| manifest.version);
    if published.is_some_and(|published| published.hash == found.hash) {
        Verdict::Ours
    } else if tried.contains(&found.hash) {
        Verdict::Arrived
    } else if found.version <= ours {
        Verdict::Damaged
    } else {
        Verdict::Foreign(Foreign { found: found.version, ours })
    }
}

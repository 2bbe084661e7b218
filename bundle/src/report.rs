//! What a gateway says that it has loaded: the body of `GET /bundle` on its internal listener.
//!
//! `GET /bundle?after=STATE&wait=30s` answers as soon as the state is another than `STATE`, or after the wait.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
pub use turnpike_engine::scale::Demand;

use crate::{
    canonical,
    manifest::{FORMAT, Kind, OLDEST, Slots},
    parse::{Rejection, State},
};

/// Rejections and failing credentials that a report names at most: it must stay well below 1 MiB.
const MOST_REJECTIONS: usize = 100;
/// The same for backends.
const MOST_UNHEALTHY: usize = 1000;

/// What a gateway has loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Names this state: changes whenever anything below does.
    pub state: String,
    /// Oldest format that the gateway reads.
    pub oldest_format: u32,
    /// Newest format that the gateway reads.
    pub newest_format: u32,
    /// Version of the manifest last accepted; 0 = none yet.
    pub version: u64,
    /// That manifest's hash, once every part of it is loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// What is loaded, by shard name.
    pub shards: BTreeMap<String, LoadedShard>,
    /// What was offered and not taken, and why; the first hundred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejections: Vec<Rejected>,
    /// Credentials that cannot be renewed; the first hundred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failing: Vec<FailingCredential>,
    /// Backends that take no requests, by model; the first thousand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unhealthy: Vec<UnhealthyBackend>,
}

/// What clients of a gateway want of engines: the body of `GET /demand` on its internal listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Demands {
    /// By `namespace/name`: every engine that the gateway knows of.
    pub engines: BTreeMap<String, Demand>,
}

/// A shard in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadedShard {
    /// What it holds.
    pub kind: Kind,
    /// Slots that it covers.
    pub slots: Slots,
    /// Its version.
    pub version: u64,
    /// Whether exactly this version is in use; false = older content stands in for a part of it.
    pub complete: bool,
}

/// A part that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// `manifest`, a shard's name, or `models ml/gpt-4o` for one entry.
    pub part: String,
    /// Why, for people.
    pub reason: String,
}

/// A credential that a gateway cannot renew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailingCredential {
    /// Digest of the credential.
    pub digest: String,
    /// Seconds since the epoch since which every attempt has failed.
    pub since: i64,
    /// Why, for people: the same for the same cause.
    pub reason: String,
}

/// A model whose backend a gateway leaves alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnhealthyBackend {
    /// `namespace/name` of the model.
    pub model: String,
    /// How it stands.
    pub state: BackendState,
    /// Seconds since the epoch since which it has been so, with breaks too short to tell.
    pub since: i64,
    /// Why, for people: the same for the same cause.
    pub reason: String,
}

/// Why a backend gets no requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BackendState {
    /// Requests failed; it is tried again after a cooldown.
    Cooling,
    /// Probes fail: it is not there.
    Down,
}

impl Report {
    /// Describes what a gateway has taken, and what it refused of the last offer.
    pub fn new(state: &State, rejections: &[Rejection]) -> Self {
        let mut report = Self {
            state: String::new(),
            oldest_format: OLDEST,
            newest_format: FORMAT,
            version: state.version(),
            hash: state.hash().map(str::to_owned),
            shards: state.loaded().collect(),
            rejections: rejections
                .iter()
                .take(MOST_REJECTIONS)
                .map(|rejection| Rejected { part: rejection.part.clone(), reason: rejection.reason.to_string() })
                .collect(),
            failing: Vec::new(),
            unhealthy: Vec::new(),
        };
        report.name_state();
        report
    }

    /// The same with these credentials failing.
    #[must_use]
    pub fn with_failing(mut self, mut failing: Vec<FailingCredential>) -> Self {
        failing.truncate(MOST_REJECTIONS);
        if self.failing != failing {
            self.failing = failing;
            self.name_state();
        }
        self
    }

    /// The same with these backends taking no requests.
    #[must_use]
    pub fn with_unhealthy(mut self, unhealthy: &[UnhealthyBackend]) -> Self {
        let unhealthy = unhealthy.get(..MOST_UNHEALTHY).unwrap_or(unhealthy);
        if self.unhealthy != unhealthy {
            self.unhealthy = unhealthy.to_vec();
            self.name_state();
        }
        self
    }

    fn name_state(&mut self) {
        self.state.clear();
        self.state = canonical::sha256_hex(canonical::to_string(self).as_bytes());
    }

    /// Whether the gateway serves what the bundle has said of `key` (an entry's object, as `namespace/name`) since `version`:
    /// the entry as it then became, or its absence.
    pub fn holds(&self, kind: Kind, key: &str, version: u64) -> bool {
        let slot = canonical::slot(key);
        self.shards
            .values()
            .any(|shard| shard.kind == kind && shard.complete && shard.version >= version && shard.slots.contains(slot))
    }
}

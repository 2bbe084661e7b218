//! Which of the ready gateways serve an entry.

use turnpike_bundle::{
    manifest::Kind,
    report::{BackendState, UnhealthyBackend},
};

use crate::gateways::{Gateway, Gateways};

/// The gateways that are ready.
#[derive(Clone, Debug)]
pub struct Fleet<'a> {
    ready: Vec<&'a Gateway>,
}

/// How gateways find a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend<'a> {
    /// It takes requests of all of them.
    Healthy,
    /// Some leave it alone.
    Cooling,
    /// All of them say that it is not there.
    Down {
        /// In the words of one of them.
        reason: &'a str,
    },
}

/// Who serves an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Serving {
    /// No gateway is ready.
    Nobody,
    /// Not every ready gateway, or not every one has said so.
    Some {
        /// Gateways that said that they serve it.
        holding: usize,
        /// Gateways that are ready.
        ready: usize,
        /// What one of the others says against it.
        refusal: Option<String>,
    },
    /// Every ready gateway.
    All,
}

impl<'a> Fleet<'a> {
    /// The ready ones among these.
    pub fn new(gateways: &'a Gateways) -> Self {
        Self { ready: gateways.values().filter(|gateway| gateway.ready).collect() }
    }

    /// Whether none is ready.
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// Why a credential cannot be renewed, in the words of one of those that cannot.
    pub fn failing(&self, digest: &str) -> Option<&'a str> {
        let failing =
            self.ready.iter().filter_map(|gateway| gateway.report.as_ref()).flat_map(|report| &report.failing);
        failing.filter(|credential| credential.digest == digest).map(|credential| credential.reason.as_str()).next()
    }

    /// How the gateways find a model's backend; `None` = none of them has said anything yet.
    pub fn backend(&self, key: &str) -> Option<Backend<'a>> {
        let mut reports = self.ready.iter().filter_map(|gateway| gateway.report.as_deref()).peekable();
        reports.peek()?;
        let found: Vec<Option<&UnhealthyBackend>> = reports
            .map(|report| {
                let at = report.unhealthy.binary_search_by(|backend| backend.model.as_str().cmp(key)).ok()?;
                report.unhealthy.get(at)
            })
            .collect();
        let down = found.iter().flatten().filter(|found| found.state == BackendState::Down).count();
        Some(match found.iter().flatten().next() {
            None => Backend::Healthy,
            Some(first) if down == found.len() => Backend::Down { reason: &first.reason },
            Some(_) => Backend::Cooling,
        })
    }

    /// Who serves what the bundle has said of an object since `version`.
    pub fn serving(&self, kind: Kind, key: &str, version: u64) -> Serving {
        if self.ready.is_empty() {
            return Serving::Nobody;
        }
        let refusals: Vec<Option<&str>> = self.ready.iter().map(|gateway| refusal(gateway, kind, key)).collect();
        let holding = self
            .ready
            .iter()
            .zip(&refusals)
            .filter(|(gateway, refusal)| refusal.is_none() && gateway.holds(kind, key, version))
            .count();
        if holding == self.ready.len() {
            return Serving::All;
        }
        let refusal = refusals.into_iter().flatten().next().map(str::to_owned);
        Serving::Some { holding, ready: self.ready.len(), refusal }
    }
}

/// Why a gateway left out this one entry of a shard that it took.
fn refusal<'a>(gateway: &'a Gateway, kind: Kind, key: &str) -> Option<&'a str> {
    let rejections = &gateway.report.as_ref()?.rejections;
    let found = rejections.iter().find(|rejected| {
        rejected.part.strip_prefix(kind.name()).and_then(|rest| rest.strip_prefix(' ')) == Some(key)
    })?;
    Some(&found.reason)
}

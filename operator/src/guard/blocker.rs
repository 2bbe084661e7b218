//! The reasons not to lead, and how they are told from what was read.

use std::collections::BTreeMap;

use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt;
use tokio::time::Instant;
use turnpike_crds::{CRD_VERSION, CRD_VERSION_ANNOTATION};

use crate::leader::observe::{Observation, holder};

/// Why this process must not lead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Blocker {
    /// A CRD is not there.
    #[error("the CRD {name} is not installed; apply the chart's crds folder")]
    CrdMissing {
        /// Its name.
        name: &'static str,
    },
    /// A CRD is older than this code.
    #[error(
        "the CRD {name} has {CRD_VERSION_ANNOTATION} {found}, and this operator needs at least {CRD_VERSION}; \
         apply the chart's crds folder of this version"
    )]
    CrdOlder {
        /// Its name.
        name: &'static str,
        /// Its version, or `none`.
        found: String,
    },
    /// Another installation with this instance's name is at work.
    #[error(
        "namespace {namespace} has an operator of the same instance (Lease {lease}); give one of them another --instance \
         or uninstall it"
    )]
    SecondInstance {
        /// Where.
        namespace: String,
        /// Its Lease.
        lease: String,
    },
    /// The root ConfigMap is another one than at the start: what this process writes would be collected as garbage.
    #[error("the ConfigMap {name} was created, deleted or replaced since this process started; it has to start again")]
    RootReplaced {
        /// Its name.
        name: String,
    },
    /// It cannot be told.
    #[error("cannot check whether this process may lead: {0}")]
    Unknown(String),
}

impl Blocker {
    /// As in events.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::CrdMissing { .. } => "CRDMissing",
            Self::CrdOlder { .. } => "CRDTooOld",
            Self::SecondInstance { .. } => "SecondInstance",
            Self::RootReplaced { .. } => "RootReplaced",
            Self::Unknown(_) => "Unknown",
        }
    }
}

/// Whether a CRD forbids to lead. `version`: its annotation, if it has one, if it is there.
pub fn crd_blocker(name: &'static str, version: Option<Option<&str>>) -> Option<Blocker> {
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let Some(version) = version else { return Some(Blocker::CrdMissing { name }) };
    if version.and_then(number) >= number(CRD_VERSION) {
        return None;
    }
    Some(Blocker::CrdOlder { name, found: version.unwrap_or("none").to_owned() })
}

/// Leases whose holders are, or may be, alive. One that is seen for the first time may be.
pub fn live(foreign: &BTreeMap<String, Observation>, now: Instant) -> Vec<&Lease> {
    foreign
        .values()
        .filter(|seen| seen.expires().is_some_and(|until| now < until))
        .filter_map(Observation::lease)
        .collect()
}

/// Whether another instance's live Lease forbids to lead: always before leading; to one that leads (with `own`) only if the
/// other has led for longer, so that of two that started together one stays.
pub fn foreign_blocker(foreign: &Lease, own: Option<&Lease>) -> Option<Blocker> {
    holder(foreign)?;
    let start = |lease: &Lease| {
        let acquired = lease.spec.as_ref().and_then(|spec| spec.acquire_time.as_ref()).map(|time| time.0);
        (acquired, lease.namespace())
    };
    if own.is_some_and(|own| start(own) <= start(foreign)) {
        return None;
    }
    Some(Blocker::SecondInstance { namespace: foreign.namespace().unwrap_or_default(), lease: foreign.name_any() })
}

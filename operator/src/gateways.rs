//! The gateway pods and what each says that it has loaded.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use turnpike_bundle::{Report, manifest::Kind};

/// Gateway pods by name.
pub type Gateways = BTreeMap<String, Gateway>;

/// One gateway pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gateway {
    /// `metadata.uid`.
    pub uid: String,
    /// Pod IP, once it has one.
    pub ip: Option<IpAddr>,
    /// Its Ready condition is True and it is not being deleted: Services send it traffic.
    pub ready: bool,
    /// Its container runs, ready or not, also while the pod is being deleted: it may still serve a client.
    pub running: bool,
    /// Its last report; `None` = it has not answered yet.
    pub report: Option<Arc<Report>>,
}

impl Gateway {
    /// As [`Report::holds`]; false without a report.
    pub fn holds(&self, kind: Kind, key: &str, version: u64) -> bool {
        self.report.as_ref().is_some_and(|report| report.holds(kind, key, version))
    }
}

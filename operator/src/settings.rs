//! What the operator was told on its command line and every task may need.

use std::{collections::BTreeSet, time::Duration};

/// Settings for the life of the process.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Rules for compiling objects.
    pub bundle: turnpike_bundle::Settings,
    /// Namespaces whose objects count; empty = all.
    pub watch_namespaces: BTreeSet<String>,
    /// Base URL that clients call, without a trailing slash; shown in `status.endpoint`. `None` = not told.
    pub gateway_url: Option<String>,
    /// Rules and defaults for engines.
    pub engine: turnpike_engine::Settings,
    /// Longest wait of a deleted key for gateways that do not confirm.
    pub revocation_timeout: Duration,
}

impl Settings {
    /// Whether a namespace's objects count.
    pub fn watches(&self, namespace: &str) -> bool {
        self.watch_namespaces.is_empty() || self.watch_namespaces.contains(namespace)
    }
}

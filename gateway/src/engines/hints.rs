//! Where engines' pods are by the operator's word: it comes sooner than DNS, and counts only until DNS must have followed.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use tokio::time::Instant;
use turnpike_bundle::entry::{EndpointEntry, ObjectRef};

/// How long an address is known by a hint alone.
const HINT: Duration = Duration::from_secs(30);

/// Where the operator has seen pods that are ready.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    /// By engine.
    pub endpoints: Vec<EndpointEntry>,
    /// When that was received; `None` = never.
    pub received: Option<Instant>,
}

impl Hints {
    /// Until when they count, where they still do.
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        self.received.map(|received| received + HINT).filter(|until| now < *until)
    }

    /// The addresses of an engine.
    pub(super) fn of(&self, object: &ObjectRef) -> BTreeSet<SocketAddr> {
        let entries = self.endpoints.iter().filter(|entry| entry.object == *object);
        entries.flat_map(|entry| entry.addresses.iter().map(|ip| SocketAddr::new(*ip, entry.port))).collect()
    }
}

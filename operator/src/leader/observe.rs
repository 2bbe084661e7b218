//! Whether a Lease may be taken, told from what this process itself has seen of it and when.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use tokio::time::Instant;

/// A Lease as last seen, and since when it has been so.
#[derive(Clone, Debug)]
pub struct Observation {
    lease: Option<Lease>,
    since: Instant,
}

/// What a candidate does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Takes the Lease.
    Take,
    /// Waits for a change, or until this time.
    Wait(Instant),
    /// Waits for the first sight of it.
    Look,
}

impl Observation {
    /// Seen for the first time.
    pub fn new(lease: Option<Lease>, now: Instant) -> Self {
        Self { lease, since: now }
    }

    /// Seen again: the time runs on unless somebody has renewed, taken or released it.
    pub fn see(&mut self, lease: Option<Lease>, now: Instant) {
        if self.lease.as_ref().map(|lease| &lease.spec) != lease.as_ref().map(|lease| &lease.spec) {
            self.since = now;
        }
        self.lease = lease;
    }

    /// The Lease as last seen; `None` = there is none.
    pub fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    /// When its holder has to be taken for dead unless it renews; `None` = nobody holds it.
    pub fn expires(&self) -> Option<Instant> {
        let lease = self.lease.as_ref()?;
        holder(lease)?;
        Some(self.since + duration(lease))
    }

    /// What a candidate called `identity` does now.
    pub fn next(&self, identity: &str, now: Instant) -> Next {
        match self.expires() {
            Some(until) if now < until && !self.lease.as_ref().is_some_and(|lease| held_by(lease, identity)) => {
                Next::Wait(until)
            }
            _ => Next::Take,
        }
    }
}

/// Notes what was seen.
pub fn see(seen: &mut Option<Observation>, lease: Option<Lease>, now: Instant) {
    match seen {
        Some(seen) => seen.see(lease, now),
        None => *seen = Some(Observation::new(lease, now)),
    }
}

/// Who holds a Lease; `None` = nobody.
pub fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

/// Whether `identity` holds a Lease.
pub fn held_by(lease: &Lease, identity: &str) -> bool {
    holder(lease) == Some(identity)
}

fn duration(lease: &Lease) -> Duration {
    let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds).unwrap_or(super::DURATION_SECONDS);
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

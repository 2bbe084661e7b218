//! How long a request waits for a limit that others have used up, before it is refused. Decisions only; the ledger keeps the
//! order: those who wait for one limit take turns by key, so that a key with many requests does not keep out the others.

use std::time::Duration;

use turnpike_ledger::account::{AccountSpec, OwnerKind, Unit};

/// How long one attempt may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For places and rates of backends.
    pub backend: Duration,
    /// For places of its key.
    pub key: Duration,
}

impl Patience {
    /// Nothing is waited for.
    pub const NONE: Self = Self { backend: Duration::ZERO, key: Duration::ZERO };

    /// With `most` configured and `left` until the request's deadline. Where another backend could take the request, it goes
    /// there instead of waiting for this one.
    pub fn new(most: Duration, left: Duration, has_others: bool) -> Self {
        let wait = most.min(left);
        Self { backend: if has_others { Duration::ZERO } else { wait }, key: wait }
    }

    /// For this account. Rates of keys and budgets are not waited for: their clients are told when to come back.
    pub fn of(&self, account: &AccountSpec) -> Duration {
        match (account.owner.kind, account.unit) {
            (OwnerKind::ModelDeployment, _) => self.backend,
            (OwnerKind::VirtualKey, Unit::Parallel) => self.key,
            (OwnerKind::VirtualKey | OwnerKind::Budget, _) => Duration::ZERO,
        }
    }
}

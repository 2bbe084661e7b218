//! How long a request waits for a limit that others have used up, before it is refused. Decisions only; the ledger keeps the
//! order: those who wait for one limit take turns by key, so that a key with many requests does not keep out the others.

use std::time::Duration;

use turnpike_ledger::account::{AccountSpec, OwnerKind};

/// How long one attempt may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For places and rates of backends.
    pub backend: Duration,
    /// For places and rates of its key.
    pub key: Duration,
}

impl Patience {
    /// Nothing is waited for.
    pub const NONE: Self = Self { backend: Duration::ZERO, key: Duration::ZERO };

    /// For one attempt, with `rest` of what the request may wait in all. Where another backend could take it, it goes there
    /// instead of waiting for this one.
    pub fn of_one(rest: Duration, has_others: bool) -> Self {
        Self { backend: if has_others { Duration::ZERO } else { rest }, key: rest }
    }

    /// For whichever backend is free first.
    pub fn of_any(rest: Duration) -> Self {
        Self { backend: rest, key: rest }
    }

    /// For this account. Budgets are not waited for like this.
    pub fn of(&self, account: &AccountSpec) -> Duration {
        match account.owner.kind {
            OwnerKind::ModelDeployment => self.backend,
            OwnerKind::VirtualKey if account.is_rate() => self.key,
            OwnerKind::VirtualKey | OwnerKind::Budget => Duration::ZERO,
        }
    }
}

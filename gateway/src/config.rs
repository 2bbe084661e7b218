//! Configuration: sources fill a bundle, [`compile`](compile::compile) makes it a [`Snapshot`], one swap publishes it.

use std::sync::Arc;

use arc_swap::ArcSwap;

pub mod backends;
pub mod compile;
mod eyes;
pub mod follow;
pub mod reload;
pub mod snapshot;
pub mod sources;
pub mod watch;

use snapshot::Snapshot;

/// The snapshot in force. A request loads it once and keeps it.
#[derive(Clone)]
pub struct Live(Arc<ArcSwap<Snapshot>>);

impl Default for Live {
    fn default() -> Self {
        Self(Arc::new(ArcSwap::from_pointee(Snapshot::default())))
    }
}

impl Live {
    /// The snapshot in force.
    pub fn load(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// Puts another one in force; requests under way keep theirs.
    pub fn publish(&self, next: Snapshot) {
        self.0.store(Arc::new(next));
    }
}

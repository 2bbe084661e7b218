//! Configuration: sources fill a bundle, [`compile`](compile::compile) makes it a [`Snapshot`], one swap publishes it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch as channel;

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
pub struct Live {
    snapshot: Arc<ArcSwap<Snapshot>>,
    published: channel::Sender<()>,
}

impl Default for Live {
    fn default() -> Self {
        Self { snapshot: Arc::new(ArcSwap::from_pointee(Snapshot::default())), published: channel::Sender::default() }
    }
}

impl Live {
    /// The snapshot in force.
    pub fn load(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Puts another one in force; requests under way keep theirs.
    pub fn publish(&self, next: Snapshot) {
        self.snapshot.store(Arc::new(next));
        self.published.send_replace(());
    }

    /// The first snapshot, from the one in force on, of which this says that it will do.
    pub async fn until(&self, mut will_do: impl FnMut(&Snapshot) -> bool) -> Arc<Snapshot> {
        let mut published = self.published.subscribe();
        loop {
            let snapshot = self.load();
            if will_do(&snapshot) {
                return snapshot;
            }
            // The sender is here, so it is not gone.
            let _ = published.changed().await;
        }
    }
}

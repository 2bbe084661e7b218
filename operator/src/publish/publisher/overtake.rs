//! What to do where gateways hold a later bundle than the cluster: they would take nothing more.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Publisher, now_ms};
use crate::publish::{
    format,
    previous::{AHEAD_MS, Previous},
};

impl Publisher {
    /// Publishes anew, above what gateways hold, where that is later than what lies in the cluster.
    pub(super) fn overtake(&mut self) {
        let ours = self.previous.manifest.as_ref().map_or(u64::MAX, |manifest| manifest.version);
        let ours = ours.max(self.floor.saturating_sub(1));
        let believed = now_ms().saturating_add(AHEAD_MS);
        let Some(theirs) = format::ahead(&self.context.gateways.borrow(), ours, believed) else { return };
        tracing::warn!(
            ours,
            theirs,
            "gateways hold a later bundle than the cluster; it is published again above theirs"
        );
        self.floor = theirs.saturating_add(1);
        self.previous = Arc::new(Previous { floor: theirs, ..Previous::default() });
        self.pending = None;
        self.dirty.get_or_insert_with(Instant::now);
    }
}

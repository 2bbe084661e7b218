//! Tells whoever runs the operator of objects that cannot be read. Their authors are told by the status writer's events.

use std::collections::BTreeMap;

use turnpike_bundle::problem::ObjectId;

use super::World;
use crate::metrics::Metrics;

/// What has been told.
#[derive(Default)]
pub(super) struct Told(BTreeMap<ObjectId, String>);

impl Told {
    /// Tells what is new.
    pub(super) fn tell(&mut self, world: &World, metrics: &Metrics) {
        for (id, error) in &world.unreadable {
            if self.0.get(id) != Some(error) {
                tracing::warn!(object = %id, error, "an object cannot be read; its last good version serves on");
            }
        }
        self.0.clone_from(&world.unreadable);
        metrics.unreadable.set(i64::try_from(self.0.len()).unwrap_or(i64::MAX));
    }
}

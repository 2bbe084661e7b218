//! What follows once a bundle is in the cluster: gateways are touched, the rest of the operator is told.

use std::sync::Arc;

use tokio::time::Instant;

use super::Publisher;
use crate::{
    kit::tell::tell,
    publish::{Published, compile::Compilation, touch::Target},
};

impl Publisher {
    /// The bundle is in the cluster. `since`: when the change came that made it differ.
    pub(super) fn done(&mut self, compiled: Compilation, since: Option<Instant>) {
        let metrics = &self.context.metrics;
        let bundle = &compiled.bundle;
        let size: usize = bundle.shards.iter().map(|shard| shard.bytes.len()).sum();
        metrics.bundle_shards.set(gauge(bundle.shards.len()));
        metrics.bundle_bytes.set(gauge(size + bundle.manifest.to_bytes().len()));
        metrics.bundle_left_out.set(gauge(compiled.left_out));
        metrics.bundle_version.set(i64::try_from(bundle.manifest.version).unwrap_or(i64::MAX));
        let (hash, version) = (bundle.manifest.hash.clone(), bundle.manifest.version);
        let new = self.previous.manifest.as_ref().is_none_or(|manifest| manifest.hash != hash);
        let (previous, objects) = compiled.into_previous();
        let published = Published { manifest: previous.manifest.clone(), objects };
        self.previous = Arc::new(previous);
        self.tried.clear();
        // Pods first: they take longest.
        let target = Arc::new(Target { hash, written: new });
        self.target.send_if_modified(|old| {
            let other = old.hash != target.hash;
            if other {
                *old = target;
            }
            other
        });
        tell(&self.sender, Arc::new(published));
        if let Some(since) = since {
            let took = since.elapsed();
            metrics.publication_seconds.observe(took.as_secs_f64());
            let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            tracing::info!(version, new, milliseconds = took_ms, "the bundle was published");
        }
    }
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

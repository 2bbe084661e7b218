//! Publishes what a source has loaded: compile, swap, tell.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{compile::compile, sources::directory::Loaded};
use crate::{app::App, internal};

/// Puts loaded configuration in force.
pub struct Reload {
    app: Arc<App>,
    generation: AtomicU64,
}

impl Reload {
    /// For this gateway.
    pub fn new(app: Arc<App>) -> Self {
        Self { app, generation: AtomicU64::new(0) }
    }

    /// Compiles and swaps. Problems are told in the log, in metrics and to probes; they never stop what can be served.
    pub fn publish(&self, loaded: Loaded) {
        let Loaded { contents, hash, problems, warnings, .. } = loaded;
        let generation = self.generation.fetch_add(1, Ordering::Relaxed) + 1;
        let (snapshot, left_out) = compile(&contents, generation, hash.clone());
        for object in &left_out {
            tracing::error!(object = %object.object, reason = object.reason, "the gateway cannot serve an object of its bundle");
        }
        let now = jiff::Timestamp::now().as_second();
        self.app.metrics.config_loaded(&snapshot, problems.len() + left_out.len(), now);
        tracing::info!(
            generation,
            hash,
            models = snapshot.models.len(),
            keys = snapshot.keys.len(),
            problems = problems.len(),
            warnings = warnings.len(),
            "configuration loaded"
        );
        self.app.live.publish(snapshot);
        self.app.health.loaded(internal::Loaded { generation, hash, loaded_at: now, problems });
    }
}

//! Publishes what a source has loaded: compile, swap, tell.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use turnpike_bundle::{
    Contents, Problem,
    problem::{ObjectId, ObjectKind},
};
use turnpike_crds::Reason;

use super::compile::{LeftOut, compile};
use crate::{app::App, internal};

/// What a source has to publish.
pub struct Publication<'a> {
    /// To serve from.
    pub contents: &'a Contents,
    /// Names the contents.
    pub hash: String,
    /// What the source could not use in full.
    pub problems: Vec<Problem>,
    /// How much of it is served, but perhaps not as meant.
    pub warnings: usize,
}

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
    pub fn publish(&self, publication: Publication<'_>) {
        let Publication { contents, hash, mut problems, warnings } = publication;
        let generation = self.generation.fetch_add(1, Ordering::Relaxed) + 1;
        let sources = self.app.credentials.follow(&contents.credentials);
        let (snapshot, left_out) = compile(contents, (&self.app.backends, &sources), generation, hash.clone());
        for LeftOut { object, reason } in left_out {
            tracing::error!(%object, reason, "the gateway cannot serve an object of its bundle");
            problems.push(Problem {
                object: ObjectId { kind: ObjectKind::ModelDeployment, object },
                field: "spec".to_owned(),
                reason: Reason::Invalid,
                message: reason,
                next_step: "correct the object; the others are served".to_owned(),
            });
        }
        let now = jiff::Timestamp::now().as_second();
        self.app.metrics.config_loaded(&snapshot, problems.len(), now);
        tracing::info!(
            generation,
            hash,
            models = snapshot.models.len(),
            keys = snapshot.keys.len(),
            problems = problems.len(),
            warnings,
            "configuration loaded"
        );
        // Before any request can take that long.
        if let Some(longest) = snapshot.models.iter().map(|model| model.entry.timeouts.total).max() {
            self.app.ledger.requests_may_take(Duration::from_millis(longest));
        }
        self.app.live.publish(snapshot);
        self.app.backends.forget();
        self.app.health.loaded(internal::Loaded { generation, hash, loaded_at: now, problems });
    }
}

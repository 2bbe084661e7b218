//! Publishes what a source has loaded: compile, swap, tell.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use turnpike_bundle::{
    Contents, Problem,
    entry::{CredentialEntry, ModelEntry},
    problem::{ObjectId, ObjectKind},
};
use turnpike_crds::Reason;

use super::{
    compile::{self, LeftOut, Seen, compile},
    snapshot::Snapshot,
};
use crate::{app::App, internal, upstream::credentials::Sources};

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
    last: Mutex<Last>,
}

/// What was compiled last. Its lock makes one snapshot follow the other.
#[derive(Default)]
struct Last {
    generation: u64,
    hash: String,
    /// Where there are engines: to be compiled anew once these are elsewhere.
    models: Option<Models>,
}

struct Models {
    entries: Vec<ModelEntry>,
    credentials: BTreeMap<String, CredentialEntry>,
    sources: Sources,
}

impl Reload {
    /// For this gateway.
    pub fn new(app: Arc<App>) -> Self {
        Self { app, last: Mutex::default() }
    }

    /// The gateway.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Compiles and swaps. Problems are told in the log, in metrics and to probes; they never stop what can be served.
    pub fn publish(&self, publication: Publication<'_>) {
        let Publication { contents, hash, mut problems, warnings } = publication;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = last.generation + 1;
        let sources = self.app.credentials.follow(&contents.credentials);
        let addresses = self.app.engines.addresses();
        let seen = Seen { backends: &self.app.backends, sources: &sources, addresses: &addresses };
        let (snapshot, left_out) = compile(contents, seen, generation, hash.clone());
        let models = (!snapshot.engines.is_empty()).then(|| Models {
            entries: contents.models.clone(),
            credentials: contents.credentials.clone(),
            sources,
        });
        *last = Last { generation, hash: hash.clone(), models };
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

    /// Compiles the models of what is in force anew, with the addresses that engines have now. Keys stay as they are.
    pub fn readdress(&self) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = last.generation + 1;
        let Some(models) = &last.models else { return };
        let addresses = self.app.engines.addresses();
        let seen = Seen { backends: &self.app.backends, sources: &models.sources, addresses: &addresses };
        let keys = Arc::clone(&self.app.live.load().keys);
        // What is left out was told when it was loaded.
        let (snapshot, _) = compile::models((&models.entries, &models.credentials), seen, keys);
        self.app.live.publish(Snapshot { generation, hash: last.hash.clone(), ..snapshot });
        last.generation = generation;
        self.app.backends.forget();
        tracing::debug!(generation, "engines have other addresses");
    }
}

//! How backends stand, under `LiteLLM`'s names.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::{
    config::snapshot::{Backend, Model, Snapshot},
    spend,
};

const LABELS: [&str; 4] = ["litellm_model_name", "model_id", "api_base", "api_provider"];

/// Series by model.
pub(super) struct Deployments {
    state: IntGaugeVec,
    cooled: IntCounterVec,
    /// Labels of the series that there are, by `model_id`.
    known: Mutex<BTreeMap<Arc<str>, [String; 4]>>,
}

impl Deployments {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let state = Opts::new(
            "litellm_deployment_state",
            "How a backend stands: 0 = healthy, 1 = partial outage (it gets part of its requests), 2 = it is left alone.",
        );
        let cooled = Opts::new(
            "litellm_deployment_cooled_down_total",
            "How often a backend was left alone, after requests or probes that failed, or because it asked for it.",
        );
        let (state, cooled) = (IntGaugeVec::new(state, &LABELS)?, IntCounterVec::new(cooled, &LABELS)?);
        registry.register(Box::new(state.clone()))?;
        registry.register(Box::new(cooled.clone()))?;
        Ok(Self { state, cooled, known: Mutex::default() })
    }

    /// Series of the snapshot's models, and of no others.
    pub(super) fn retain(&self, snapshot: &Snapshot) {
        let now: BTreeMap<_, _> =
            snapshot.models.iter().filter_map(|model| Some((Arc::clone(&model.id), labels(model)?))).collect();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, old) in known.iter().filter(|(id, old)| now.get(*id) != Some(*old)) {
            // Each was made below.
            let _ = (self.state.remove_label_values(old), self.cooled.remove_label_values(old));
        }
        for labels in now.values() {
            self.state.with_label_values(labels);
            self.cooled.with_label_values(labels);
        }
        *known = now;
    }

    pub(super) fn stands(&self, model: &Model, outage: i64, cooled: bool) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(labels) = known.get(&model.id) else { return };
        self.state.with_label_values(labels).set(outage);
        if cooled {
            self.cooled.with_label_values(labels).inc();
        }
    }
}

/// `None` = it has no backend.
pub(super) fn labels(model: &Model) -> Option<[String; 4]> {
    let Backend::Provider(upstream) = &model.backend else { return None };
    let base = upstream.config.base_url.clone();
    Some([upstream.model.to_string(), model.id.to_string(), base, spend::provider(model).to_owned()])
}

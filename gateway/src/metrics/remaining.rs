//! What is left of rates, under `LiteLLM`'s names: of a provider's, as its answers say, and of those that keys have for one model.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus::{IntGaugeVec, Opts, Registry};
use turnpike_ledger::account::{AccountSpec, OwnerKind, Unit};

use super::deployments;
use crate::config::snapshot::{Caller, Model, Pots, Snapshot};

type Source = Box<dyn Fn(&Arc<AccountSpec>) -> i64 + Send + Sync>;

const OF_MODEL: [&str; 5] = ["model_group", "litellm_model_name", "model_id", "api_base", "api_provider"];
const OF_KEY: [&str; 3] = ["hashed_api_key", "api_key_alias", "model"];

/// Gauges of requests and of tokens.
pub(super) struct Remaining {
    of_models: [IntGaugeVec; 2],
    of_keys: [IntGaugeVec; 2],
    known: Mutex<Known>,
    source: Mutex<Option<Source>>,
}

/// What may have any.
#[derive(Default)]
struct Known {
    models: Vec<(Arc<Model>, [String; 5])>,
    /// By key and model, with the accounts of requests and of tokens.
    keys: BTreeMap<[Arc<str>; 3], [Option<Arc<AccountSpec>>; 2]>,
}

impl Remaining {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str, labels: &[&str]| -> prometheus::Result<IntGaugeVec> {
            let gauge = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let of_models = [
            gauge(
                "litellm_remaining_requests_metric",
                "Requests that a provider still takes, as its last answer said; none = it does not say.",
                &OF_MODEL,
            )?,
            gauge(
                "litellm_remaining_tokens_metric",
                "Tokens that a provider still takes, as its last answer said; none = it does not say.",
                &OF_MODEL,
            )?,
        ];
        let of_keys = [
            gauge(
                "litellm_remaining_api_key_requests_for_model",
                "What is left of a key's requests per minute for one model, as far as this gateway knows.",
                &OF_KEY,
            )?,
            gauge(
                "litellm_remaining_api_key_tokens_for_model",
                "What is left of a key's tokens per minute for one model, as far as this gateway knows.",
                &OF_KEY,
            )?,
        ];
        Ok(Self { of_models, of_keys, known: Mutex::default(), source: Mutex::default() })
    }

    /// `source` tells what is left of an account.
    pub(super) fn poll(&self, source: Source) {
        *self.source.lock().unwrap_or_else(PoisonError::into_inner) = Some(source);
    }

    /// From now on of the snapshot's models and keys.
    pub(super) fn retain(&self, snapshot: &Snapshot) {
        let labelled = |model: &Arc<Model>| {
            let [name, id, base, provider] = deployments::labels(model)?;
            Some((Arc::clone(model), [model.entry.model_name.clone(), name, id, base, provider]))
        };
        let mut known = Known { models: snapshot.models.iter().filter_map(labelled).collect(), keys: BTreeMap::new() };
        for key in snapshot.keys.values() {
            known.add(&key.caller);
        }
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
    }

    pub(super) fn refresh(&self) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        for gauge in self.of_models.iter().chain(&self.of_keys) {
            gauge.reset();
        }
        for (model, labels) in &known.models {
            for (gauge, left) in self.of_models.iter().zip(model.live.remaining()) {
                if let Some(left) = left {
                    gauge.with_label_values(labels).set(i64::try_from(left).unwrap_or(i64::MAX));
                }
            }
        }
        let Some(source) = &*source else { return };
        for (labels, accounts) in &known.keys {
            for (gauge, account) in self.of_keys.iter().zip(accounts) {
                if let Some(account) = account {
                    gauge.with_label_values(labels).set(source(account));
                }
            }
        }
    }
}

impl Known {
    fn add(&mut self, caller: &Caller) {
        let Some(object) = &caller.object else { return };
        for limit in &caller.limits {
            let Pots::One(account) = &limit.pots else { continue };
            let place = match account.unit {
                Unit::Requests => 0,
                Unit::Tokens => 1,
                Unit::NanoUsd | Unit::Parallel => continue,
            };
            // The subject of a key's own account is the model that it is for.
            if account.owner.kind != OwnerKind::VirtualKey || limit.models.is_none() || !account.is_rate() {
                continue;
            }
            let labels = [Arc::clone(&caller.key_id), object.name.as_str().into(), Arc::clone(&account.subject)];
            if let Some(account_of) = self.keys.entry(labels).or_default().get_mut(place) {
                *account_of = Some(Arc::clone(account));
            }
        }
    }
}

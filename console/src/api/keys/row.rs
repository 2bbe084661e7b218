//! A key as `LiteLLM`'s clients read it.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use turnpike_bundle::objects::object_ref;
use turnpike_crds::{KeyId, NanoUsd, Time, VirtualKey};

use crate::{
    api::{duration, money},
    store::{Catalog, Held, Since, alias},
};

/// Annotation: `metadata` as it was sent.
pub(super) const METADATA: &str = "turnpike.dev/key-metadata";
/// Annotation: `budget_duration` as it was spelled.
pub(super) const DURATION: &str = "turnpike.dev/budget-duration";
/// Annotation: the end of the key, to tell keys apart.
pub(super) const SHOWN: &str = "turnpike.dev/key-name";
/// Annotation: when the key was last changed.
pub(super) const UPDATED: &str = "turnpike.dev/updated-at";

/// The id of a key in logs and spend rows.
pub(in crate::api) fn key_id(key: &VirtualKey) -> String {
    let object = object_ref(key);
    KeyId::of(&object.namespace, &object.name).to_string()
}

/// What of a key's spend is shown: that of the window of its own budget, else all.
pub(super) fn since(key: &VirtualKey, now: Timestamp) -> Since {
    let from = key.spec.budget.first().map_or(0, |limit| duration::of(limit).counted_from(now.as_microsecond()));
    Since { key_id: key_id(key), from }
}

/// All that is known of a key but its text.
pub(super) fn row(catalog: &Catalog, held: &Held<VirtualKey>, spent: NanoUsd, now: Timestamp) -> Map<String, Value> {
    let key = held.resource.as_ref();
    let spec = &key.spec;
    let note = |name: &str| key.metadata.annotations.as_ref().and_then(|notes| notes.get(name));
    let limits = spec.limits.clone().unwrap_or_default();
    let subject = spec.subject.clone().unwrap_or_default();
    let budget = spec.budget.first();
    let span = note(DURATION).map(String::as_str);
    let resets = budget.and_then(|limit| duration::of(limit).resets_at(now.as_microsecond()));
    let token = catalog.sha256(key);
    let models = match spec.allowed_models.as_slice() {
        [only] if only == "*" => Vec::new(),
        [] => vec!["no-default-models".to_owned()],
        names => names.to_vec(),
    };
    let by_model = |of: fn(&turnpike_crds::virtual_key::ModelLimit) -> Option<i64>| {
        let rows = limits.per_model.iter().filter_map(|limit| Some((limit.model.clone(), of(limit)?.into())));
        rows.collect::<Map<String, Value>>()
    };
    let metadata =
        note(METADATA).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(|| json!(spec.metadata));
    let created = key.metadata.creation_timestamp.as_ref().map(moment);
    let object = object_ref(key);
    let fields = json!({
        "token": token,
        "token_id": token,
        "key_name": note(SHOWN),
        "key_alias": alias(key),
        "key_id": key_id(key),
        "object": object.to_string(),
        "source": held.origin.to_string(),
        "spend": money::usd(spent),
        "max_budget": money::limit(budget.and_then(|limit| limit.usd.as_ref())),
        "budget_duration": span.or_else(|| budget.and_then(|limit| duration::spelled(limit.window))),
        "budget_reset_at": resets.and_then(|at| Timestamp::from_microsecond(at).ok()).map(|at| at.to_string()),
        "budget_id": spec.budget_refs.first().map(|reference| reference.name.as_str()),
        "models": models,
        "rpm_limit": limits.rpm,
        "tpm_limit": limits.tpm,
        "max_parallel_requests": limits.max_parallel,
        "model_rpm_limit": by_model(|limit| limit.rpm),
        "model_tpm_limit": by_model(|limit| limit.tpm),
        "user_id": subject.user,
        "team_id": subject.team,
        "tags": subject.tags.iter().map(|(name, value)| format!("{name}:{value}")).collect::<Vec<_>>(),
        "metadata": metadata,
        "blocked": spec.suspended,
        "expires": spec.expires_at.as_ref().map(moment),
        "created_at": created,
        "updated_at": note(UPDATED).cloned().or_else(|| key.metadata.creation_timestamp.as_ref().map(moment)),
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn moment(time: &Time) -> String {
    time.0.to_string()
}

//! The fields of a key, put into a `VirtualKey`. What is not mentioned stays, `null` takes away.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};
use turnpike_crds::{
    BudgetRef, Time, VirtualKey,
    virtual_key::{KeyLimits, ModelLimit, Subject},
};

use super::row::{DURATION, METADATA};
use crate::{
    api::{
        duration,
        error::ApiError,
        fields::{Fields, Given, Refusals},
        money,
    },
    store::ALIAS,
};

/// Fields of `LiteLLM` that do nothing here, and what to do instead.
pub(super) const REFUSED: &Refusals = &[
    ("soft_budget", "make a Budget with alertThresholds and name it in budget_id"),
    ("budget_limits", "a key has one max_budget here; a VirtualKey manifest may list several under spec.budget"),
    ("model_max_budget", "make a Budget manifest with scope.models and name it in budget_id"),
    ("budget_fallbacks", "set fallbacks of the ModelDeployment"),
    ("tpd_limit", "make a Budget manifest with a limit {window: Day, tokens: ...} and name it in budget_id"),
    ("rpm_limit_type", "limits are always kept"),
    ("tpm_limit_type", "limits are always kept"),
    ("aliases", "set aliases of the ModelDeployment"),
    ("config", "set it on the ModelDeployment"),
    ("router_settings", "set it on the ModelDeployment"),
    ("organization_id", "there are no organizations; use team_id or tags"),
    ("project_id", "there are no projects; use tags"),
    ("agent_id", "there are no agents; use tags"),
    ("guardrails", "there are no guardrails"),
    ("policies", "there are no policies"),
    ("prompts", "there are no stored prompts"),
    ("permissions", "a key may call models, nothing else"),
    ("object_permission", "a key may call models, nothing else"),
    ("allowed_routes", "a key may call every route of models; name models instead"),
    ("allowed_passthrough_routes", "a key may use pass-through where a model of the provider is allowed to it"),
    ("allowed_cache_controls", "set cache of the ModelDeployment"),
    ("allowed_vector_store_indexes", "there are no vector stores"),
    ("enforced_params", "no parameter can be enforced"),
    ("auto_rotate", "call /key/regenerate, or have a VirtualKey with rotation in a cluster"),
    ("rotation_interval", "call /key/regenerate, or have a VirtualKey with rotation in a cluster"),
    ("grace_period", "a replaced key stops at once; make a second key and delete the first one later"),
    ("send_invite_email", "no mail is sent"),
    ("spend", "spend is what the spend log says"),
    ("tpm_limit_per_model", "use model_tpm_limit"),
    ("rpm_limit_per_model", "use model_rpm_limit"),
];

/// Members of `metadata` that `LiteLLM` acts upon.
const ACTING: [(&str, &str); 4] = [
    ("tags", "use the field tags"),
    ("guardrails", "there are no guardrails"),
    ("model_rpm_limit", "use the field model_rpm_limit"),
    ("model_tpm_limit", "use the field model_tpm_limit"),
];

/// Takes all fields of a key.
pub(super) fn apply(fields: &mut Fields, key: &mut VirtualKey, now: Timestamp) -> Result<(), ApiError> {
    note(key, ALIAS, fields.text("key_alias")?);
    models(fields.texts("models")?, key)?;
    budget(fields, key)?;
    limits(fields, key)?;
    subject(fields, key)?;
    metadata(fields.object("metadata")?, key)?;
    match fields.text("duration")? {
        Given::Absent => {}
        Given::Null => key.spec.expires_at = None,
        Given::Is(text) => key.spec.expires_at = duration::after("duration", &text, now)?.map(Time),
    }
    match fields.text("budget_id")? {
        Given::Absent => {}
        Given::Null => key.spec.budget_refs.clear(),
        Given::Is(name) => key.spec.budget_refs = vec![BudgetRef { name }],
    }
    match fields.flag("blocked")? {
        Given::Absent => {}
        given => key.spec.suspended = given.value().unwrap_or_default(),
    }
    match fields.text("key_type")?.value().as_deref() {
        None | Some("default" | "llm_api") => Ok(()),
        Some(_) => {
            let message = "key_type can only be default or llm_api: no key but the admin key manages anything";
            Err(ApiError::field("key_type", message))
        }
    }
}

/// Writes, removes or leaves an annotation.
pub(super) fn note(key: &mut VirtualKey, name: &str, text: Given<String>) {
    let annotations = key.metadata.annotations.get_or_insert_default();
    match text {
        Given::Absent => {}
        Given::Null => {
            annotations.remove(name);
        }
        Given::Is(text) => {
            annotations.insert(name.to_owned(), text);
        }
    }
}

/// No models are all of them, as `LiteLLM` has it.
fn models(given: Given<Vec<String>>, key: &mut VirtualKey) -> Result<(), ApiError> {
    let names = match given {
        Given::Absent => return Ok(()),
        Given::Null => Vec::new(),
        Given::Is(names) => names,
    };
    let is_all = |name: &String| matches!(name.as_str(), "*" | "all-proxy-models");
    key.spec.allowed_models = if names.is_empty() || names.iter().any(is_all) {
        vec!["*".to_owned()]
    } else if names.iter().any(|name| name == "all-team-models") {
        let remedy =
            "teams have no list of models here; name the models, or make a Budget with scope.team and allowedModels";
        return Err(ApiError::field("models", format!("all-team-models cannot be honoured: {remedy}")));
    } else {
        names.into_iter().filter(|name| name != "no-default-models").collect()
    };
    Ok(())
}

fn budget(fields: &mut Fields, key: &mut VirtualKey) -> Result<(), ApiError> {
    let (most, span) = (fields.number("max_budget")?, fields.text("budget_duration")?);
    if most == Given::Absent && span == Given::Absent {
        return Ok(());
    }
    let known = key.spec.budget.first();
    let usd = match most {
        Given::Absent => known.and_then(|limit| limit.usd.clone()),
        Given::Null => None,
        Given::Is(number) => Some(money::amount("max_budget", number)?),
    };
    let spelled = known.and_then(|limit| duration::spelled(limit.window)).map(str::to_owned);
    let noted = key.metadata.annotations.as_ref().and_then(|notes| notes.get(DURATION)).cloned();
    let span = match (&usd, span) {
        // Without an amount the span of the old one goes with it.
        (None, Given::Is(_)) => {
            let message = "budget_duration says nothing without max_budget; send both, or neither";
            return Err(ApiError::field("budget_duration", message));
        }
        (None, _) => None,
        (Some(_), span) => span.over(noted.or(spelled)),
    };
    key.spec.budget = match usd {
        None => Vec::new(),
        Some(usd) => vec![duration::limit(usd, span.as_deref())?],
    };
    note(key, DURATION, span.map_or(Given::Null, Given::Is));
    Ok(())
}

fn limits(fields: &mut Fields, key: &mut VirtualKey) -> Result<(), ApiError> {
    let KeyLimits { rpm, tpm, max_parallel, per_model } = key.spec.limits.take().unwrap_or_default();
    let parallel = fields.count("max_parallel_requests")?.over(max_parallel.map(i64::from));
    let parallel = parallel
        .map(i32::try_from)
        .transpose()
        .map_err(|_| ApiError::field("max_parallel_requests", "max_parallel_requests is too large; at most 1000000"))?;
    let known = |of: fn(&ModelLimit) -> Option<i64>| {
        let rows = per_model.iter().filter_map(|limit| Some((limit.model.clone(), of(limit)?)));
        rows.collect::<BTreeMap<String, i64>>()
    };
    let requests = fields.counts("model_rpm_limit")?.over(Some(known(|limit| limit.rpm))).unwrap_or_default();
    let tokens = fields.counts("model_tpm_limit")?.over(Some(known(|limit| limit.tpm))).unwrap_or_default();
    let mut models: BTreeMap<String, ModelLimit> = BTreeMap::new();
    for (model, rpm) in requests {
        models.entry(model).or_default().rpm = Some(rpm);
    }
    for (model, tpm) in tokens {
        models.entry(model).or_default().tpm = Some(tpm);
    }
    let limits = KeyLimits {
        rpm: fields.count("rpm_limit")?.over(rpm),
        tpm: fields.count("tpm_limit")?.over(tpm),
        max_parallel: parallel,
        per_model: models.into_iter().map(|(model, limit)| ModelLimit { model, ..limit }).collect(),
    };
    key.spec.limits = (limits != KeyLimits::default()).then_some(limits);
    Ok(())
}

fn subject(fields: &mut Fields, key: &mut VirtualKey) -> Result<(), ApiError> {
    let Subject { team, user, tags } = key.spec.subject.take().unwrap_or_default();
    let tags = match fields.texts("tags")? {
        Given::Absent => tags,
        Given::Null => BTreeMap::new(),
        Given::Is(list) => list.iter().map(|tag| pair(tag)).collect::<Result<_, _>>()?,
    };
    let subject = Subject { team: fields.text("team_id")?.over(team), user: fields.text("user_id")?.over(user), tags };
    key.spec.subject = (subject != Subject::default()).then_some(subject);
    Ok(())
}

/// A tag of a key has a name and a value.
fn pair(tag: &str) -> Result<(String, String), ApiError> {
    let parts = tag.split_once(':').filter(|(name, value)| !name.is_empty() && !value.is_empty());
    let (name, value) = parts.ok_or_else(|| {
        ApiError::field("tags", format!("the tag \"{tag}\" has no value; write name:value, such as project:chatbot"))
    })?;
    Ok((name.to_owned(), value.to_owned()))
}

/// All of it is kept for whoever asks; texts also become notes of the resource.
fn metadata(given: Given<Map<String, Value>>, key: &mut VirtualKey) -> Result<(), ApiError> {
    let members = match given {
        Given::Absent => return Ok(()),
        Given::Null => Map::new(),
        Given::Is(members) => members,
    };
    if let Some((name, remedy)) = ACTING.iter().find(|(name, _)| members.contains_key(*name)) {
        return Err(ApiError::field("metadata", format!("metadata.{name} cannot be honoured: {remedy}")));
    }
    let texts = members.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    key.spec.metadata = texts.collect();
    let whole = if members.is_empty() { Given::Null } else { Given::Is(Value::Object(members).to_string()) };
    note(key, METADATA, whole);
    Ok(())
}

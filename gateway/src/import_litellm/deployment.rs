//! One entry of `model_list` to a `ModelDeployment`, as far as it depends on no other.

use serde_json::{Map, Value};
use turnpike_crds::{
    ModelDeploymentSpec, ModelPattern,
    model_deployment::{Capabilities, Health, Limits, Mock, Retry, Strategy, Timeouts, Visibility},
};

use super::{
    budgets::{self, Amount},
    chains,
    defaults::{self, Defaults, is_some_time, small},
    money,
    section::{Context, Section},
    settings, upstream,
};

/// Bounds of the fields.
const MOST_REQUESTS: i64 = 10_000_000;
const MOST_TOKENS: i64 = 1_000_000_000_000;
const MOST_PARALLEL: i64 = 1_000_000;
const MOST_WINDOW: i64 = 100_000_000;
const MOST_WEIGHT: i64 = 1_000_000_000;
/// The one `mode` that says what a model can do. The others have paths of their own, by which every provider is asked.
const EMBEDDING: &str = "embedding";

/// What `model_info` says that a model can do.
type Ability = (&'static str, fn(&mut Capabilities) -> &mut Option<bool>);
const ABILITIES: [Ability; 4] = [
    ("supports_vision", |capabilities| &mut capabilities.vision),
    ("supports_function_calling", |capabilities| &mut capabilities.tools),
    ("supports_response_schema", |capabilities| &mut capabilities.json_schema),
    ("supports_reasoning", |capabilities| &mut capabilities.reasoning),
];

/// An entry of `model_list`, and what its group needs to know of it.
#[derive(Debug)]
pub(super) struct Deployment {
    /// `model_name`.
    pub(super) group: String,
    /// Where it stands.
    pub(super) path: String,
    pub(super) spec: ModelDeploymentSpec,
    pub(super) weight: Option<i64>,
    pub(super) order: Option<i64>,
    /// Its own fallbacks, by the names of groups or models.
    pub(super) fallbacks: Vec<String>,
    pub(super) access_groups: Vec<String>,
    pub(super) budget: Option<Amount>,
}

/// Reads an entry. `None` = reported.
pub(super) fn read(path: &str, entry: &Value, defaults: &Defaults, context: &mut Context<'_>) -> Option<Deployment> {
    let mut section = Section::new(path, Some(entry), context);
    let group = section.text("model_name", context);
    let mut params = section.section("litellm_params", context);
    let mut info = section.section("model_info", context);
    section.finish(&[], context);
    let Some(group) = group else {
        context.hand(section_path(path, "model_name"), "the deployment has no name, and was left out; give it one");
        return None;
    };
    let path = path.to_owned();
    let pattern = ModelPattern::parse(&group);
    if let Err(error) = &pattern {
        context.hand(format!("{path}.model_name"), format!("{error}; the deployment was left out: rename it"));
        return None;
    }
    let mut spec = ModelDeploymentSpec { model_name: Some(group.clone()), ..ModelDeploymentSpec::default() };
    let prefix = group.to_ascii_uppercase();
    if let Some(response) = params.text("mock_response", context) {
        context.changed(params.path("mock_response"), "every request gets it, and no provider is ever asked");
        spec.mock = Some(Mock { response });
        for unused in ["model", "api_base", "api_key"] {
            params.take(unused);
        }
    } else {
        spec.provider = Some(upstream::provider(&mut params, &prefix, context)?);
    }
    if let Some(provider) = &spec.provider
        && provider.model.as_ref().is_some_and(|model| model.contains('*'))
        && !group.contains('*')
    {
        let text = "the * stands for what the * of model_name matched, which has none; the deployment was left out";
        context.hand(format!("{path}.litellm_params.model"), text);
        return None;
    }
    said(&params, defaults, context);
    policies(&mut spec, &mut params, &mut info, context);
    prices(&mut spec, &mut params, &mut info, context);
    spec.capabilities = capabilities(&mut info, context);
    spec.tags = params.texts("tags", context);
    if !spec.tags.is_empty() && !defaults.is_tagged {
        context.changed(params.path("tags"), "requests are always routed by tags, also without enable_tag_filtering");
    }
    let mut fallbacks = Vec::new();
    for name in ["fallback", "fallbacks"] {
        let at = params.path(name);
        let found = params.take(name).map(|value| chains::names(&at, value, context)).unwrap_or_default();
        if !found.is_empty() {
            context
                .changed(at, "it is taken for fallbacks of the model group, by names of groups before names of models");
        }
        fallbacks.extend(found);
    }
    let deployment = Deployment {
        weight: params.count("weight", MOST_WEIGHT, context),
        order: params.count("order", 1000, context),
        access_groups: info.texts("access_groups", context),
        budget: budgets::amount(&mut params, ("max_budget", "budget_duration"), context),
        group,
        path,
        spec,
        fallbacks,
    };
    params.finish(settings::PARAMS, context);
    info.finish(settings::INFO, context);
    Some(deployment)
}

/// What carries over and means something else.
fn said(params: &Section<'_>, defaults: &Defaults, context: &mut Context<'_>) {
    if params.has("timeout") {
        context.changed(params.path("timeout"), "timeouts.total holds for all attempts of a request together");
    }
    // The strategy that keeps to rates at LiteLLM, too.
    if defaults.strategy == Strategy::Usage {
        return;
    }
    for name in ["rpm", "tpm"].into_iter().filter(|name| params.has(name)) {
        context.changed(
            params.path(name),
            "it is a limit that always holds, where LiteLLM often takes it for a weight only",
        );
    }
}

fn section_path(path: &str, name: &str) -> String {
    format!("{path}.{name}")
}

/// Members of a mapping over those of another.
pub(super) fn over(base: Option<&Value>, entry: &Value) -> Value {
    let mut merged: Map<String, Value> = base.and_then(Value::as_object).cloned().unwrap_or_default();
    merged.extend(entry.as_object().cloned().unwrap_or_default());
    Value::Object(merged)
}

/// Limits, timeouts, retries and health, as the deployment itself says them.
fn policies<'a>(
    spec: &mut ModelDeploymentSpec,
    params: &mut Section<'a>,
    info: &mut Section<'a>,
    context: &mut Context<'_>,
) {
    let limits = Limits {
        rpm: params.positive("rpm", MOST_REQUESTS, context),
        tpm: params.positive("tpm", MOST_TOKENS, context),
        max_parallel: params.positive("max_parallel_requests", MOST_PARALLEL, context).and_then(small),
    };
    spec.limits = Some(limits).filter(|limits| *limits != Limits::default());
    let timeouts = Timeouts {
        total: params.seconds("timeout", context).filter(is_some_time),
        first_byte: params.seconds("stream_timeout", context).filter(is_some_time),
        ..Timeouts::default()
    };
    spec.timeouts = Some(timeouts).filter(|timeouts| *timeouts != Timeouts::default());
    let attempts = defaults::retries(params, context);
    spec.retry = attempts.map(|attempts| Retry { attempts: Some(attempts), per_class: None });
    let mut health = Health::default();
    for section in [&mut *params, &mut *info] {
        health.allowed_fails = health.allowed_fails.or(defaults::allowed_fails(section, context));
        health.cooldown = health.cooldown.or(section.seconds("cooldown_time", context));
    }
    if info.flag("disable_background_health_check", context) == Some(true) {
        health.active = Some(false);
    }
    spec.health = Some(health).filter(|health| *health != Health::default());
}

fn prices(spec: &mut ModelDeploymentSpec, params: &mut Section<'_>, info: &mut Section<'_>, context: &mut Context<'_>) {
    spec.price = money::price(params, info, context);
    let base = params.text("base_model", context).or(info.text("base_model", context));
    let Some(provider) = spec.provider.as_ref().filter(|_| spec.price.is_none()) else { return };
    if let Some(base) = base {
        spec.price = money::of_base_model(&base);
        let at = info.path("base_model");
        if spec.price.is_some() {
            context
                .changed(at, "spec.price has what the built-in table says of it today; correct it when prices change");
        } else {
            context.hand(at, "the built-in table has no price for it: set spec.price");
        }
        return;
    }
    spec.price = money::free(provider.provider_type, provider.base_url.as_deref());
    if spec.price.is_some() {
        context.changed(
            params.path("model"),
            "spec.price is 0, as LiteLLM counts a server of one's own; set what it costs",
        );
    }
}

fn capabilities(info: &mut Section<'_>, context: &mut Context<'_>) -> Option<Capabilities> {
    let mut capabilities = Capabilities::default();
    for (name, field) in ABILITIES {
        *field(&mut capabilities) = info.flag(name, context);
    }
    if info.has("max_input_tokens") {
        context.changed(info.path("max_input_tokens"), "contextWindow counts prompt and answer together");
    }
    capabilities.context_window = info.positive("max_input_tokens", MOST_WINDOW, context);
    let most = info.positive("max_output_tokens", MOST_WINDOW, context);
    let legacy = info.positive("max_tokens", MOST_WINDOW, context);
    capabilities.max_output_tokens = most.or(legacy);
    if info.text("mode", context).is_some_and(|mode| mode == EMBEDDING) {
        capabilities.embeddings = Some(true);
    }
    (capabilities != Capabilities::default()).then_some(capabilities)
}

/// A model that only fallbacks name, as LiteLLM's own names of models have it.
pub(super) fn only_a_fallback(
    path: &str,
    name: &str,
    defaults: &Defaults,
    context: &mut Context<'_>,
) -> Option<Deployment> {
    let entry = serde_json::json!({"model_name": name, "litellm_params": {"model": name}});
    let mut deployment = read(path, &entry, defaults, context)?;
    deployment.spec.visibility = Visibility::Internal;
    let text = format!("{name} is in no model_list: a ModelDeployment that only fallbacks lead to was made for it");
    context.changed(path, text);
    Some(deployment)
}

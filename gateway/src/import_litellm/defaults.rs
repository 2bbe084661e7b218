//! `router_settings`, `litellm_settings` and `general_settings`: what holds for every model.

use std::collections::BTreeMap;

use serde_json::Value;
use turnpike_crds::{
    DurationString,
    model_deployment::{Cache, Retry, RetryPerClass, Strategy},
};

use super::{
    cache,
    chains::{self, Chain},
    section::{Context, Section},
    settings,
};

/// Most attempts that a policy may ask for.
const MOST_RETRIES: i64 = 10;

/// `routing_strategy`, in LiteLLM's words and in those that people use for them.
const STRATEGIES: [(&str, Strategy); 15] = [
    ("simple-shuffle", Strategy::Weighted),
    ("weighted-pick", Strategy::Weighted),
    ("provider-budget-routing", Strategy::Weighted),
    ("round-robin", Strategy::RoundRobin),
    ("least-busy", Strategy::LeastBusy),
    ("latency-based-routing", Strategy::Latency),
    ("latency-based", Strategy::Latency),
    ("lowest-latency", Strategy::Latency),
    ("cost-based-routing", Strategy::LowestCost),
    ("cost-based", Strategy::LowestCost),
    ("lowest-cost", Strategy::LowestCost),
    ("usage-based-routing", Strategy::Usage),
    ("usage-based-routing-v2", Strategy::Usage),
    ("usage-based", Strategy::Usage),
    ("lowest-tpm-rpm", Strategy::Usage),
];

/// Classes of `retry_policy`; people also write them without their ending.
type Class = (&'static str, fn(&mut RetryPerClass) -> &mut Option<i32>);
const CLASSES: [Class; 6] = [
    ("RateLimitError", |classes| &mut classes.rate_limit),
    ("TimeoutError", |classes| &mut classes.timeout),
    ("ContentPolicyViolationError", |classes| &mut classes.content_policy),
    ("AuthenticationError", |classes| &mut classes.authentication),
    ("InternalServerError", |classes| &mut classes.server_error),
    ("ServiceUnavailableError", |classes| &mut classes.server_error),
];
/// Classes that are never tried again.
const NEVER: [&str; 2] = ["BadRequestError", "NotFoundError"];

/// What holds for every model that does not say otherwise.
#[derive(Debug, Default)]
pub(super) struct Defaults {
    pub(super) strategy: Strategy,
    pub(super) retry: Retry,
    /// `model_group_retry_policy`.
    pub(super) group_retry: BTreeMap<String, Retry>,
    pub(super) total: Option<DurationString>,
    pub(super) first_byte: Option<DurationString>,
    pub(super) allowed_fails: Option<i32>,
    pub(super) cooldown: Option<DurationString>,
    pub(super) probes: Option<bool>,
    pub(super) interval: Option<DurationString>,
    pub(super) max_parallel: Option<i32>,
    pub(super) drop_unsupported: bool,
    pub(super) cache: Option<Cache>,
    pub(super) chains: Vec<Chain>,
    /// Alias, group, and where they stand.
    pub(super) aliases: Vec<(String, String, String)>,
    /// `default_litellm_params`.
    pub(super) params: Option<Value>,
    /// Tags choose among deployments.
    pub(super) is_tagged: bool,
}

impl Defaults {
    /// `router_settings`; it goes before `litellm_settings`, which is read next.
    pub(super) fn router(&mut self, mut router: Section<'_>, context: &mut Context<'_>) {
        self.strategy = strategy(&mut router, context);
        self.both(&mut router, context);
        if let Some(policy) = router.take("retry_policy") {
            self.retry = merged(&self.retry, policy_of(&router.path("retry_policy"), policy, context));
        }
        let mut groups = router.section("model_group_retry_policy", context);
        for (group, policy) in groups.others() {
            let policy = policy_of(&groups.path(group), policy, context);
            self.group_retry.insert(group.to_owned(), policy);
        }
        if router.has("timeout") {
            context.changed(router.path("timeout"), "timeouts.total holds for all attempts of a request together");
        }
        self.total = router.seconds("timeout", context).filter(is_some_time).or(self.total.take());
        self.first_byte = router.seconds("stream_timeout", context).filter(is_some_time);
        self.cooldown = router.seconds("cooldown_time", context);
        if router.flag("disable_cooldowns", context) == Some(true) {
            self.cooldown = Some("0s".into());
        }
        let most = i64::from(i32::MAX);
        self.max_parallel =
            router.positive("default_max_parallel_requests", 1_000_000.min(most), context).and_then(small);
        self.params = router.take("default_litellm_params").cloned();
        if self.params.as_ref().is_some_and(|params| !params.is_object()) {
            context.hand(router.path("default_litellm_params"), "this is no mapping, and was left out; correct it");
        }
        self.aliases = aliases(router.section("model_group_alias", context), context);
        if let Some(is_tagged) = router.flag("enable_tag_filtering", context) {
            self.is_tagged = is_tagged;
            let text = "requests are always routed by tags where members have some";
            context.changed(router.path("enable_tag_filtering"), text);
        }
        router.finish(settings::ROUTER, context);
    }

    /// `litellm_settings`, but for its budgets and keys.
    pub(super) fn litellm(&mut self, litellm: &mut Section<'_>, context: &mut Context<'_>) {
        self.both(litellm, context);
        if litellm.has("request_timeout") {
            context.changed(
                litellm.path("request_timeout"),
                "timeouts.total holds for all attempts of a request together",
            );
        }
        let total = litellm.seconds("request_timeout", context).filter(is_some_time);
        self.total = self.total.take().or(total);
        self.drop_unsupported = litellm.flag("drop_params", context).unwrap_or_default();
        self.cache = cache::read(litellm, context);
    }

    /// `general_settings`.
    pub(super) fn general(&mut self, mut general: Section<'_>, context: &mut Context<'_>) {
        let background = general.flag("background_health_checks", context);
        if background == Some(true) {
            context.changed(
                general.path("background_health_checks"),
                "probes ask /health or the list of models; no model is called, and nothing is charged",
            );
            self.probes = Some(true);
        }
        self.interval = general.seconds("health_check_interval", context).filter(is_some_time);
        general.finish(settings::GENERAL, context);
    }

    /// What stands in either of two sections.
    fn both(&mut self, section: &mut Section<'_>, context: &mut Context<'_>) {
        let retries = section.count("num_retries", MOST_RETRIES, context).and_then(small);
        self.retry.attempts = self.retry.attempts.or(retries);
        self.allowed_fails = self.allowed_fails.or(allowed_fails(section, context));
        self.chains.extend(chains::read(section, context));
    }
}

/// `allowed_fails`; one failure is always allowed.
pub(super) fn allowed_fails(section: &mut Section<'_>, context: &mut Context<'_>) -> Option<i32> {
    let count = section.count("allowed_fails", 1000, context)?;
    if count == 0 {
        context.changed(
            section.path("allowed_fails"),
            "1 is the least: one failure is no reason to leave a backend alone",
        );
    }
    small(count.max(1))
}

/// `num_retries` and `max_retries` of a deployment.
pub(super) fn retries(params: &mut Section<'_>, context: &mut Context<'_>) -> Option<i32> {
    let own = params.count("num_retries", MOST_RETRIES, context);
    if params.has("max_retries") {
        let text = "it counts as num_retries, which LiteLLM's router does not make of it";
        context.changed(params.path("max_retries"), text);
    }
    let of_sdk = params.count("max_retries", MOST_RETRIES, context);
    own.or(of_sdk).and_then(small)
}

fn strategy(router: &mut Section<'_>, context: &mut Context<'_>) -> Strategy {
    let Some(name) = router.text("routing_strategy", context) else { return Strategy::default() };
    let name = name.to_ascii_lowercase().replace('_', "-");
    let found = STRATEGIES.iter().find(|(known, _)| *known == name).map(|(_, strategy)| *strategy);
    if found.is_none() {
        let (outcome, text) = settings::OTHER_STRATEGY;
        context.note(router.path("routing_strategy"), outcome, text);
    } else if name == "provider-budget-routing" {
        let text = "Weighted takes its place: a Budget refuses, it does not choose";
        context.changed(router.path("routing_strategy"), text);
    }
    found.unwrap_or_default()
}

fn policy_of(path: &str, policy: &Value, context: &mut Context<'_>) -> Retry {
    let mut section = Section::new(path, Some(policy), context);
    let mut classes = RetryPerClass::default();
    for (name, field) in CLASSES {
        for name in [format!("{name}Retries"), name.to_owned()] {
            let retries = section.count(&name, MOST_RETRIES, context).and_then(small);
            let place = field(&mut classes);
            // Two names of one class: the greater number.
            *place = (*place).max(retries);
        }
    }
    for name in NEVER {
        for name in [format!("{name}Retries"), name.to_owned()] {
            if section.count(&name, i64::MAX, context).is_some_and(|retries| retries > 0) {
                context.left(section.path(&name), "a request that is at fault is not tried again: it would fail again");
            }
        }
    }
    let attempts = section.count("DefaultRetries", MOST_RETRIES, context).and_then(small);
    section.finish(&[], context);
    Retry { attempts, per_class: Some(classes).filter(|classes| *classes != RetryPerClass::default()) }
}

/// What the second says, and the first where it says nothing.
pub(super) fn merged(base: &Retry, over: Retry) -> Retry {
    Retry { attempts: over.attempts.or(base.attempts), per_class: over.per_class.or_else(|| base.per_class.clone()) }
}

fn aliases(mut section: Section<'_>, context: &mut Context<'_>) -> Vec<(String, String, String)> {
    let mut aliases = Vec::new();
    for (alias, value) in section.others() {
        let path = section.path(alias);
        let group = match value {
            Value::String(group) => Some(group.clone()),
            Value::Object(_) => {
                let mut entry = Section::new(&*path, Some(value), context);
                if entry.flag("hidden", context) == Some(true) {
                    context
                        .changed(entry.path("hidden"), "the alias is shown among the models, to keys that may call it");
                }
                let group = entry.text("model", context);
                entry.finish(&[], context);
                group
            }
            _ => None,
        };
        match group {
            Some(group) => aliases.push((alias.to_owned(), group, path)),
            None => context.hand(path, "the alias names no model, and was left out; correct it and import again"),
        }
    }
    aliases
}

/// LiteLLM takes 0 for no limit.
pub(super) fn is_some_time(duration: &DurationString) -> bool {
    duration.parse().is_ok_and(|length| !length.is_zero())
}

/// A number that its bound has made small.
pub(super) fn small(count: i64) -> Option<i32> {
    i32::try_from(count).ok()
}

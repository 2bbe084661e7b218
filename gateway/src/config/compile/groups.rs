//! What the settings of models say to the crate that decides where requests go.

use std::{sync::Arc, time::Duration};

use turnpike_bundle::entry::{self, Backend, ModelEntry, ObjectRef};
use turnpike_crds::model_deployment::{FallbackOn, Strategy as Wanted};
use turnpike_routing::{
    backend::Traits,
    failure::Cause,
    group::{Complexity, Fallback, Group, Mirror, Retry, Sticky, Strategy},
};

/// What does not change of a backend while a snapshot is in force.
pub(super) fn traits(entry: &ModelEntry) -> Traits {
    let count = |limit: Option<i64>| limit.and_then(|limit| u64::try_from(limit).ok());
    let rate = |nano: i64| u64::try_from(nano).unwrap_or(0);
    let capabilities = &entry.capabilities;
    Traits {
        tags: entry.tags.iter().map(|tag| tag.as_str().into()).collect(),
        context_window: capabilities.context_window,
        max_output_tokens: capabilities.max_output_tokens,
        vision: capabilities.vision,
        tools: capabilities.tools,
        json_schema: capabilities.json_schema,
        embeddings: capabilities.embeddings,
        price: entry.price.as_ref().map(|price| (rate(price.input), rate(price.output))),
        rpm: count(entry.limits.rpm),
        tpm: count(entry.limits.tpm),
        max_parallel: count(entry.limits.max_parallel),
        allowed_fails: entry.health.allowed_fails,
        cooldown: Duration::from_millis(entry.health.cooldown_ms),
    }
}

/// The group of a pool, still without members. `entries`: what the pool is made of, the oldest first; `serves`: whether
/// anything answers for an object.
pub(super) fn settings(entries: &[&ModelEntry], serves: impl Fn(&ObjectRef) -> bool) -> Group {
    let mut group = Group {
        ids: entries.iter().map(|entry| id(&entry.object)).collect(),
        // A setting that a pool can have but once is that of the oldest member that has it.
        retry: retry(entries.iter().find_map(|entry| entry.retry).unwrap_or_default()),
        fallbacks: fallbacks(entries, &serves),
        ..Group::default()
    };
    match entries.first().map(|entry| (&entry.backend, entry.strategy)) {
        None => {}
        Some((Backend::Route(route), _)) => {
            group.strategy = strategy(route.strategy);
            group.sticky = sticky(&route.sticky);
            let mirror = route.mirror.as_ref().filter(|mirror| serves(&mirror.model));
            group.mirror = mirror.map(|mirror| Mirror { target: id(&mirror.model), percent: mirror.percent });
            group.hedge = route.hedge;
            group.complexity = route.complexity.as_ref().map(complexity);
        }
        Some((Backend::Provider(_) | Backend::Mock { .. }, wanted)) => group.strategy = strategy(wanted),
    }
    group
}

/// `namespace/name`.
pub(super) fn id(object: &ObjectRef) -> Arc<str> {
    object.to_string().into()
}

pub(super) fn strategy(wanted: Wanted) -> Strategy {
    match wanted {
        Wanted::Weighted => Strategy::Weighted,
        Wanted::RoundRobin => Strategy::RoundRobin,
        Wanted::LeastBusy => Strategy::LeastBusy,
        Wanted::Latency => Strategy::Latency,
        Wanted::Usage => Strategy::Usage,
        Wanted::LowestCost => Strategy::LowestCost,
        Wanted::Priority => Strategy::Priority,
        Wanted::PrefixAffinity => Strategy::PrefixAffinity,
        Wanted::Complexity => Strategy::Complexity,
    }
}

fn sticky(sticky: &entry::Sticky) -> Sticky {
    match sticky {
        entry::Sticky::None => Sticky::None,
        entry::Sticky::Key => Sticky::Key,
        entry::Sticky::User => Sticky::User,
        entry::Sticky::Header(name) => Sticky::Header(name.as_str().into()),
    }
}

fn complexity(complexity: &entry::Complexity) -> Complexity {
    Complexity {
        simple_below_words: complexity.simple_below_words.into(),
        keywords: complexity.keywords.iter().map(|word| word.as_str().into()).collect(),
    }
}

fn retry(retry: entry::Retry) -> Retry {
    let entry::Retry { rate_limit, timeout, content_policy, authentication, server_error } = retry;
    let by_cause = [
        (Cause::RateLimit, rate_limit),
        (Cause::Timeout, timeout),
        (Cause::ContentPolicy, content_policy),
        (Cause::Authentication, authentication),
        (Cause::ServerError, server_error),
        (Cause::ColdStart, server_error),
    ];
    Retry { by_cause: by_cause.into_iter().filter(|(_, retries)| *retries > 0).collect() }
}

fn fallbacks(entries: &[&ModelEntry], serves: impl Fn(&ObjectRef) -> bool) -> Box<[Fallback]> {
    let mut fallbacks: Vec<Fallback> = Vec::new();
    for fallback in entries.iter().flat_map(|entry| &entry.fallbacks).filter(|fallback| serves(&fallback.model)) {
        let on = fallback.on.iter().flat_map(|on| causes(*on)).copied().collect();
        let fallback = Fallback { target: id(&fallback.model), on, max_percent: fallback.max_percent };
        if !fallbacks.contains(&fallback) {
            fallbacks.push(fallback);
        }
    }
    fallbacks.into()
}

fn causes(on: FallbackOn) -> &'static [Cause] {
    match on {
        // To the client it is all the same: this model does not work now.
        FallbackOn::Error => &[Cause::ServerError, Cause::Authentication, Cause::NotFound],
        FallbackOn::RateLimit => &[Cause::RateLimit],
        FallbackOn::Timeout => &[Cause::Timeout],
        FallbackOn::ContextWindow => &[Cause::ContextWindow],
        FallbackOn::ContentPolicy => &[Cause::ContentPolicy],
        FallbackOn::ColdStart => &[Cause::ColdStart],
    }
}

//! Retries, fallbacks, health and caching: what the spec says, in numbers.

use turnpike_crds::{
    ModelDeployment,
    duration::DurationError,
    model_deployment::{
        Cache as CacheSpec, Fallback as FallbackSpec, Health as HealthSpec, Provider, ProviderType, Retry as RetrySpec,
        SemanticCache, policy::millis,
    },
};

use crate::{
    entry::{Cache, Fallback, Health, ObjectRef, Retry, Semantic},
    problem::{Report, Reported},
    render::Context,
};

/// What happens when requests fail, or come twice.
pub(super) struct Resilience {
    pub(super) retry: Option<Retry>,
    pub(super) fallbacks: Vec<Fallback>,
    pub(super) health: Health,
    pub(super) cache: Option<Cache>,
}

pub(super) fn compile(
    context: Context<'_>,
    object: &ObjectRef,
    resource: &ModelDeployment,
    report: &mut Report,
) -> Result<Resilience, Reported> {
    let spec = &resource.spec;
    let retry = spec.retry.as_ref().map(|spec| retry(spec, report)).transpose();
    let fallbacks = fallbacks(context, object, &spec.fallbacks, report);
    let health = health(spec.health.as_ref(), is_probed(resource), report);
    let cache = spec.cache.as_ref().map_or(Ok(None), |spec| cache(spec, report));
    Ok(Resilience { retry: retry?, fallbacks: fallbacks?, health: health?, cache: cache? })
}

/// A number of the spec, which a manifest from a folder may have out of range.
pub(super) fn within<T: TryFrom<i32>>(
    field: String,
    value: i32,
    (least, most): (i32, i32),
    report: &mut Report,
) -> Result<T, Reported> {
    let number = T::try_from(value).ok().filter(|_| (least..=most).contains(&value));
    number.ok_or_else(|| {
        report.invalid(field, format!("{value} is out of range"), format!("use a number from {least} to {most}"));
        Reported
    })
}

/// A duration of the spec in milliseconds.
fn duration(
    field: &str,
    value: Result<std::time::Duration, DurationError>,
    report: &mut Report,
) -> Result<u64, Reported> {
    value.map(millis).map_err(|error| {
        report.invalid(field, error.to_string(), "write a duration such as 30s or 5m");
        Reported
    })
}

/// The same, above zero.
pub(super) fn span(
    field: &str,
    value: Result<std::time::Duration, DurationError>,
    report: &mut Report,
) -> Result<u64, Reported> {
    match duration(field, value, report)? {
        0 => {
            report.invalid(field, "the duration is zero", "write one of at least 1s, or remove it for the default");
            Err(Reported)
        }
        milliseconds => Ok(milliseconds),
    }
}

fn retry(spec: &RetrySpec, report: &mut Report) -> Result<Retry, Reported> {
    let mut count = |field: &str, retries: Option<i32>, default: i32| {
        within(format!("spec.retry.{field}"), retries.unwrap_or(default), (0, 10), report)
    };
    let attempts = spec.attempts.unwrap_or(RetrySpec::ATTEMPTS);
    let class = spec.per_class.clone().unwrap_or_default();
    let _: u8 = count("attempts", spec.attempts, attempts)?;
    let rate_limit = count("perClass.RateLimit", class.rate_limit, attempts);
    let timeout = count("perClass.Timeout", class.timeout, RetrySpec::NEVER);
    let content_policy = count("perClass.ContentPolicy", class.content_policy, RetrySpec::NEVER);
    let authentication = count("perClass.Authentication", class.authentication, RetrySpec::NEVER);
    let server_error = count("perClass.ServerError", class.server_error, attempts);
    Ok(Retry {
        rate_limit: rate_limit?,
        timeout: timeout?,
        content_policy: content_policy?,
        authentication: authentication?,
        server_error: server_error?,
    })
}

/// The fallbacks whose models exist. One that exists but cannot be compiled stays: it is no fault of this model.
///
/// Two models may fall back to each other: a request enters none of them twice.
fn fallbacks(
    context: Context<'_>,
    object: &ObjectRef,
    specs: &[FallbackSpec],
    report: &mut Report,
) -> Result<Vec<Fallback>, Reported> {
    let mut fallbacks: Vec<Fallback> = Vec::with_capacity(specs.len());
    for (at, spec) in specs.iter().enumerate() {
        let field = format!("spec.fallbacks[{at}]");
        let max_percent = match spec.max_percent {
            None => None,
            Some(percent) => Some(within(format!("{field}.maxPercent"), percent, (1, 100), report)?),
        };
        let Some(model) = context.other_model(object, &spec.model_ref.name, &format!("{field}.modelRef.name"), report)
        else {
            continue;
        };
        let fallback = Fallback { model, on: spec.on(), max_percent };
        if !fallbacks.contains(&fallback) {
            fallbacks.push(fallback);
        }
    }
    Ok(fallbacks)
}

/// Whether probes are welcome where the model does not say: they are at servers of one's own.
fn is_probed(resource: &ModelDeployment) -> bool {
    let own = |provider: &Provider| match provider.provider_type {
        ProviderType::Vllm | ProviderType::HuggingFaceTgi | ProviderType::Ollama => true,
        _ => provider.base_url.as_deref().is_some_and(|url| url.starts_with("http://")),
    };
    resource.spec.vllm.is_some() || resource.spec.provider.as_ref().is_some_and(own)
}

fn health(spec: Option<&HealthSpec>, is_probed: bool, report: &mut Report) -> Result<Health, Reported> {
    let default = HealthSpec::default();
    let spec = spec.unwrap_or(&default);
    let interval_ms = span("spec.health.interval", spec.interval(), report);
    let cooldown_ms = duration("spec.health.cooldown", spec.cooldown(), report);
    let allowed = spec.allowed_fails.unwrap_or(HealthSpec::ALLOWED_FAILS);
    let allowed_fails = within("spec.health.allowedFails".to_owned(), allowed, (1, 1000), report);
    let path = spec.path.as_deref();
    if path.is_some_and(|path| !path.starts_with('/') || path.contains(|c: char| c.is_whitespace() || "?#".contains(c)))
    {
        report.invalid(
            "spec.health.path",
            "the path does not start with / or holds a space, ? or #",
            "write a path such as /health",
        );
        return Err(Reported);
    }
    Ok(Health {
        active: spec.active.unwrap_or(is_probed),
        interval_ms: interval_ms?,
        path: path.map(ToOwned::to_owned),
        allowed_fails: allowed_fails?,
        cooldown_ms: cooldown_ms?,
    })
}

/// `None` = off.
fn cache(spec: &CacheSpec, report: &mut Report) -> Result<Option<Cache>, Reported> {
    let ttl_ms = span("spec.cache.ttl", spec.ttl(), report);
    let semantic = spec.semantic.as_ref().map(|semantic| likeness(semantic, report)).transpose();
    let cache = Cache { ttl_ms: ttl_ms?, scope: spec.scope, semantic: semantic? };
    Ok(spec.enabled.then_some(cache))
}

fn likeness(spec: &SemanticCache, report: &mut Report) -> Result<Semantic, Reported> {
    let threshold = spec.threshold.parse::<f64>().ok().filter(|threshold| *threshold > 0.0 && *threshold <= 1.0);
    let Some(threshold) = threshold else {
        report.invalid(
            "spec.cache.semantic.threshold",
            format!("\"{}\" is not a number above 0 and up to 1", spec.threshold),
            "write one such as \"0.92\"; lower ones take more prompts for the same",
        );
        return Err(Reported);
    };
    Ok(Semantic { threshold, embedding_model: spec.embedding_model.clone() })
}

//! The limits of all three kinds, and what they make of models whose price is not known.

use kube::Resource;
use turnpike_crds::{
    VirtualKey,
    budget::{BudgetLimit, Window, WindowType},
    model_deployment::Limits,
};

use crate::{
    canonical,
    entry::{KeyEntry, KeyLimits, LimitEntry, ModelLimits, PerModelLimit, RESET},
    objects::object_ref,
    problem::{ObjectKind, Report, Reported},
};

/// Longest value of the annotation [`RESET`] that is kept as it is, in bytes: it becomes part of the names of accounts.
const RESET_LENGTH: usize = 64;

/// The limits that hold; the others are reported and left out.
pub(super) fn amounts(field: &str, limits: &[BudgetLimit], report: &mut Report) -> Vec<LimitEntry> {
    let read = |(at, limit): (usize, &BudgetLimit)| amount(&format!("{field}[{at}]"), limit, report).ok();
    limits.iter().enumerate().filter_map(read).collect()
}

fn amount(field: &str, limit: &BudgetLimit, report: &mut Report) -> Result<LimitEntry, Reported> {
    let before = report.problems.len();
    if limit.usd.is_none() && limit.tokens.is_none() && limit.requests.is_none() {
        report.invalid(field, "the limit has no amount", "set usd, tokens or requests");
    }
    let usd_nano = limit.usd.as_ref().and_then(|usd| {
        let next_step = "write USD above 0 with at most six decimals, such as \"50.00\"";
        let fault = match usd.nano() {
            Ok(nano) if nano.0 > 0 => return Some(nano.0),
            Ok(_) => "the amount is zero".to_owned(),
            Err(error) => error.to_string(),
        };
        report.invalid(format!("{field}.usd"), fault, next_step);
        None
    });
    let mut count = |name: &str, count| positive(&format!("{field}.{name}"), count, report);
    let (tokens, requests) = (count("tokens", limit.tokens), count("requests", limit.requests));
    match (limit.window, limit.window_type) {
        (Window::Minute, Some(WindowType::Calendar)) => {
            report.invalid(format!("{field}.type"), "a window of a Minute is always Rolling", "remove type");
        }
        (Window::Lifetime, Some(WindowType::Rolling)) => {
            report.invalid(format!("{field}.type"), "a Lifetime never starts again", "remove type");
        }
        _ => {}
    }
    if report.problems.len() > before {
        return Err(Reported);
    }
    Ok(LimitEntry { window: limit.window, window_type: limit.effective_type(), usd_nano, tokens, requests })
}

/// A number above 0; reported where it is another.
fn positive(field: &str, number: Option<i64>, report: &mut Report) -> Option<i64> {
    if number.is_some_and(|number| number < 1) {
        report.invalid(field, "the number must be above 0", "correct or remove it");
        return None;
    }
    number
}

/// A key's entry as far as its own budget is concerned: what gateways count of it, whether the key is served or not.
pub fn key_budget(key: &VirtualKey) -> KeyEntry {
    let object = object_ref(key);
    let mut report = Report::new(ObjectKind::VirtualKey, object.clone());
    let budget = amounts("spec.budget", &key.spec.budget, &mut report);
    KeyEntry { budget, reset: reset(key), object, ..KeyEntry::default() }
}

/// `spec.limits` of a model.
pub(super) fn of_model(limits: Option<&Limits>, report: &mut Report) -> Result<ModelLimits, Reported> {
    let Some(limits) = limits else { return Ok(ModelLimits::default()) };
    let before = report.problems.len();
    let mut read = |name: &str, number| positive(&format!("spec.limits.{name}"), number, report);
    let compiled = ModelLimits {
        rpm: read("rpm", limits.rpm),
        tpm: read("tpm", limits.tpm),
        max_parallel: read("maxParallel", limits.max_parallel.map(i64::from)),
    };
    if report.problems.len() > before { Err(Reported) } else { Ok(compiled) }
}

/// `spec.limits` and `spec.budget` of a key. A key with a limit that cannot be read must not go on without it.
pub(super) fn of_key(resource: &VirtualKey, report: &mut Report) -> Result<(KeyLimits, Vec<LimitEntry>), Reported> {
    let before = report.problems.len();
    let budget = amounts("spec.budget", &resource.spec.budget, report);
    let limits = resource.spec.limits.clone().unwrap_or_default();
    let mut per_model: Vec<PerModelLimit> = Vec::with_capacity(limits.per_model.len());
    for (at, limit) in limits.per_model.into_iter().enumerate() {
        let field = format!("spec.limits.perModel[{at}]");
        if limit.rpm.is_none() && limit.tpm.is_none() {
            report.invalid(&field, "the limit has no number", "set rpm or tpm");
        } else if per_model.iter().any(|other| other.model == limit.model) {
            report.invalid(format!("{field}.model"), "the model is listed twice", "remove one of the entries");
        }
        let rpm = positive(&format!("{field}.rpm"), limit.rpm, report);
        let tpm = positive(&format!("{field}.tpm"), limit.tpm, report);
        per_model.push(PerModelLimit { model: limit.model, rpm, tpm });
    }
    let mut read = |name: &str, number| positive(&format!("spec.limits.{name}"), number, report);
    let limits = KeyLimits {
        rpm: read("rpm", limits.rpm),
        tpm: read("tpm", limits.tpm),
        max_parallel: read("maxParallel", limits.max_parallel.map(i64::from)),
        per_model,
    };
    if report.problems.len() > before { Err(Reported) } else { Ok((limits, budget)) }
}

/// The value of the annotation that has limits counted anew.
pub(super) fn reset<K: Resource>(resource: &K) -> Option<String> {
    let value = resource.meta().annotations.as_ref()?.get(RESET).filter(|value| !value.is_empty())?;
    Some(if value.len() > RESET_LENGTH { canonical::sha256_hex(value.as_bytes()) } else { value.clone() })
}

//! `Budget` → [`BudgetEntry`]: checked here, counted by the ledger.

use std::collections::BTreeSet;

use turnpike_crds::{
    Budget, BudgetSpec,
    budget::{BudgetLimit, OnExceed, Window, WindowType},
};

use crate::{
    entry::BudgetEntry,
    problem::{ObjectKind, Report},
    render::{Context, Rendered, by_age, warn_not_yet},
};

/// All budgets that hold, sorted by object.
pub(super) fn render(context: Context<'_>, rendered: &mut Rendered) -> Vec<BudgetEntry> {
    let mut entries = Vec::new();
    for (object, resource) in by_age(&context.objects.budgets, ObjectKind::Budget, rendered) {
        let mut report = Report::new(ObjectKind::Budget, object.clone());
        warn_not_yet(ObjectKind::Budget, resource, &mut report);
        check(context, &object.namespace, resource, &mut report);
        if report.problems.is_empty() {
            // A type of our own with string keys always serializes.
            entries.push(BudgetEntry { object, spec: serde_json::to_value(&resource.spec).unwrap_or_default() });
        }
        rendered.take(report);
    }
    entries.sort_by(|a, b| a.object.cmp(&b.object));
    entries
}

fn check(context: Context<'_>, namespace: &str, resource: &Budget, report: &mut Report) {
    let spec = &resource.spec;
    if spec.limits.is_empty() {
        report.invalid(
            "spec.limits",
            "there is no limit",
            "list at least one, such as {window: Month, usd: \"500.00\"}",
        );
    }
    for (at, limit) in spec.limits.iter().enumerate() {
        check_limit(&format!("spec.limits[{at}]"), limit, report);
    }
    let names_others = spec.scope.as_ref().is_some_and(|scope| !scope.namespaces.is_empty());
    if names_others && !context.settings.allows_other_namespaces(namespace) {
        let fault = "only Budgets of the release namespace may cover other namespaces";
        report.invalid(
            "spec.scope.namespaces",
            fault,
            "remove namespaces, or have the Budget made in the release namespace",
        );
    }
    check_throttle(spec, report);
    let distinct: BTreeSet<i32> = spec.alert_thresholds.iter().copied().collect();
    if distinct.len() < spec.alert_thresholds.len() || distinct.iter().any(|percent| !(1..=1000).contains(percent)) {
        let fault = "thresholds must be percents from 1 to 1000, each once";
        report.invalid("spec.alertThresholds", fault, "correct the list");
    }
    let calendar = |limit: &BudgetLimit| {
        !matches!(limit.window, Window::Minute | Window::Lifetime) && limit.window_type != Some(WindowType::Rolling)
    };
    if spec.time_zone.is_some() && !spec.limits.iter().any(calendar) {
        let fault = "only windows of type Calendar have a time zone";
        report.invalid("spec.timeZone", fault, "remove timeZone, or add a Calendar limit");
    }
}

fn check_throttle(spec: &BudgetSpec, report: &mut Report) {
    match &spec.throttle {
        None if spec.on_exceed == OnExceed::Throttle => {
            report.invalid("spec.throttle", "onExceed Throttle needs throttle", "set throttle.rpm");
        }
        Some(throttle) if throttle.rpm < 1 => {
            report.invalid("spec.throttle.rpm", "the number must be above 0", "correct it");
        }
        _ => {}
    }
}

fn check_limit(field: &str, limit: &BudgetLimit, report: &mut Report) {
    if limit.usd.is_none() && limit.tokens.is_none() && limit.requests.is_none() {
        report.invalid(field, "the limit has no amount", "set usd, tokens or requests");
    }
    if let Some(usd) = &limit.usd {
        let next_step = "write USD above 0 with at most six decimals, such as \"50.00\"";
        match usd.nano() {
            Err(error) => {
                report.invalid(format!("{field}.usd"), error.to_string(), next_step);
            }
            Ok(nano) if nano.0 == 0 => {
                report.invalid(format!("{field}.usd"), "the amount is zero", next_step);
            }
            Ok(_) => {}
        }
    }
    for (name, count) in [("tokens", limit.tokens), ("requests", limit.requests)] {
        if count.is_some_and(|count| count < 1) {
            report.invalid(format!("{field}.{name}"), "the number must be above 0", "correct or remove it");
        }
    }
    match (limit.window, limit.window_type) {
        (Window::Minute, Some(WindowType::Calendar)) => {
            report.invalid(format!("{field}.type"), "a window of a Minute is always Rolling", "remove type");
        }
        (Window::Lifetime, Some(WindowType::Rolling)) => {
            report.invalid(format!("{field}.type"), "a Lifetime never starts again", "remove type");
        }
        _ => {}
    }
}

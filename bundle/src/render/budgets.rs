//! `Budget` → [`BudgetEntry`]: checked here, counted by the ledger.
//!
//! What is wrong with a part takes that part away, not the other limits beside it: whoever mistypes a time zone must not find
//! that nothing is limited any more.

use std::collections::BTreeSet;

use turnpike_crds::{
    Budget, BudgetSpec,
    budget::{BudgetLimit, OnExceed, OnStoreUnavailable, WindowType},
    names::ModelPattern,
    window,
};

use crate::{
    entry::{BudgetEntry, ObjectRef},
    problem::{ObjectKind, Report},
    render::{Context, Rendered, by_age, limits},
};

/// All budgets that hold, sorted by object.
pub(super) fn render(context: Context<'_>, rendered: &mut Rendered) -> Vec<BudgetEntry> {
    let mut entries = Vec::new();
    for (object, resource) in by_age(&context.objects.budgets, ObjectKind::Budget, rendered) {
        let mut report = Report::new(ObjectKind::Budget, object.clone());
        entries.extend(compile(context, object, resource, &mut report));
        rendered.take(report);
    }
    entries.sort_by(|a, b| a.object.cmp(&b.object));
    entries
}

/// `None` = nothing of it holds.
fn compile(context: Context<'_>, object: ObjectRef, resource: &Budget, report: &mut Report) -> Option<BudgetEntry> {
    let spec = &resource.spec;
    if spec.limits.is_empty() {
        let next_step = "list at least one, such as {window: Month, usd: \"500.00\"}";
        report.invalid("spec.limits", "there is no limit", next_step);
    }
    let limits = limits::amounts("spec.limits", &spec.limits, report);
    let (on_exceed, throttle_rpm) = on_exceed(spec, report);
    let alert_thresholds = alert_thresholds(spec, report);
    let time_zone = time_zone(spec, report);
    let allowed_models = allowed_models(spec, report);
    let fail_open_usd = fail_open_usd(spec, report);
    let permitted = is_permitted(context, &object.namespace, spec, report);
    (permitted && !limits.is_empty()).then(|| BudgetEntry {
        scope: spec.scope.clone(),
        allowed_models,
        share: spec.share,
        limits,
        time_zone,
        on_exceed,
        throttle_rpm,
        mode: spec.mode,
        enforcement: spec.enforcement,
        alert_thresholds,
        on_store_unavailable: spec.on_store_unavailable,
        fail_open_usd,
        reset: limits::reset(resource),
        object,
    })
}

fn is_permitted(context: Context<'_>, namespace: &str, spec: &BudgetSpec, report: &mut Report) -> bool {
    let names_others = spec.scope.as_ref().is_some_and(|scope| !scope.namespaces.is_empty());
    if names_others && !context.settings.allows_other_namespaces(namespace) {
        report.invalid(
            "spec.scope.namespaces",
            "only Budgets of the release namespace may cover other namespaces",
            "remove namespaces, or have the Budget made in the release namespace",
        );
        return false;
    }
    true
}

/// Percents, ascending.
fn alert_thresholds(spec: &BudgetSpec, report: &mut Report) -> Vec<i32> {
    let distinct: BTreeSet<i32> = spec.alert_thresholds.iter().copied().collect();
    let is_percent = |percent: &i32| (1..=1000).contains(percent);
    if distinct.len() < spec.alert_thresholds.len() || !distinct.iter().all(is_percent) {
        let fault = "thresholds must be percents from 1 to 1000, each once";
        report.invalid("spec.alertThresholds", fault, "correct the list");
    }
    distinct.into_iter().filter(is_percent).collect()
}

/// UTC while the name is unknown: other bounds are better than none.
fn time_zone(spec: &BudgetSpec, report: &mut Report) -> Option<String> {
    let name = spec.time_zone.as_ref()?;
    let field = "spec.timeZone";
    if !spec.limits.iter().any(|limit| BudgetLimit::effective_type(limit) == Some(WindowType::Calendar)) {
        let fault = "only windows of type Calendar have a time zone";
        report.invalid(field, fault, "remove timeZone, or add a Calendar limit");
        return None;
    }
    let Some(zone) = window::zone(name) else {
        let fault = format!("no time zone is called \"{name}\", so windows begin and end in UTC");
        report.invalid(field, fault, "use a name of the IANA database, such as Europe/Oslo");
        return None;
    };
    // As the database spells it, since lookups ignore case and accounts are named by it.
    zone.iana_name().filter(|name| *name != "UTC").map(str::to_owned)
}

/// Without a rate to slow down to, what should be slow is refused.
fn on_exceed(spec: &BudgetSpec, report: &mut Report) -> (OnExceed, Option<i64>) {
    match (&spec.throttle, spec.on_exceed) {
        (Some(throttle), _) if throttle.rpm < 1 => {
            report.invalid("spec.throttle.rpm", "the number must be above 0", "correct it");
        }
        (None, OnExceed::Throttle) => {
            report.invalid("spec.throttle", "onExceed Throttle needs throttle", "set throttle.rpm");
        }
        (Some(throttle), OnExceed::Throttle) => return (OnExceed::Throttle, Some(i64::from(throttle.rpm))),
        (_, other) => return (other, None),
    }
    (if spec.on_exceed == OnExceed::Throttle { OnExceed::Block } else { spec.on_exceed }, None)
}

/// As they stand; what matches nothing restricts as much as its author wrote.
fn allowed_models(spec: &BudgetSpec, report: &mut Report) -> Vec<String> {
    for (at, text) in spec.allowed_models.iter().enumerate() {
        if let Err(error) = ModelPattern::parse(text) {
            report.invalid(format!("spec.allowedModels[{at}]"), error.to_string(), "correct or remove it");
        }
    }
    spec.allowed_models.clone()
}

/// Nothing is let pass in an outage while the amount cannot be read.
fn fail_open_usd(spec: &BudgetSpec, report: &mut Report) -> Option<i64> {
    let text = spec.fail_open_usd.as_ref()?;
    let field = "spec.failOpenUsd";
    if spec.on_store_unavailable != OnStoreUnavailable::FailOpen {
        report.invalid(field, "failOpenUsd needs onStoreUnavailable FailOpen", "remove it, or set FailOpen");
        return None;
    }
    match text.nano() {
        Ok(nano) if nano.0 > 0 => Some(nano.0),
        amount => {
            let fault = amount.map_or_else(|error| error.to_string(), |_| "the amount is zero".to_owned());
            report.invalid(field, fault, "write USD above 0 with at most six decimals, such as \"5.00\"");
            Some(0)
        }
    }
}

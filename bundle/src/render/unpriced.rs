//! Models without a price where money is limited: what cannot be counted must not be spent.

use std::collections::BTreeSet;

use turnpike_crds::{Reason, budget::Scope, names::ModelPattern};

use crate::{
    entry::{Backend, BudgetEntry, Contents, KeyEntry, ModelEntry, ObjectRef},
    problem::{ObjectKind, Report},
    render::Rendered,
};

/// Says of each model without a price which limit of money has its requests refused. It goes on serving everybody else.
///
/// Only limits of its own namespace count, and of those who may limit others: no tenant may spoil the state of another's model.
pub(super) fn report(rendered: &mut Rendered) {
    let contents = &rendered.contents;
    let unpriced: Vec<&ModelEntry> = contents.models.iter().filter(|model| is_unpriced(model)).collect();
    if unpriced.is_empty() {
        return;
    }
    let targets = targets(contents);
    let budgets: Vec<&BudgetEntry> = contents.budgets.iter().filter(|budget| limits_money(budget)).collect();
    let limits_own = |key: &&KeyEntry| key.budget.iter().any(|limit| limit.usd_nano.is_some());
    let keys: Vec<&KeyEntry> = contents.keys.iter().filter(limits_own).collect();
    let reports: Vec<Report> = unpriced
        .into_iter()
        .filter_map(|model| {
            let is_target = targets.contains(&model.object);
            let budget = budgets.iter().find(|budget| can_count(budget, model, is_target));
            let key = || keys.iter().find(|key| can_ask(key, model, is_target));
            let limit = match budget {
                Some(budget) => format!("Budget {}", budget.object),
                None => format!("VirtualKey {}", key()?.object),
            };
            let mut report = Report::new(ObjectKind::ModelDeployment, model.object.clone());
            let fault = format!(
                "no price is known for the model, so requests that a limit in USD counts are refused ({limit})"
            );
            report.problem("spec.price", Reason::PriceUnknown, fault, "set spec.price, with \"0\" for what is free");
            Some(report)
        })
        .collect();
    for report in reports {
        rendered.take(report);
    }
}

/// Routes and canned answers cost what others do; a wildcard's models are looked up one by one when they are called.
fn is_unpriced(model: &ModelEntry) -> bool {
    match &model.backend {
        Backend::Provider(backend) => model.price.is_none() && !backend.model.contains('*'),
        Backend::Route(_) | Backend::Mock { .. } => false,
    }
}

/// Models that routes lead to: whoever may ask for the route gets them, whatever they are called themselves.
fn targets(contents: &Contents) -> BTreeSet<ObjectRef> {
    let routes = contents.models.iter().filter_map(|model| match &model.backend {
        Backend::Route(route) => Some(&route.targets),
        Backend::Provider(_) | Backend::Mock { .. } => None,
    });
    routes.flatten().map(|target| target.model.clone()).collect()
}

fn limits_money(budget: &BudgetEntry) -> bool {
    budget.acts() && budget.limits.iter().any(|limit| limit.usd_nano.is_some())
}

fn can_count(budget: &BudgetEntry, model: &ModelEntry, is_target: bool) -> bool {
    let own = &budget.object.namespace;
    let no_scope = Scope::default();
    let scope = budget.scope.as_ref().unwrap_or(&no_scope);
    // By budgetRefs a key of its own namespace may be under it whatever the scope says.
    let reaches = *own == model.object.namespace || scope.covers_namespace(own, &model.object.namespace);
    reaches && (scope.models.is_empty() || is_target || is_named(&scope.models, model))
}

fn can_ask(key: &KeyEntry, model: &ModelEntry, is_target: bool) -> bool {
    key.object.namespace == model.object.namespace && (is_target || is_named(&key.allowed_models, model))
}

fn is_named(patterns: &[String], model: &ModelEntry) -> bool {
    let mut names = std::iter::once(&model.model_name).chain(&model.aliases);
    names.any(|name| patterns.iter().any(|text| ModelPattern::parse(text).is_ok_and(|pattern| pattern.matches(name))))
}

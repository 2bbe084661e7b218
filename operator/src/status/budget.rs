//! Status of a `Budget`: everything but what was spent, which this version does not count.

use std::ops::Bound;

use jiff::tz::TimeZone;
use turnpike_bundle::{entry::ObjectRef, manifest::Kind, problem::ObjectKind};
use turnpike_crds::{
    Budget, ConditionType, Reason, Time,
    budget::{BudgetLimit, BudgetStatus, Window, WindowType},
    window::{self, Bounds},
};

use super::{
    Desired, View,
    condition::{Aspect, Facts, Truth, common, conditions},
    limit,
};
use crate::world::World;

/// The status that follows `before`; `None` = nothing can be said yet.
pub fn desired(
    view: View<'_>,
    object: &ObjectRef,
    budget: &Budget,
    before: Option<&BudgetStatus>,
) -> Option<Desired<BudgetStatus>> {
    let compiled = view.compiled(ObjectKind::Budget, object, budget.metadata.generation)?;
    let facts = Facts {
        kind: Kind::Budgets,
        key: &object.to_string(),
        compiled,
        before: before.map_or(&[], |before| &before.conditions),
        programmed: before.and_then(|before| before.programmed.as_ref()),
        fleet: view.fleet,
        now: view.now,
    };
    let mut common = common(facts);
    common.aspects.extend(spend());
    let waiting = common.waiting;
    let tightest = limit::tightest(&budget.spec.limits);
    let bounds = tightest.and_then(|limit| bounds(view, budget, limit));
    let status = BudgetStatus {
        observed_generation: Some(compiled.generation),
        limit_text: tightest.and_then(limit::amount),
        window: tightest.map(|limit| limit.window),
        window_start: window_start(budget, tightest, bounds),
        resets_at: bounds.map(|bounds| Time(bounds.end)),
        // Keys are counted only where they are covered.
        matched_keys: compiled.digest.as_ref().map(|_| matched_keys(view.world, object, budget)),
        programmed: common.programmed.clone(),
        conditions: conditions(facts, common),
        ..BudgetStatus::default()
    };
    Some(Desired { status, waiting, next: bounds.map(|bounds| bounds.end) })
}

/// What would be known if spend were counted.
fn spend() -> [Aspect; 3] {
    let aspect = |kind, truth, message| Aspect::new(kind, truth, Reason::SpendNotCounted, message);
    let unknown = "Spend is not counted by this version";
    [
        aspect(ConditionType::WithinBudget, Truth::Unknown, unknown),
        aspect(ConditionType::ThresholdReached, Truth::Unknown, unknown),
        aspect(
            ConditionType::SpendSynced,
            Truth::False,
            "Spend is not counted by this version, and no limit is enforced; set limits at the provider until then",
        ),
    ]
}

/// The window of the calendar; `None` for what has none.
fn bounds(view: View<'_>, budget: &Budget, limit: &BudgetLimit) -> Option<Bounds> {
    if limit.effective_type() != Some(WindowType::Calendar) {
        return None;
    }
    // What is no zone counts in UTC, as the gateways do.
    let zone = budget.spec.time_zone.as_deref().and_then(window::zone).unwrap_or(TimeZone::UTC);
    window::around(limit.window, &zone, view.now)
}

fn window_start(budget: &Budget, limit: Option<&BudgetLimit>, bounds: Option<Bounds>) -> Option<Time> {
    match limit?.window {
        Window::Lifetime => budget.metadata.creation_timestamp.clone(),
        Window::Minute | Window::Hour | Window::Day | Window::Week | Window::Month | Window::Year => {
            bounds.map(|bounds| Time(bounds.start))
        }
    }
}

/// How many keys it covers, of its own namespace and of those that its scope lists.
fn matched_keys(world: &World, object: &ObjectRef, budget: &Budget) -> i32 {
    let mut namespaces: Vec<&str> = budget.other_namespaces().iter().map(String::as_str).collect();
    namespaces.push(&object.namespace);
    namespaces.sort_unstable();
    namespaces.dedup();
    let matched: usize = namespaces
        .into_iter()
        .map(|namespace| {
            let first = ObjectRef { namespace: namespace.to_owned(), name: String::new() };
            world
                .keys
                .range((Bound::Included(&first), Bound::Unbounded))
                .take_while(|(key, _)| key.namespace == namespace)
                .filter(|(_, key)| key.metadata.deletion_timestamp.is_none() && budget.covers(key))
                .count()
        })
        .sum();
    i32::try_from(matched).unwrap_or(i32::MAX)
}

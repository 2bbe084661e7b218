//! Status of a `Budget`: what it covers, what was used of it, and what that means.
//!
//! Figures change with every request. They are written where the digits that are shown have changed, at most every ten
//! seconds; what a person may wait for (a threshold, a limit that is used up) at once.

use std::{ops::Bound, time::Duration};

use jiff::{Timestamp, tz::TimeZone};
use turnpike_bundle::{entry::ObjectRef, manifest::Kind, problem::ObjectKind};
use turnpike_crds::{
    Budget, Time,
    budget::{BudgetLimit, BudgetStatus, Window, WindowType},
    window::{self, Bounds},
};

use super::{
    Desired, View,
    condition::{Facts, Waiting, common, conditions},
    earlier, limit,
};
use crate::{
    spend::{BudgetSpend, Store},
    world::World,
};

pub(crate) mod aspects;
mod figures;

/// Least time between two writes of nothing but figures.
const FIGURES_EVERY: Duration = Duration::from_secs(10);

/// What is known of what was used.
#[derive(Clone, Copy)]
enum Known<'a> {
    /// Read just now.
    Current(&'a BudgetSpend),
    /// What was read before.
    Kept,
    /// Nothing, and nothing will be.
    Uncounted,
}

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
    let known = known(view, object, budget);
    common.aspects.extend(match (known, view.spend.store) {
        (Known::Uncounted, _) => aspects::uncounted(),
        (Known::Current(spend), _) => aspects::current(spend),
        (Known::Kept, store @ Store::Silent { .. }) => aspects::silent(before, store),
        (Known::Kept, _) => aspects::pending(before),
    });
    let mut waiting = common.waiting;
    if matches!((known, view.spend.store), (Known::Kept, Store::Waiting | Store::Fresh)) && compiled.digest.is_some() {
        // It will be read in a moment.
        waiting = waiting.or(Some(Waiting::Work));
    }
    let tightest = limit::tightest(&budget.spec.limits);
    let bounds = tightest.and_then(|limit| bounds(view, budget, limit));
    let mut status = BudgetStatus {
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
    let next = bounds.map(|bounds| bounds.end);
    let desired = Desired { status: BudgetStatus::default(), waiting, next, figures_only: false };
    match known {
        Known::Uncounted => Some(Desired { status, ..desired }),
        Known::Kept => {
            // Of other limits than these the figures would be wrong.
            let same = before.filter(|before| before.observed_generation == status.observed_generation);
            if let Some(before) = same.filter(|before| before.last_spend_sync.is_some()) {
                figures::keep(before, &mut status);
            }
            Some(Desired { status, ..desired })
        }
        Known::Current(spend) => {
            figures::fill(&mut status, spend, (view.world, object, budget), view.now);
            Some(paced(Desired { status, ..desired }, before, view.now))
        }
    }
}

/// Whether figures are shown, and which.
fn known<'a>(view: View<'a>, object: &ObjectRef, budget: &Budget) -> Known<'a> {
    match view.spend.store {
        Store::Absent => Known::Uncounted,
        Store::Waiting | Store::Silent { .. } => Known::Kept,
        Store::Fresh => {
            let read = view.spend.budgets.get(object);
            let read = read.filter(|read| read.generation == budget.metadata.generation);
            read.map_or(Known::Kept, Known::Current)
        }
    }
}

/// Holds back what differs in figures only, for as long as others were written lately.
fn paced(mut desired: Desired<BudgetStatus>, before: Option<&BudgetStatus>, now: Timestamp) -> Desired<BudgetStatus> {
    let shown = before.and_then(|before| Some((before, before.last_spend_sync.as_ref()?.0)));
    desired.status.last_spend_sync = Some(Time(now));
    let Some((before, synced)) = shown else { return desired };
    let mut kept = desired.status.clone();
    kept.last_spend_sync.clone_from(&before.last_spend_sync);
    // It moves with the clock; alone it is not worth a write.
    kept.projected_exhaustion.clone_from(&before.projected_exhaustion);
    if kept == *before {
        return Desired { status: kept, ..desired };
    }
    let urgent = thresholds(&kept) != thresholds(before);
    figures::keep(before, &mut kept);
    if urgent || kept != *before {
        return desired;
    }
    let due = synced.saturating_add(FIGURES_EVERY).unwrap_or(now);
    if due > now {
        return Desired { status: kept, next: earlier(desired.next, Some(due)), ..desired };
    }
    Desired { figures_only: true, ..desired }
}

fn thresholds(status: &BudgetStatus) -> Vec<Option<i32>> {
    status.limits.iter().map(|limit| limit.threshold_reached).collect()
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

//! `spec.route`: targets that exist, and no way back to the route itself.

use std::collections::{BTreeMap, BTreeSet};

use turnpike_crds::{Reason, model_deployment::Route};

use crate::{
    entry::{Backend, ObjectRef, RouteBackend, RouteTarget},
    problem::Report,
    render::{Context, models::Candidate},
};

/// The targets that exist. A target that exists but cannot be compiled stays: it is no fault of the route.
pub(super) fn compile(
    context: Context<'_>,
    object: &ObjectRef,
    route: &Route,
    report: &mut Report,
) -> Option<RouteBackend> {
    let mut targets = Vec::with_capacity(route.targets.len());
    let mut sound = true;
    for (at, target) in route.targets.iter().enumerate() {
        let field = format!("spec.route.targets[{at}]");
        let Some(weight) = u32::try_from(target.weight).ok().filter(|weight| *weight <= 1000) else {
            report.invalid(format!("{field}.weight"), "the weight is out of range", "use a number from 0 to 1000");
            sound = false;
            continue;
        };
        let model = ObjectRef { namespace: object.namespace.clone(), name: target.model_ref.name.clone() };
        if context.models.contains(&model) {
            targets.push(RouteTarget { model, weight, priority: target.priority });
        } else {
            report.problem(
                format!("{field}.modelRef.name"),
                Reason::RefNotFound,
                format!("there is no ModelDeployment {} in namespace {}", model.name, model.namespace),
                "create it, or correct the name (it is the metadata.name, not the modelName)",
            );
        }
    }
    if route.targets.iter().all(|target| target.weight == 0) {
        report.invalid(
            "spec.route.targets",
            "no target has a weight above 0",
            "list at least one target with a weight above 0",
        );
        sound = false;
    }
    (sound && !targets.is_empty()).then_some(RouteBackend { targets })
}

/// Takes from routes the targets that lead back to themselves, the oldest route keeping its own. A route without any
/// target is left out.
pub(super) fn settle(candidates: &mut [Candidate<'_>]) {
    let mut onward: BTreeMap<ObjectRef, BTreeSet<ObjectRef>> = BTreeMap::new();
    for candidate in candidates {
        let Some(route) = &candidate.resource.spec.route else {
            continue;
        };
        let mut dropped = BTreeSet::new();
        for (at, target) in route.targets.iter().enumerate() {
            let model =
                ObjectRef { namespace: candidate.object.namespace.clone(), name: target.model_ref.name.clone() };
            if leads_to(&model, &candidate.object, &onward) {
                candidate.report.invalid(
                    format!("spec.route.targets[{at}].modelRef.name"),
                    format!("{} leads back to this route", model.name),
                    "name a model that does not route to this one",
                );
                dropped.insert(model);
            } else {
                onward.entry(candidate.object.clone()).or_default().insert(model);
            }
        }
        let Some(compiled) = &mut candidate.compiled else {
            continue;
        };
        let Backend::Route(backend) = &mut compiled.entry.backend else {
            continue;
        };
        backend.targets.retain(|target| !dropped.contains(&target.model));
        if backend.targets.is_empty() {
            candidate.compiled = None;
        }
    }
}

fn leads_to(from: &ObjectRef, to: &ObjectRef, onward: &BTreeMap<ObjectRef, BTreeSet<ObjectRef>>) -> bool {
    let mut seen = BTreeSet::new();
    let mut ahead = vec![from];
    while let Some(next) = ahead.pop() {
        if next == to {
            return true;
        }
        if seen.insert(next) {
            ahead.extend(onward.get(next).into_iter().flatten());
        }
    }
    false
}

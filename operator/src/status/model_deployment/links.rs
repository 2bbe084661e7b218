//! The models that a model names: targets, fallbacks, a mirror.

use turnpike_bundle::{
    entry::ObjectRef,
    problem::{ObjectId, ObjectKind},
};
use turnpike_crds::{ModelDeploymentSpec, model_deployment::Strategy};

use crate::status::View;

/// A route through routes is followed this far, as gateways do.
const MAX_ROUTE_DEPTH: u32 = 4;

/// One of them.
pub(super) struct Link {
    /// The field that names it.
    pub(super) field: String,
    /// The model.
    pub(super) model: ObjectRef,
    /// Requests to the one that names it go there from the first.
    is_target: bool,
}

/// All of them.
pub(super) fn of(object: &ObjectRef, spec: &ModelDeploymentSpec) -> Vec<Link> {
    let link = |field: String, name: &str, is_target| Link {
        field,
        model: ObjectRef { namespace: object.namespace.clone(), name: name.to_owned() },
        is_target,
    };
    let fallbacks = spec.fallbacks.iter().enumerate();
    let mut links: Vec<Link> = fallbacks
        .map(|(at, fallback)| link(format!("spec.fallbacks[{at}].modelRef.name"), &fallback.model_ref.name, false))
        .collect();
    let Some(route) = &spec.route else { return links };
    for (at, target) in route.targets.iter().enumerate() {
        links.push(link(format!("spec.route.targets[{at}].modelRef.name"), &target.model_ref.name, true));
    }
    if let Some(mirror) = &route.mirror {
        links.push(link("spec.route.mirror.modelRef.name".to_owned(), &mirror.model_ref.name, false));
    }
    if let Some(complexity) = route.complexity.as_ref().filter(|_| route.strategy == Strategy::Complexity) {
        let tiers = [("simple", &complexity.simple), ("medium", &complexity.medium), ("complex", &complexity.complex)];
        links.extend(tiers.map(|(tier, name)| link(format!("spec.route.complexity.{tier}"), name, true)));
    }
    links
}

/// Whether gateways have something that answers for a model.
pub(super) fn serves(view: View<'_>, object: &ObjectRef) -> bool {
    leads_on(view, object, MAX_ROUTE_DEPTH)
}

fn leads_on(view: View<'_>, object: &ObjectRef, depth: u32) -> bool {
    let id = ObjectId { kind: ObjectKind::ModelDeployment, object: object.clone() };
    if view.published.objects.get(&id).is_none_or(|compiled| compiled.digest.is_none()) {
        return false;
    }
    let Some(model) = view.world.models.get(object).filter(|model| model.spec.route.is_some()) else { return true };
    let Some(depth) = depth.checked_sub(1) else { return false };
    of(object, &model.spec).iter().any(|link| link.is_target && leads_on(view, &link.model, depth))
}

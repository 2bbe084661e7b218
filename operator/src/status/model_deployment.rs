//! Status of a `ModelDeployment`.

use std::borrow::Cow;

use turnpike_bundle::{
    Problem,
    entry::ObjectRef,
    manifest::Kind,
    problem::{ObjectId, ObjectKind},
};
use turnpike_crds::{
    ModelDeployment, ModelDeploymentSpec, Reason,
    model_deployment::{ModelDeploymentStatus, SourceKind, Visibility},
};

mod engine;
mod links;

use self::links::Link;
use super::{
    Desired, View, backends,
    condition::{Facts, Waiting, common, conditions},
    fleet::Fleet,
};
use crate::publish::Compiled;

/// Longest `status.endpoint`.
const ENDPOINT: usize = 1024;

/// The status that follows `before`; `None` = nothing can be said yet.
pub fn desired(
    view: View<'_>,
    object: &ObjectRef,
    model: &ModelDeployment,
    before: Option<&ModelDeploymentStatus>,
) -> Option<Desired<ModelDeploymentStatus>> {
    let compiled = view.compiled(ObjectKind::ModelDeployment, object, model.metadata.generation)?;
    if model.spec.vllm.is_some() && !view.engines.is_known() {
        return None;
    }
    let compiled = &*with_credential(compiled, object, view.fleet);
    let compiled = &*with_links(compiled, view, object, &model.spec);
    let facts = Facts {
        kind: Kind::Models,
        key: &object.to_string(),
        compiled,
        before: before.map_or(&[], |before| &before.conditions),
        programmed: before.and_then(|before| before.programmed.as_ref()),
        fleet: view.fleet,
        now: view.now,
    };
    let mut common = common(facts);
    let mut status = ModelDeploymentStatus {
        observed_generation: Some(compiled.generation),
        kind: kind(&model.spec),
        model_name: Some(model.model_name().to_owned()),
        endpoint: endpoint(view.gateway_url, &model.spec),
        programmed: common.programmed.clone(),
        ..ModelDeploymentStatus::default()
    };
    // Of what no gateway serves there is nothing to tell.
    if compiled.digest.is_some() {
        backends::fill((view, object, model), before, &mut status, &mut common);
    }
    engine::fill((view, object, model), compiled, &mut status, &mut common);
    let waiting = common.waiting;
    status.conditions = conditions(facts, common);
    let in_words = before.is_some_and(|before| engine::differ_in_words(before, &status));
    let waiting = waiting.or((model.spec.vllm.is_some() && in_words).then_some(Waiting::Progress));
    Some(Desired { status, waiting, next: None, figures_only: false })
}

/// With what gateways say of its credential as one more problem. The entry stays: what is valid still serves, and gateways
/// try again.
fn with_credential<'a>(compiled: &'a Compiled, object: &ObjectRef, fleet: &Fleet<'_>) -> Cow<'a, Compiled> {
    let failing = compiled.credential.as_ref().and_then(|digest| fleet.failing(digest));
    let Some(reason) = failing else { return Cow::Borrowed(compiled) };
    let problem = Problem {
        object: ObjectId { kind: ObjectKind::ModelDeployment, object: object.clone() },
        field: "spec.provider.credentials".to_owned(),
        reason: Reason::CredentialRefreshFailed,
        message: format!("the gateways cannot renew this credential: {reason}"),
        next_step: "correct it, or what the cloud knows of it; gateways try again by themselves".to_owned(),
    };
    let mut compiled = compiled.clone();
    compiled.problems.push(problem);
    Cow::Owned(compiled)
}

/// With one more problem for each model that it names and that is not served. Those that do not exist are among the problems
/// already.
fn with_links<'a>(
    compiled: &'a Compiled,
    view: View<'_>,
    object: &ObjectRef,
    spec: &ModelDeploymentSpec,
) -> Cow<'a, Compiled> {
    let links = links::of(object, spec);
    let idle: Vec<&Link> = links
        .iter()
        .filter(|link| view.world.models.contains_key(&link.model) && !links::serves(view, &link.model))
        .collect();
    if compiled.digest.is_none() || idle.is_empty() {
        return Cow::Borrowed(compiled);
    }
    let problem = |field: &str, message: String, next_step: String| Problem {
        object: ObjectId { kind: ObjectKind::ModelDeployment, object: object.clone() },
        field: field.to_owned(),
        reason: Reason::RefNotReady,
        message,
        next_step,
    };
    let mut compiled = compiled.clone();
    compiled.problems.extend(idle.into_iter().map(|Link { field, model, .. }| {
        let name = &model.name;
        problem(
            field,
            format!("nothing of ModelDeployment {name} is served"),
            format!("see why: kubectl describe mdep {name}"),
        )
    }));
    if spec.route.is_some() && !links::serves(view, object) {
        let next_step = "correct at least one of them".to_owned();
        compiled.problems.push(problem("spec.route", "none of its targets is served".to_owned(), next_step));
    }
    Cow::Owned(compiled)
}

fn kind(spec: &ModelDeploymentSpec) -> Option<SourceKind> {
    [
        (spec.provider.is_some(), SourceKind::Provider),
        (spec.vllm.is_some(), SourceKind::Vllm),
        (spec.route.is_some(), SourceKind::Route),
        (spec.mock.is_some(), SourceKind::Mock),
    ]
    .into_iter()
    .find_map(|(set, kind)| set.then_some(kind))
}

/// Where clients ask for it; nobody can ask for an internal model.
fn endpoint(gateway_url: Option<&str>, spec: &ModelDeploymentSpec) -> Option<String> {
    let endpoint = format!("{}/v1", gateway_url?);
    (spec.visibility != Visibility::Internal && endpoint.len() <= ENDPOINT).then_some(endpoint)
}

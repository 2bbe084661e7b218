//! Status of a `ModelDeployment`.

use turnpike_bundle::{entry::ObjectRef, manifest::Kind, problem::ObjectKind};
use turnpike_crds::{
    ModelDeployment, ModelDeploymentSpec,
    model_deployment::{ModelDeploymentStatus, SourceKind, Visibility},
};

use super::{
    Desired, View,
    condition::{Facts, common, conditions},
};

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
    let facts = Facts {
        kind: Kind::Models,
        key: &object.to_string(),
        compiled,
        before: before.map_or(&[], |before| &before.conditions),
        programmed: before.and_then(|before| before.programmed.as_ref()),
        fleet: view.fleet,
        now: view.now,
    };
    let common = common(facts);
    let waiting = common.waiting;
    let status = ModelDeploymentStatus {
        observed_generation: Some(compiled.generation),
        kind: kind(&model.spec),
        model_name: Some(model.model_name().to_owned()),
        endpoint: endpoint(view.gateway_url, &model.spec),
        programmed: common.programmed.clone(),
        conditions: conditions(facts, common),
        ..ModelDeploymentStatus::default()
    };
    Some(Desired { status, waiting, next: None, figures_only: false })
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

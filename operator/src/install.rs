//! `turnpike-operator install-crds`: brings the CRDs up to this version, as the chart does before an upgrade.
//!
//! Helm installs CRDs once and never again, and an operator refuses to lead on CRDs that are older than itself.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
    runtime::wait::{await_condition, conditions},
};
use tokio::time::timeout;
use turnpike_crds::CRD_VERSION_ANNOTATION;

/// Field manager: not an instance's, for all instances share the CRDs.
const MANAGER: &str = "turnpike-operator";
/// Longest wait for the apiserver to serve a CRD.
const ESTABLISHED: Duration = Duration::from_mins(1);

/// Why the CRDs are not as they should be.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The apiserver refused.
    #[error("the CRD {0} cannot be applied")]
    Kube(String, #[source] kube::Error),
    /// It is there and not served.
    #[error("the CRD {0} is not established; `kubectl describe crd {0}` says why")]
    NotEstablished(String),
}

/// Applies every CRD that the cluster lacks or has in an older version, and waits until the apiserver serves them all. A
/// newer one stays: fields are only added, so older programs work with it.
///
/// # Errors
/// See [`InstallError`].
pub async fn run(client: &Client) -> Result<(), InstallError> {
    let api = Api::<CustomResourceDefinition>::all(client.clone());
    for wanted in turnpike_crds::all() {
        let name = wanted.name_any();
        let failed = |error| InstallError::Kube(name.clone(), error);
        let found = api.get_opt(&name).await.map_err(failed)?;
        if found.as_ref().is_some_and(|found| is_newer(found, &wanted)) {
            tracing::warn!(name, "the cluster has a newer version of this CRD; it stays");
            continue;
        }
        api.patch(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&wanted)).await.map_err(failed)?;
        let established = await_condition(api.clone(), &name, conditions::is_crd_established());
        if !matches!(timeout(ESTABLISHED, established).await, Ok(Ok(_))) {
            return Err(InstallError::NotEstablished(name));
        }
        tracing::info!(name, "the CRD is up to date");
    }
    Ok(())
}

/// Whether the CRD in the cluster has a higher version than ours.
pub fn is_newer(found: &CustomResourceDefinition, wanted: &CustomResourceDefinition) -> bool {
    let version = |crd: &CustomResourceDefinition| {
        crd.annotations().get(CRD_VERSION_ANNOTATION).and_then(|version| version.trim().parse::<u64>().ok())
    };
    version(found) > version(wanted)
}

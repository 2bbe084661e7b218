//! Names of an engine's parts: one place for each. A `ModelDeployment` with an engine has a name of at most 40 characters.

use std::collections::BTreeMap;

use turnpike_crds::ModelDeployment;

/// Port of the engine's API, on its pods and its Service.
pub const PORT: u16 = 8000;
/// Port on which the container that fetches a model's files tells how far it is.
pub const PROGRESS_PORT: u16 = 8001;
/// Key of the minted Secret's data.
pub const KEY: &str = "api-key";
/// Label that names the `ModelDeployment`, on everything that is made for it.
pub const MODEL_LABEL: &str = "turnpike.dev/model";
/// Label of what belongs to an engine; its value is [`COMPONENT`].
pub const COMPONENT_LABEL: &str = "app.kubernetes.io/component";
/// Value of [`COMPONENT_LABEL`].
pub const COMPONENT: &str = "engine";
/// The same for pods that only fetch: no engine's Service, budget or Deployment counts them.
pub const FETCH_COMPONENT: &str = "engine-fetch";

/// Deployment, Service and whatever else there is one of.
pub fn child(name: &str) -> String {
    format!("{name}-engine")
}

/// Job that fills the cache.
pub fn fetch(name: &str) -> String {
    format!("{name}-engine-fetch")
}

/// Secret with the key that is made for an engine.
pub fn key_secret(name: &str) -> String {
    format!("{name}-engine-key")
}

/// Host by which gateways find the engine's pods.
pub fn host(namespace: &str, name: &str) -> String {
    format!("{}.{namespace}.svc", child(name))
}

/// What selects an engine's pods.
pub fn selector(name: &str) -> BTreeMap<String, String> {
    [(COMPONENT_LABEL, COMPONENT), (MODEL_LABEL, name)]
        .into_iter()
        .map(|(key, value)| (key.into(), value.into()))
        .collect()
}

/// What the engine calls its model towards its callers.
pub fn served(model: &ModelDeployment) -> &str {
    model.model_name()
}

/// What clients call an adapter.
pub fn adapter(model_name: &str, adapter: &str) -> String {
    format!("{model_name}:{adapter}")
}

//! What the operator sees of one engine.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{PersistentVolumeClaim, Pod},
};

/// One engine as observed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// Its Deployment.
    pub deployment: Option<Arc<Deployment>>,
    /// Its pods, by name.
    pub pods: BTreeMap<String, Arc<Pod>>,
    /// The claim of its cache, made for it or named by it.
    pub claim: Option<Arc<PersistentVolumeClaim>>,
    /// How much of the model's files pods have fetched, in percent, by pod; only while they do.
    pub fetched: BTreeMap<String, u8>,
    /// Adapters that are loaded, by ready pod.
    pub adapters: BTreeMap<String, BTreeSet<String>>,
    /// What the apiserver said when a child could not be written, such as a quota.
    pub refused: Option<String>,
    /// Why replicas cannot be set by demand now.
    pub unscalable: Option<String>,
}

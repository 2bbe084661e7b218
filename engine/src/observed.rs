//! What the operator sees of one engine.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::api::{
    apps::v1::Deployment,
    batch::v1::Job,
    core::v1::{PersistentVolumeClaim, Pod},
};

/// Claims by name; `None` = there is no such claim.
pub type Claims = BTreeMap<String, Option<Arc<PersistentVolumeClaim>>>;

/// One engine as observed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// Its Deployment.
    pub deployment: Option<Arc<Deployment>>,
    /// Its pods, by name.
    pub pods: BTreeMap<String, Arc<Pod>>,
    /// The claim that is made for its cache.
    pub claim: Option<Arc<PersistentVolumeClaim>>,
    /// Claims that its spec names, as far as they were looked at.
    pub claims: Claims,
    /// The Job that fills the cache.
    pub fetch: Option<Arc<Job>>,
    /// That Job's pods, by name.
    pub fetchers: BTreeMap<String, Arc<Pod>>,
    /// How much of the model's files pods have fetched, in percent, by pod; only while they do.
    pub fetched: BTreeMap<String, u8>,
    /// Why pods cannot have their volumes, in the words of whoever tried, by pod.
    pub unmounted: BTreeMap<String, String>,
    /// Adapters that are loaded, by ready pod.
    pub adapters: BTreeMap<String, BTreeSet<String>>,
    /// What the apiserver said when a child could not be written, such as a quota.
    pub refused: Option<String>,
    /// Why replicas cannot be set by demand now.
    pub unscalable: Option<String>,
}

impl Observed {
    /// Whether anything of the engine is there; claims that others made do not count.
    pub fn is_there(&self) -> bool {
        Self { claims: Claims::new(), ..self.clone() } != Self::default()
    }
}

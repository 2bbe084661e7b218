//! What is compiled: the objects as their authors wrote them, and the rules of the place that they are in.

use std::collections::{BTreeMap, BTreeSet};

use kube::{Resource, ResourceExt};
use turnpike_crds::{Budget, ModelDeployment, VirtualKey};

use crate::entry::ObjectRef;

/// Everything that a bundle is rendered from.
#[derive(Clone, Default)]
pub struct Objects {
    /// Models.
    pub models: Vec<ModelDeployment>,
    /// Client keys.
    pub keys: Vec<VirtualKey>,
    /// Budgets.
    pub budgets: Vec<Budget>,
    /// Secrets that may be referred to, and those minted for keys. The caller leaves out what nobody may refer to.
    pub secrets: BTreeMap<ObjectRef, Secret>,
}

/// A Secret, decoded.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret {
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// Key to value.
    pub data: BTreeMap<String, Vec<u8>>,
    /// Why keys are absent and what to do about it (such as `set OPENAI_API_KEY`), for the problem's next step.
    pub absent: BTreeMap<String, String>,
    /// The `VirtualKey` that it was minted for; nothing else may refer to it.
    pub minted_for: Option<ObjectRef>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({:?}, ***)", self.data.keys().collect::<Vec<_>>())
    }
}

/// Label of Secrets that may be referred to: its value says for what.
pub const USE_LABEL: &str = "turnpike.dev/use";

/// The rules of the place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Where Turnpike runs and what platform teams may use for rules across namespaces.
    pub release_namespace: String,
    /// Namespaces whose models may be visible to all.
    pub cluster_model_namespaces: BTreeSet<String>,
    /// Whether and how strictly tenants are kept apart.
    pub mode: Mode,
}

/// Whose objects these are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// One person's folder: every namespace may do everything, Secrets need no label, own keys may be short.
    Standalone,
    /// A cluster with tenants.
    #[default]
    Cluster,
    /// A cluster whose Secrets need no label (`operator.requireSecretLabel=false`).
    SingleTenant,
}

impl Settings {
    /// For a folder of manifests.
    pub fn standalone() -> Self {
        Self { mode: Mode::Standalone, ..Self::default() }
    }

    /// Whether a namespace's models may be visible to all.
    pub(crate) fn allows_cluster_visibility(&self, namespace: &str) -> bool {
        self.mode == Mode::Standalone || self.cluster_model_namespaces.contains(namespace)
    }

    /// Whether a namespace's budgets may cover other namespaces.
    pub(crate) fn allows_other_namespaces(&self, namespace: &str) -> bool {
        self.mode == Mode::Standalone || self.release_namespace == namespace
    }

    /// Whether Secrets must be labelled to be referred to.
    pub(crate) fn requires_label(&self) -> bool {
        self.mode == Mode::Cluster
    }
}

/// Namespace (`default` where absent) and name of an object.
pub fn object_ref<K: Resource>(object: &K) -> ObjectRef {
    ObjectRef { namespace: object.namespace().unwrap_or_else(|| "default".to_owned()), name: object.name_any() }
}

/// `metadata.creationTimestamp`, seconds since the epoch; 0 where absent.
pub(crate) fn created<K: Resource>(object: &K) -> i64 {
    object.meta().creation_timestamp.as_ref().map_or(0, |time| time.0.as_second())
}

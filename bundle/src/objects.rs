//! What is compiled: the objects as their authors wrote them, and the rules of the place that they are in.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kube::{Resource, ResourceExt};
use turnpike_crds::{Budget, ModelDeployment, VirtualKey};

use crate::{canonical, entry::ObjectRef, layout};

/// Everything that a bundle is rendered from.
#[derive(Clone, Default)]
pub struct Objects {
    /// Models.
    pub models: Vec<Arc<ModelDeployment>>,
    /// Client keys.
    pub keys: Vec<Arc<VirtualKey>>,
    /// Budgets.
    pub budgets: Vec<Arc<Budget>>,
    /// Secrets that are referred to, and those minted for keys.
    pub secrets: BTreeMap<ObjectRef, Arc<Secret>>,
    /// Namespaces, each with the teams that its keys may claim (`None` = any). In a cluster, keys of a namespace that is
    /// not listed may claim none.
    pub namespaces: BTreeMap<String, Option<BTreeSet<String>>>,
    /// Services that are not of type `ExternalName`: models of their namespace reach private addresses by them.
    pub services: BTreeSet<ObjectRef>,
}

/// A Secret, decoded.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret {
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// Key to value.
    pub data: BTreeMap<String, Value>,
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

/// A value in a Secret, as much of it as its use needs.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// All of it: what is sent to a provider.
    Plain(Vec<u8>),
    /// What is enough to know a client's key again: a process that keeps only this has no key to lose.
    Digest(Digest),
}

/// What is known of a text once white space around it is cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// Lower-case hex.
    pub sha256: String,
    /// Bytes; 0 = there is no text, or it is not UTF-8.
    pub length: usize,
}

impl Value {
    /// Keeps the digest only.
    pub fn digested(bytes: &[u8]) -> Self {
        Self::Digest(Digest::of(bytes))
    }

    /// The digest, of a plain value too.
    pub fn digest(&self) -> Digest {
        match self {
            Self::Plain(bytes) => Digest::of(bytes),
            Self::Digest(digest) => digest.clone(),
        }
    }
}

impl Digest {
    fn of(bytes: &[u8]) -> Self {
        let text = text(bytes).unwrap_or_default();
        Self { sha256: canonical::sha256_hex(text.as_bytes()), length: text.len() }
    }
}

/// Without white space around it (files and `echo` put a line end there); `None` = not UTF-8 or nothing left.
pub(crate) fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().map(str::trim).filter(|text| !text.is_empty())
}

/// Label of Secrets that may be referred to: its value says for what.
pub const USE_LABEL: &str = "turnpike.dev/use";

/// The rules of the place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Where Turnpike runs and what platform teams may use for rules across namespaces.
    pub release_namespace: String,
    /// `--instance`: which names in the release namespace are Turnpike's own.
    pub instance: String,
    /// Names the cluster to AWS: the external id of an assumed role is `<cluster>/<namespace>`.
    pub cluster: String,
    /// Namespaces whose models may be visible to all.
    pub cluster_model_namespaces: BTreeSet<String>,
    /// Namespaces whose models may use the gateways' own cloud identity, or have them assume roles.
    pub ambient_identity_namespaces: BTreeSet<String>,
    /// Whether and how strictly tenants are kept apart.
    pub mode: Mode,
    /// What engines' `podOverlay` may touch (`--unsafe-pod-overlay`).
    pub pod_overlay: turnpike_engine::overlay::Rule,
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
        Self { mode: Mode::Standalone, cluster: "standalone".to_owned(), ..Self::default() }
    }

    /// Whether there is an operator that runs engines.
    pub(crate) fn runs_engines(&self) -> bool {
        self.mode != Mode::Standalone
    }

    /// Whether a namespace's models may be visible to all.
    pub(crate) fn allows_cluster_visibility(&self, namespace: &str) -> bool {
        self.mode == Mode::Standalone || self.cluster_model_namespaces.contains(namespace)
    }

    /// Whether a namespace's budgets may cover other namespaces.
    pub(crate) fn allows_other_namespaces(&self, namespace: &str) -> bool {
        self.mode == Mode::Standalone || self.release_namespace == namespace
    }

    /// Whether a namespace's models may use the gateways' own cloud identity.
    pub(crate) fn allows_ambient_identity(&self, namespace: &str) -> bool {
        self.mode == Mode::Standalone || self.ambient_identity_namespaces.contains(namespace)
    }

    /// Whether the operator or the chart made a Secret, so that nobody may refer to it.
    pub(crate) fn owns(&self, object: &ObjectRef, secret: &Secret) -> bool {
        let label = |name: &str| secret.labels.get(name).map_or("", String::as_str);
        let is_labelled = label("app.kubernetes.io/managed-by") == "turnpike-operator"
            || label("helm.sh/chart").starts_with("turnpike-")
            || label(USE_LABEL) == "minted";
        let is_named =
            object.namespace == self.release_namespace && layout::is_own_secret(&self.instance, &object.name);
        self.mode != Mode::Standalone && (is_labelled || is_named)
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

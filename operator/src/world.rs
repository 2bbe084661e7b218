//! What the operator has observed of the cluster: one immutable picture, replaced with every change.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kube::ResourceExt;
use turnpike_bundle::{Objects, Secret, entry::ObjectRef, problem::ObjectId};
use turnpike_crds::{Budget, ModelDeployment, VirtualKey};

/// One picture of the cluster. Cheap to clone.
#[derive(Clone, Default)]
pub struct World {
    /// Models of this instance, deleted ones included while they still exist.
    pub models: BTreeMap<ObjectRef, Arc<ModelDeployment>>,
    /// Keys of this instance, deleted ones included while they still exist.
    pub keys: BTreeMap<ObjectRef, Arc<VirtualKey>>,
    /// Budgets of this instance, deleted ones included while they still exist.
    pub budgets: BTreeMap<ObjectRef, Arc<Budget>>,
    /// Secrets that objects refer to or that were minted for keys; of keys only digests are kept.
    pub secrets: BTreeMap<ObjectRef, Arc<Secret>>,
    /// Namespaces that are watched.
    pub namespaces: BTreeMap<String, Namespace>,
    /// Services, by which models may reach private addresses of their own namespace.
    pub services: BTreeSet<ObjectRef>,
    /// Objects that cannot be read, with why; what was last read of them is still in the maps above.
    pub unreadable: BTreeMap<ObjectId, String>,
}

/// What matters of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Teams that its keys may claim; `None` = any.
    pub teams: Option<BTreeSet<String>>,
    /// It is being deleted: nothing may be created in it.
    pub terminating: bool,
}

impl World {
    /// What is published: an object that is being deleted serves no more.
    pub fn objects(&self) -> Objects {
        Objects {
            models: alive(&self.models),
            keys: alive(&self.keys),
            budgets: alive(&self.budgets),
            secrets: self.secrets.clone(),
            namespaces: self
                .namespaces
                .iter()
                .map(|(name, namespace)| (name.clone(), namespace.teams.clone()))
                .collect(),
            services: self.services.clone(),
        }
    }
}

fn alive<K: ResourceExt>(objects: &BTreeMap<ObjectRef, Arc<K>>) -> Vec<Arc<K>> {
    objects.values().filter(|object| object.meta().deletion_timestamp.is_none()).cloned().collect()
}

//! The picture of all engines, kept up to date from what watches and tasks tell: pure.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry};
use kube::{
    Resource, ResourceExt,
    core::{DynamicObject, TypeMeta},
    runtime::watcher::Event,
};
use serde::de::DeserializeOwned;
use turnpike_bundle::entry::ObjectRef;
use turnpike_engine::{Observed, names};

use crate::{
    engine::{kind::Kind, reports::Report},
    world::listing::Listing,
};

/// All engines as observed. What it holds is shared.
#[derive(Clone, Debug, Default)]
pub struct Engines {
    observed: BTreeMap<ObjectRef, Arc<Observed>>,
    children: BTreeMap<ObjectRef, BTreeMap<Kind, Arc<DynamicObject>>>,
    is_known: bool,
}

impl Engines {
    /// Whether everything has been looked at: what is missing here is missing in the cluster.
    pub fn is_known(&self) -> bool {
        self.is_known
    }

    /// What is seen of the engine of a `ModelDeployment`; `None` = nothing at all.
    pub fn get(&self, model: &ObjectRef) -> Option<&Arc<Observed>> {
        self.observed.get(model)
    }

    /// Every engine of which something is seen, whether or not its `ModelDeployment` still wants one.
    pub fn iter(&self) -> impl Iterator<Item = (&ObjectRef, &Arc<Observed>)> {
        self.observed.iter()
    }

    /// What was made for a model, as it lies there.
    pub fn children(&self, model: &ObjectRef) -> impl Iterator<Item = (Kind, &Arc<DynamicObject>)> {
        self.children.get(model).into_iter().flatten().map(|(kind, child)| (*kind, child))
    }

    /// Models for which something was made.
    pub fn made(&self) -> impl Iterator<Item = &ObjectRef> {
        self.children.keys()
    }
}

impl FromIterator<(ObjectRef, Observed)> for Engines {
    fn from_iter<I: IntoIterator<Item = (ObjectRef, Observed)>>(engines: I) -> Self {
        let engines = engines.into_iter().map(|(model, observed)| (model, Arc::new(observed)));
        Self { observed: engines.collect(), children: BTreeMap::new(), is_known: true }
    }
}

/// What a watch tells. Several watches can cover one kind, a namespace each: `usize` is which of them.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "taken apart at once, never kept")]
pub enum Seen {
    /// Of pods.
    Pod(usize, Event<Pod>),
    /// Of children.
    Child(usize, Kind, Event<DynamicObject>),
}

/// A child and the model that it was made for.
type Child = (ObjectRef, Arc<DynamicObject>);

/// Keeps the picture.
#[derive(Debug)]
pub struct Observer {
    engines: Engines,
    pods: Vec<Listing<(ObjectRef, Arc<Pod>)>>,
    children: BTreeMap<Kind, Vec<Listing<Child>>>,
    /// Whose each pod and each child is; pods are of no [`Kind`].
    owners: BTreeMap<(Option<Kind>, ObjectRef), ObjectRef>,
    has_changed: bool,
}

impl Observer {
    /// Knows nothing yet. `scopes`: how many watches cover each kind.
    pub fn new(kinds: Vec<Kind>, scopes: usize) -> Self {
        let listings = || std::iter::repeat_with(Listing::default).take(scopes).collect();
        Self {
            engines: Engines::default(),
            pods: std::iter::repeat_with(Listing::default).take(scopes).collect(),
            children: kinds.into_iter().map(|kind| (kind, listings())).collect(),
            owners: BTreeMap::new(),
            has_changed: false,
        }
    }

    /// Takes one event.
    pub fn observe(&mut self, seen: Seen) {
        match seen {
            Seen::Pod(scope, event) => {
                let Some(listing) = self.pods.get_mut(scope) else { return };
                for (name, change) in listing.take(event, keep_pod) {
                    self.pod(name, change);
                }
            }
            Seen::Child(scope, kind, event) => {
                let listing = self.children.get_mut(&kind).and_then(|listings| listings.get_mut(scope));
                let Some(listing) = listing else { return };
                for (name, change) in listing.take(event, |child| keep_child(kind, child)) {
                    self.child(kind, name, change);
                }
            }
        }
    }

    /// Takes what a task has found out. What it says of pods that are not there is too late.
    pub fn take(&mut self, model: &ObjectRef, report: Report) {
        self.change(model, |observed| match report {
            Report::Refused(why) => observed.refused = why,
            Report::Unscalable(why) => observed.unscalable = why,
            Report::Claims(claims) => observed.claims = claims,
            Report::Fetched(pod, percent) => match percent.filter(|_| is_there(observed, &pod)) {
                Some(percent) => drop(observed.fetched.insert(pod, percent)),
                None => drop(observed.fetched.remove(&pod)),
            },
            Report::Unmounted(pod, words) => match words.filter(|_| is_there(observed, &pod)) {
                Some(words) => drop(observed.unmounted.insert(pod, words)),
                None => drop(observed.unmounted.remove(&pod)),
            },
            Report::Adapters(pod, adapters) => match adapters.filter(|_| observed.pods.contains_key(&pod)) {
                Some(adapters) => drop(observed.adapters.insert(pod, adapters)),
                None => drop(observed.adapters.remove(&pod)),
            },
        });
    }

    /// The picture, if it is whole and differs from the last one.
    pub fn news(&mut self) -> Option<Arc<Engines>> {
        // A cluster may lack the kind that is last; engines need not wait for it.
        let mut needed = self.children.iter().filter(|(kind, _)| **kind != Kind::PodMonitor);
        let is_listed = self.pods.iter().all(Listing::is_listed)
            && needed.all(|(_, listings)| listings.iter().all(Listing::is_listed));
        if !self.engines.is_known && is_listed {
            self.engines.is_known = true;
            // That there are none is news, too.
            self.has_changed = true;
        }
        (self.engines.is_known && std::mem::take(&mut self.has_changed)).then(|| Arc::new(self.engines.clone()))
    }

    fn pod(&mut self, name: ObjectRef, change: Option<(ObjectRef, Arc<Pod>)>) {
        let (model, pod) = change.unzip();
        let before = self.hand_over((None, name.clone()), model.as_ref());
        if let Some(before) = before.filter(|before| Some(before) != model.as_ref()) {
            self.change(&before, |observed| forget(observed, &name.name));
        }
        if let (Some(model), Some(pod)) = (model, pod) {
            self.change(&model, |observed| {
                // A pod's name can be had again; what was found out about the one before is not true of this one.
                if pods_of(observed, &pod).get(&name.name).is_some_and(|known| known.uid() != pod.uid()) {
                    forget(observed, &name.name);
                }
                pods_of(observed, &pod).insert(name.name, pod);
            });
        }
    }

    fn child(&mut self, kind: Kind, name: ObjectRef, change: Option<Child>) {
        let (model, child) = change.unzip();
        let before = self.hand_over((Some(kind), name), model.as_ref());
        if let Some(before) = before.filter(|before| Some(before) != model.as_ref()) {
            self.put(kind, &before, None);
        }
        if let Some(model) = model {
            self.put(kind, &model, child);
        }
    }

    /// Notes whose something is now; returns whose it was.
    fn hand_over(&mut self, what: (Option<Kind>, ObjectRef), model: Option<&ObjectRef>) -> Option<ObjectRef> {
        match model {
            Some(model) => self.owners.insert(what, model.clone()),
            None => self.owners.remove(&what),
        }
    }

    fn put(&mut self, kind: Kind, model: &ObjectRef, child: Option<Arc<DynamicObject>>) {
        self.has_changed = true;
        match kind {
            Kind::Deployment => {
                let deployment = child.as_deref().and_then(typed);
                self.change(model, |observed| observed.deployment = deployment);
            }
            Kind::Claim => {
                let claim = child.as_deref().and_then(typed);
                self.change(model, |observed| observed.claim = claim);
            }
            Kind::Fetch => {
                let job = child.as_deref().and_then(typed);
                self.change(model, |observed| observed.fetch = job);
            }
            Kind::ServiceAccount | Kind::NetworkPolicy | Kind::Service | Kind::DisruptionBudget | Kind::PodMonitor => {}
        }
        let children = self.engines.children.entry(model.clone()).or_default();
        match child {
            Some(child) => children.insert(kind, child),
            None => children.remove(&kind),
        };
        if children.is_empty() {
            self.engines.children.remove(model);
        }
    }

    fn change(&mut self, model: &ObjectRef, change: impl FnOnce(&mut Observed)) {
        let known = self.engines.observed.get(model).cloned().unwrap_or_default();
        let mut observed = known.as_ref().clone();
        change(&mut observed);
        if observed == *known {
            return;
        }
        self.has_changed = true;
        if observed == Observed::default() {
            self.engines.observed.remove(model);
        } else {
            self.engines.observed.insert(model.clone(), Arc::new(observed));
        }
    }
}

/// Those that it is one of.
fn pods_of<'a>(observed: &'a mut Observed, pod: &Pod) -> &'a mut BTreeMap<String, Arc<Pod>> {
    let is_fetcher =
        pod.labels().get(names::COMPONENT_LABEL).is_some_and(|component| component == names::FETCH_COMPONENT);
    if is_fetcher { &mut observed.fetchers } else { &mut observed.pods }
}

fn is_there(observed: &Observed, pod: &str) -> bool {
    observed.pods.contains_key(pod) || observed.fetchers.contains_key(pod)
}

fn forget(observed: &mut Observed, pod: &str) {
    observed.pods.remove(pod);
    observed.fetchers.remove(pod);
    observed.fetched.remove(pod);
    observed.unmounted.remove(pod);
    observed.adapters.remove(pod);
}

fn keep_pod(mut pod: Pod) -> Option<(ObjectRef, Arc<Pod>)> {
    pod.metadata.managed_fields = None;
    let model = model(&pod)?;
    Some((model, Arc::new(pod)))
}

/// `None` = somebody else's: it is labelled as ours and has another name.
fn keep_child(kind: Kind, mut child: DynamicObject) -> Option<Child> {
    // Whose a Deployment's replicas are decides whether they may be left out; of that only what was applied matters.
    let applied = |entry: &ManagedFieldsEntry| kind == Kind::Deployment && entry.operation.as_deref() == Some("Apply");
    child.managed_fields_mut().retain(applied);
    let resource = kind.resource();
    // In lists they are left out.
    child.types = Some(TypeMeta { api_version: resource.api_version, kind: resource.kind });
    let model = model(&child)?;
    (child.name_any() == kind.name(&model.name)).then(|| (model, Arc::new(child)))
}

fn model<K: Resource>(object: &K) -> Option<ObjectRef> {
    let name = object.labels().get(names::MODEL_LABEL)?.clone();
    Some(ObjectRef { namespace: object.namespace()?, name })
}

/// What the apiserver gives is of its kind; a field that cannot be read would be news of a later Kubernetes.
fn typed<K: DeserializeOwned>(child: &DynamicObject) -> Option<Arc<K>> {
    let read = serde_json::to_value(child).and_then(serde_json::from_value::<K>);
    if let Err(error) = &read {
        let (namespace, name) = (child.namespace(), child.name_any());
        tracing::warn!(?namespace, name, %error, "a part of an engine cannot be read");
    }
    read.ok().map(Arc::new)
}

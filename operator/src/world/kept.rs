//! What is kept of objects, and whose they are.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use kube::{Resource, ResourceExt, core::ObjectMeta};
use turnpike_crds::VirtualKey;

use crate::{
    names::{DEFAULT_INSTANCE, INSTANCE_LABEL, TEAMS_ANNOTATION, finalizer},
    world::{
        Namespace,
        guard::{Guard, Unreadable},
    },
};

/// What `kubectl apply` leaves behind: the manifest once more, of a Secret with all its values.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// An object of ours, or that it cannot be read.
pub(super) type Read<K> = Result<Arc<K>, Box<Unreadable>>;

/// An object without what only costs memory; `None` = it belongs to another instance.
pub(super) fn resource<K: Resource>(instance: &str, mut guard: Guard<K>) -> Option<Read<K>> {
    strip(guard.meta_mut());
    let owner = guard.labels().get(INSTANCE_LABEL).map_or(DEFAULT_INSTANCE, String::as_str);
    (owner == instance).then(|| guard.0.map(Arc::new))
}

/// A key that matters to this instance.
#[derive(Clone, Debug)]
pub(super) enum Key {
    /// Its own.
    Ours(Read<VirtualKey>),
    /// Another's that carries this one's finalizer.
    GivenAway(Arc<ObjectMeta>),
}

/// As [`resource`], of keys; those of others are kept only while they carry our finalizer.
pub(super) fn key(instance: &str, guard: Guard<VirtualKey>) -> Option<Key> {
    let finalizer = finalizer(instance);
    let is_held = guard.finalizers().contains(&finalizer);
    let metadata = is_held.then(|| guard.meta().clone());
    match resource(instance, guard) {
        Some(ours) => Some(Key::Ours(ours)),
        None => metadata.map(|mut metadata| {
            strip(&mut metadata);
            Key::GivenAway(Arc::new(metadata))
        }),
    }
}

fn strip(metadata: &mut ObjectMeta) {
    metadata.managed_fields = None;
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(LAST_APPLIED);
    }
}

/// What matters of a namespace.
pub(super) fn namespace(metadata: &ObjectMeta) -> Namespace {
    let teams = metadata.annotations.as_ref().and_then(|annotations| annotations.get(TEAMS_ANNOTATION));
    let list = |text: &String| {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        names.map(str::to_owned).collect()
    };
    Namespace { teams: teams.map(list), terminating: metadata.deletion_timestamp.is_some() }
}

/// Whether a Service opens the addresses behind it; one of type `ExternalName` is somebody else's name.
pub(super) fn opens(service: &Service) -> bool {
    service.spec.as_ref().is_none_or(|spec| spec.type_.as_deref() != Some("ExternalName"))
}

/// What stays of an object that cannot be read: its last good version, with what decides its end as it now is. Of one
/// that was never good only that it is being deleted, so that somebody ends it.
pub(super) fn last_good<K: Resource + Clone + Default>(good: Option<&K>, metadata: ObjectMeta) -> Option<K> {
    match good.filter(|good| good.meta().uid == metadata.uid) {
        Some(good) => {
            let mut good = good.clone();
            let meta = good.meta_mut();
            meta.deletion_timestamp = metadata.deletion_timestamp;
            meta.finalizers = metadata.finalizers;
            meta.annotations = metadata.annotations;
            meta.labels = metadata.labels;
            meta.resource_version = metadata.resource_version;
            Some(good)
        }
        None if metadata.deletion_timestamp.is_some() => {
            let mut ending = K::default();
            *ending.meta_mut() = metadata;
            Some(ending)
        }
        None => None,
    }
}

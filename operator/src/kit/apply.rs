//! Server-side apply as the operator does it: one field manager, forced, counted; and what marks an object as ours.

use std::fmt::Debug;

use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
    core::NamespaceResourceScope,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use tokio::time::Instant;

use crate::{
    context::Context,
    kit::backoff::Failure,
    metrics::{Outcome, Verb},
    names::{INSTANCE_LABEL, MANAGED_BY, MANAGED_BY_LABEL, Names},
};

/// What [`apply`] and its neighbours work on: a namespaced type known at compile time.
pub trait Namespaced:
    Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned
{
}

impl<K> Namespaced for K where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned
{
}

/// Applies the fields that `object` sets, taking them over from whoever had them. With `metadata.resourceVersion` set the
/// write fails with a conflict if the object has changed since.
///
/// # Errors
/// What the apiserver answered.
pub async fn apply<K: Namespaced>(context: &Context, object: &K) -> kube::Result<K> {
    let api = Api::<K>::namespaced(context.client.clone(), &namespace(object));
    let name = object.name_any();
    let params = params(&context.names);
    counted::<K, _>(context, Verb::Apply, api.patch(&name, &params, &Patch::Apply(object))).await
}

/// Applies a whole status, and nothing else, of `object`: the one with its uid if it has one, never a later one of its name.
///
/// # Errors
/// What the apiserver answered.
pub async fn apply_status<K: Namespaced, S: Serialize>(context: &Context, object: &K, status: &S) -> kube::Result<K> {
    let api = Api::<K>::namespaced(context.client.clone(), &namespace(object));
    let name = object.name_any();
    let mut metadata = json!({ "name": name });
    if let (Some(uid), Some(fields)) = (object.uid(), metadata.as_object_mut()) {
        fields.insert("uid".to_owned(), json!(uid));
    }
    let patch = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": metadata,
        "status": status,
    });
    let params = params(&context.names);
    counted::<K, _>(context, Verb::ApplyStatus, api.patch_status(&name, &params, &Patch::Apply(&patch))).await
}

/// Awaits a write of a `K` and counts it.
///
/// # Errors
/// Those of the write.
pub async fn counted<K: Resource<DynamicType = ()>, T>(
    context: &Context,
    verb: Verb,
    write: impl Future<Output = kube::Result<T>>,
) -> kube::Result<T> {
    counted_as(context, &K::kind(&()), verb, write).await
}

/// As [`counted`], of a kind that is known only when it is written. `kind` is one of the code's own.
///
/// # Errors
/// Those of the write.
pub async fn counted_as<T>(
    context: &Context,
    kind: &str,
    verb: Verb,
    write: impl Future<Output = kube::Result<T>>,
) -> kube::Result<T> {
    let start = Instant::now();
    let result = write.await;
    let outcome = match result.as_ref().map_err(Failure::of) {
        Ok(_) => Outcome::Ok,
        Err(Failure::Conflict) => Outcome::Conflict,
        Err(Failure::Error) => Outcome::Error,
    };
    context.metrics.write(kind, verb, outcome, start.elapsed());
    result
}

/// Marks an object of the release namespace as ours: labels, and the root ConfigMap as its owner.
pub fn stamp<K: Resource>(context: &Context, object: &mut K) {
    label(&context.names, object);
    object.meta_mut().owner_references = context.root.clone().map(|root| vec![root]);
}

/// Sets the labels that every object made by the operator carries; others stay.
pub fn label<K: Resource>(names: &Names, object: &mut K) {
    let labels = object.meta_mut().labels.get_or_insert_default();
    labels.insert(MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned());
    labels.insert(INSTANCE_LABEL.to_owned(), names.instance.clone());
}

fn params(names: &Names) -> PatchParams {
    PatchParams::apply(&names.field_manager()).force()
}

fn namespace<K: Resource>(object: &K) -> String {
    object.namespace().unwrap_or_else(|| "default".to_owned())
}

/// The namespace is being deleted, so nothing can be created in it.
pub fn is_terminating(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    status.code == 403 && causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}

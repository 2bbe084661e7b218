//! Reads and writes the bundle's objects, one at a time.

use k8s_openapi::api::core::v1::{ConfigMap, ObjectReference, Secret};
use kube::{
    Api,
    api::{DeleteParams, PostParams, Preconditions},
};

use crate::{
    context::Context,
    kit::apply::{Namespaced, apply, counted},
    metrics::Verb,
    publish::{
        parts::{Part, Stamp, is_secret},
        plan::Lying,
    },
};

/// The bundle's objects in the cluster.
#[derive(Clone)]
pub struct Store {
    context: Context,
    stamp: Stamp,
}

impl Store {
    /// Works with what the context says.
    pub fn new(context: Context) -> Self {
        let stamp = Stamp { names: (*context.names).clone(), root: context.root.clone() };
        Self { context, stamp }
    }

    /// The part's object; `None` = it does not exist.
    ///
    /// # Errors
    /// What the apiserver answered.
    pub async fn read(&self, part: &str) -> kube::Result<Option<Part>> {
        let name = self.stamp.names.bundle_object(part);
        if is_secret(part) {
            return Ok(self.api::<Secret>().get_opt(&name).await?.map(Part::Secret));
        }
        Ok(self.api::<ConfigMap>().get_opt(&name).await?.map(Part::Public))
    }

    /// What the plan needs to know of a part's object.
    pub fn lying(&self, part: &str, object: &Part) -> Lying {
        object.lying(part, &self.stamp)
    }

    /// Writes a part over what was last seen of it; `None` = nothing. Fails with a conflict if that is not so any more.
    ///
    /// # Errors
    /// What the apiserver answered.
    pub async fn write(&self, part: &str, bytes: &[u8], seen: Option<&Lying>) -> kube::Result<Lying> {
        let object = self.stamp.part(part, bytes, seen.map(|lying| lying.resource_version.clone()));
        let written = match &object {
            Part::Public(object) => self.put(object, seen).await.map(Part::Public),
            Part::Secret(object) => self.put(object, seen).await.map(Part::Secret),
        };
        if let (Err(kube::Error::Api(status)), Some(seen)) = (&written, seen)
            && status.is_invalid()
        {
            // Somebody made it immutable: it can only be made anew, which the next try does.
            self.delete(part, seen).await?;
        }
        Ok(self.lying(part, &written?))
    }

    async fn put<K: Namespaced>(&self, object: &K, seen: Option<&Lying>) -> kube::Result<K> {
        if seen.is_some() {
            return apply(&self.context, object).await;
        }
        let params = PostParams { field_manager: Some(self.stamp.names.field_manager()), ..PostParams::default() };
        counted::<K, _>(&self.context, Verb::Create, self.api::<K>().create(&params, object)).await
    }

    /// Deletes a part's object as it was seen. One that is gone is fine.
    ///
    /// # Errors
    /// What the apiserver answered.
    pub async fn delete(&self, part: &str, seen: &Lying) -> kube::Result<()> {
        if is_secret(part) {
            return self.remove::<Secret>(part, seen).await;
        }
        self.remove::<ConfigMap>(part, seen).await
    }

    async fn remove<K: Namespaced>(&self, part: &str, seen: &Lying) -> kube::Result<()> {
        let preconditions =
            Preconditions { uid: Some(seen.uid.clone()), resource_version: Some(seen.resource_version.clone()) };
        let params = DeleteParams::default().preconditions(preconditions);
        let name = self.stamp.names.bundle_object(part);
        let api = self.api::<K>();
        match counted::<K, _>(&self.context, Verb::Delete, api.delete(&name, &params)).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// A part's object, for an event.
    pub fn reference(&self, part: &str, seen: Option<&Lying>) -> ObjectReference {
        ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("ConfigMap".to_owned()),
            name: Some(self.stamp.names.bundle_object(part)),
            namespace: Some(self.stamp.names.release_namespace.clone()),
            uid: seen.map(|seen| seen.uid.clone()),
            ..ObjectReference::default()
        }
    }

    fn api<K: Namespaced>(&self) -> Api<K> {
        Api::namespaced(self.context.client.clone(), &self.stamp.names.release_namespace)
    }
}

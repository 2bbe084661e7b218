//! Whose a thing is that was made for an object.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};

/// Whose a thing is, seen from one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This very object's.
    This,
    /// An earlier object's of the same name; the garbage collector is about to delete it.
    Predecessor,
    /// Somebody else's, or nobody's.
    Other,
}

/// Whose `thing` is. Only the uid counts: a name can be had again.
pub fn owner<T: Resource, K: Resource<DynamicType = ()>>(thing: &T, object: &K) -> Owner {
    let ours = |owner: &&OwnerReference| {
        owner.controller == Some(true)
            && owner.kind == K::kind(&())
            && owner.api_version.starts_with(&format!("{}/", turnpike_crds::GROUP))
    };
    match thing.owner_references().iter().find(ours) {
        Some(owner) if object.uid().is_some_and(|uid| uid == owner.uid) => Owner::This,
        Some(owner) if owner.name == object.name_any() => Owner::Predecessor,
        _ => Owner::Other,
    }
}

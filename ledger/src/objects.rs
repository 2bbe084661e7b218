//! Resources that were made over the admin API: kept as text, beside the books that their limits are in.

/// One resource.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct StoredObject {
    /// As in manifests, such as `VirtualKey`.
    pub kind: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// The whole resource as JSON.
    pub object: String,
}

/// What is to become of resources; all of it or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewrite {
    /// Written, in place of what has the same kind, namespace and name.
    pub put: Vec<StoredObject>,
    /// Kind, namespace and name of what is removed.
    pub delete: Vec<[String; 3]>,
}

//! Where the bundle lies: objects in the release namespace, files in a gateway's volume.
//!
//! ```text
//!  ConfigMap turnpike-bundle-manifest     data: manifest      ─▶ /bundle/manifest
//!  ConfigMap turnpike-bundle-models-00    data: models-00     ─▶ /bundle/models-00
//!  Secret    turnpike-bundle-keys-00      data: keys-00       ─▶ /bundle/keys-00
//!  ConfigMap turnpike-bundle-endpoints-00 data: endpoints-00  ─▶ /bundle/endpoints-00    from format 2 on
//!  Secret    turnpike-gateway-auth        data: token, …      ─▶ /auth/token
//! ```

use crate::manifest::Kind;

/// The manifest's part, file and data key.
pub const MANIFEST: &str = "manifest";

/// Data key and file: the bearer token that the internal listener accepts.
pub const TOKEN: &str = "token";
/// Data key and file: the token before the last rotation, accepted as well while it is there.
pub const PREVIOUS_TOKEN: &str = "previous-token";
/// Data key and file: lower-case hex sha256 of the admin key.
pub const ADMIN_SHA256: &str = "admin-sha256";

/// Name of the `ConfigMap` or Secret that holds a part; its one data key is the part itself.
pub fn object_name(instance: &str, part: &str) -> String {
    format!("{instance}-bundle-{part}")
}

/// Name of the Secret that gateways mount: [`TOKEN`] and its neighbours.
pub fn gateway_secret(instance: &str) -> String {
    format!("{instance}-gateway-auth")
}

/// Name of the Secret with the admin key itself, under `key`.
pub fn admin_secret(instance: &str) -> String {
    format!("{instance}-admin")
}

/// Whether the operator of an instance keeps a Secret of this name in the release namespace.
pub(crate) fn is_own_secret(instance: &str, name: &str) -> bool {
    name.starts_with(&object_name(instance, "")) || name == gateway_secret(instance) || name == admin_secret(instance)
}

/// Every part that there can be, with whether it lies in a Secret: what a gateway's volume lists.
pub fn parts() -> impl Iterator<Item = (String, bool)> {
    let shards = Kind::ALL
        .into_iter()
        .flat_map(|kind| (0..kind.max_shards()).map(move |number| (kind.shard_name(number), kind.is_secret())));
    std::iter::once((MANIFEST.to_owned(), false)).chain(shards)
}

//! References from one object to another. All stay within the object's own namespace, so none has a namespace field.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Names that Kubernetes takes for Secrets and PersistentVolumeClaims, as a pattern: DNS subdomains, but for dots side by side.
pub(crate) const OBJECT_NAME: &str = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$";

/// One key of a Secret in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct SecretKeyRef {
    /// Name of a Secret in the same namespace. In a cluster it must carry the label `turnpike.dev/use`.
    #[schemars(length(min = 1, max = 253), extend("pattern" = OBJECT_NAME))]
    pub name: String,
    /// Key within the Secret's data.
    #[schemars(length(min = 1, max = 253), extend("pattern" = "^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

/// A confidential value, given only by reference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretValue {
    /// Where the value is kept.
    pub secret_ref: SecretKeyRef,
}

/// A `ModelDeployment` in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct ModelRef {
    /// `metadata.name` of a ModelDeployment in the same namespace (not its `modelName`).
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
}

/// A `Budget` in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct BudgetRef {
    /// `metadata.name` of a Budget in the same namespace.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
}

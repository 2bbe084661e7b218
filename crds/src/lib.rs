//! The three resources that users write, as Rust types: `ModelDeployment`, `VirtualKey` and `Budget`
//! (`turnpike.dev/v1alpha1`), with their validation rules, printer columns and generated CRDs.
//!
//! The types only describe; what the fields do is decided in `bundle` (compilation), `gateway` and the operator.
//! `make generate` writes the CRDs to `charts/turnpike/crds` with the binary `crdgen`.

#![expect(clippy::doc_markdown, reason = "doc comments become descriptions, which kubectl explain shows as plain text")]
#![expect(unreachable_pub, reason = "KubeSchema copies each public struct into a function body")]

pub mod budget;
pub mod condition;
pub mod duration;
pub mod model_deployment;
pub mod money;
pub mod names;
pub mod reference;
pub mod render;
pub mod rotation;
mod schema;
pub mod unknown;
pub mod violation;
pub mod virtual_key;
pub mod window;

pub use budget::{Budget, BudgetSpec};
pub use condition::{ConditionType, Programmed, Reason, Truth};
pub use duration::{DurationError, DurationString};
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time};
pub use model_deployment::{ModelDeployment, ModelDeploymentSpec};
pub use money::{MoneyError, NanoUsd, PriceString, UsdString};
pub use names::{KeyHash, KeyId, ModelPattern, NameError};
pub use reference::{BudgetRef, ModelRef, SecretKeyRef, SecretValue};
pub use render::all;
pub use rotation::{RotationError, Schedule};
pub use unknown::unknown_fields;
pub use violation::{Violation, violations};
pub use virtual_key::{VirtualKey, VirtualKeySpec};

/// API group of all three resources.
pub const GROUP: &str = "turnpike.dev";

/// API version of all three resources.
pub const VERSION: &str = "v1alpha1";

/// `apiVersion` as it stands in manifests: group and version.
pub const API_VERSION: &str = "turnpike.dev/v1alpha1";

/// Version of the CRDs' schema, raised with every change of it; an operator refuses to lead on an older one.
pub const CRD_VERSION: &str = "1";

/// Annotation on the CRDs that holds [`CRD_VERSION`].
pub const CRD_VERSION_ANNOTATION: &str = "turnpike.dev/crd-version";

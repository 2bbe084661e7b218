//! What an engine is made of: the kinds of its children, listed once.

use k8s_openapi::api::{
    apps::v1::Deployment,
    batch::v1::Job,
    core::v1::{PersistentVolumeClaim, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use kube::core::ApiResource;
use turnpike_engine::{children::pod_monitor_kind, names};

/// A kind of child, in the order in which they are written: what pods need comes before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `ServiceAccount` of the pods, without rights.
    ServiceAccount,
    /// `NetworkPolicy`: before there is anything to protect.
    NetworkPolicy,
    /// `PersistentVolumeClaim` of the cache.
    Claim,
    /// Headless `Service`.
    Service,
    /// `Job` that fills the cache.
    Fetch,
    /// `Deployment`.
    Deployment,
    /// `PodDisruptionBudget`.
    DisruptionBudget,
    /// Prometheus' `PodMonitor`; not every cluster knows it.
    PodMonitor,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::ServiceAccount,
        Self::NetworkPolicy,
        Self::Claim,
        Self::Service,
        Self::Fetch,
        Self::Deployment,
        Self::DisruptionBudget,
        Self::PodMonitor,
    ];

    /// What a model's child of this kind is called.
    pub fn name(self, model: &str) -> String {
        if self == Self::Fetch { names::fetch(model) } else { names::child(model) }
    }

    /// How the apiserver is asked for it.
    pub fn resource(self) -> ApiResource {
        match self {
            Self::ServiceAccount => ApiResource::erase::<ServiceAccount>(&()),
            Self::NetworkPolicy => ApiResource::erase::<NetworkPolicy>(&()),
            Self::Claim => ApiResource::erase::<PersistentVolumeClaim>(&()),
            Self::Service => ApiResource::erase::<Service>(&()),
            Self::Fetch => ApiResource::erase::<Job>(&()),
            Self::Deployment => ApiResource::erase::<Deployment>(&()),
            Self::DisruptionBudget => ApiResource::erase::<PodDisruptionBudget>(&()),
            Self::PodMonitor => pod_monitor_kind(),
        }
    }
}

//! What an engine is made of in the cluster: a [`ModelDeployment`] with `spec.vllm` → the objects that the operator applies.
//!
//! ```text
//!  pod       Deployment ─ pod template ─ [fetch] → engine        source  where the model's files come from
//!  fetch     Job ─ [fetch], for a cache that outlives pods
//!  network   headless Service, NetworkPolicy, PodMonitor         volume  caches, shared memory, the cache's claim
//! ```
//! The same input gives the same objects: nothing here changes from one apply to the next by itself.

mod deployment;
mod fetch;
mod network;
mod pod;
mod source;
mod volume;

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        batch::v1::Job,
        core::v1::{LocalObjectReference, PersistentVolumeClaim, PodTemplateSpec, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta},
};
use kube::{Resource, core::DynamicObject};
use turnpike_crds::{ModelDeployment, duration::DurationString, model_deployment::Vllm};

use crate::{Settings, names};
pub use network::pod_monitor_kind;
pub use source::{lora_path, named_claims};
pub(crate) use {
    source::{MODELS_VOLUME, is_file, path},
    volume::{CACHE, PLACES},
};

/// How long a replica may take to start where the spec does not say.
pub(crate) const STARTUP: Duration = Duration::from_mins(30);

/// Everything that is made for one engine, beside its key's Secret.
#[derive(Clone, Debug, PartialEq)]
pub struct Children {
    /// Whom the pods run as: an account of their own, without rights and without token.
    pub service_account: ServiceAccount,
    /// The engines. Without `replicas` where demand sets them.
    pub deployment: Deployment,
    /// Headless: gateways look up the pods' addresses by its name.
    pub service: Service,
    /// The cache, where one is to be made.
    pub claim: Option<PersistentVolumeClaim>,
    /// Fills the cache, where it outlives pods and something is to be fetched.
    pub fetch: Option<Job>,
    /// Lets nodes be drained of one replica after the other.
    pub disruption_budget: PodDisruptionBudget,
    /// Who may call the engines.
    pub network_policy: NetworkPolicy,
    /// How Prometheus finds the engines' metrics, where wanted; of kind [`pod_monitor_kind`].
    pub pod_monitor: Option<DynamicObject>,
}

/// `None` for a model that is no engine. The spec has passed `check` without a problem.
pub fn children(model: &ModelDeployment, settings: &Settings) -> Option<Children> {
    let spec = model.spec.vllm.as_ref()?;
    let engine = Engine { model, spec, settings };
    Some(Children {
        service_account: ServiceAccount {
            metadata: engine.metadata(),
            automount_service_account_token: Some(false),
            image_pull_secrets: pull_secrets(settings),
            ..ServiceAccount::default()
        },
        deployment: deployment::deployment(engine),
        service: network::service(engine),
        claim: volume::claim(engine),
        fetch: fetch::job(engine),
        disruption_budget: deployment::disruption_budget(engine),
        network_policy: network::policy(engine),
        pod_monitor: settings.pod_monitor.then(|| network::pod_monitor(engine)),
    })
}

/// Pods get them from their account.
fn pull_secrets(settings: &Settings) -> Option<Vec<LocalObjectReference>> {
    let named = settings.image_pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() });
    (!settings.image_pull_secrets.is_empty()).then(|| named.collect())
}

/// The pods' template alone, with default settings; `None` for a model that is no engine.
pub(crate) fn template(model: &ModelDeployment) -> Option<PodTemplateSpec> {
    let spec = model.spec.vllm.as_ref()?;
    Some(pod::template(Engine { model, spec, settings: &Settings::default() }))
}

/// What every part is made from.
#[derive(Clone, Copy)]
struct Engine<'a> {
    model: &'a ModelDeployment,
    spec: &'a Vllm,
    settings: &'a Settings,
}

impl Engine<'_> {
    fn name(self) -> String {
        names::child(self.own_name())
    }

    fn own_name(&self) -> &str {
        self.model.metadata.name.as_deref().unwrap_or_default()
    }

    /// Nothing of the owner's labels and annotations: deployment tools would take the children for their own.
    fn metadata(self) -> ObjectMeta {
        ObjectMeta {
            name: Some(self.name()),
            namespace: self.model.metadata.namespace.clone(),
            labels: Some(self.labels()),
            owner_references: self.model.controller_owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        }
    }

    fn labels(self) -> BTreeMap<String, String> {
        let mut labels = names::selector(self.own_name());
        labels.extend(
            [
                ("app.kubernetes.io/name", "turnpike"),
                ("app.kubernetes.io/managed-by", "turnpike-operator"),
                ("turnpike.dev/instance", &self.settings.instance),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
        );
        labels
    }

    fn selector(self) -> LabelSelector {
        LabelSelector { match_labels: Some(names::selector(self.own_name())), ..LabelSelector::default() }
    }

    /// How long a replica may take from its first container to its first answer, seconds.
    fn startup_seconds(self) -> i32 {
        seconds(self.spec.startup_timeout.as_ref(), STARTUP)
    }
}

/// At most what the API has room for.
fn seconds(given: Option<&DurationString>, default: Duration) -> i32 {
    let wanted = given.and_then(|given| given.parse().ok()).unwrap_or(default);
    i32::try_from(wanted.as_secs()).unwrap_or(i32::MAX)
}

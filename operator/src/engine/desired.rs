//! The children that a model is to have, as they are sent to the apiserver.

use std::collections::BTreeMap;

use kube::{ResourceExt, core::DynamicObject};
use serde::Serialize;
use serde_json::{Value, json};
use turnpike_bundle::sha256_hex;
use turnpike_crds::ModelDeployment;
use turnpike_engine::{Settings, children::children};

use crate::engine::kind::Kind;

/// Annotation of engines' pods: the digest of the credential by which gateways know the engine's key. A new key thereby
/// reaches the engines, which read it only when they start.
pub const KEY_ANNOTATION: &str = "turnpike.dev/engine-key";

/// Annotation of the Job that fills the cache: the digest of its pods' template. A Job's template cannot be changed, so one of
/// another digest is deleted and made anew.
pub const FETCH_ANNOTATION: &str = "turnpike.dev/fetch";

/// The children by kind; none for a model that is no engine. `credential`: digest of what gateways call it with.
///
/// # Errors
/// A child cannot be written as JSON: a bug.
pub fn desired(
    model: &ModelDeployment,
    settings: &Settings,
    credential: Option<&str>,
) -> serde_json::Result<BTreeMap<Kind, DynamicObject>> {
    let Some(children) = children(model, settings) else { return Ok(BTreeMap::new()) };
    let mut deployment = children.deployment;
    if let (Some(spec), Some(digest)) = (&mut deployment.spec, credential) {
        let metadata = spec.template.metadata.get_or_insert_default();
        let annotations = metadata.annotations.get_or_insert_default();
        annotations.insert(KEY_ANNOTATION.to_owned(), digest.to_owned());
    }
    let mut desired = BTreeMap::from([
        (Kind::ServiceAccount, dynamic(&children.service_account)?),
        (Kind::NetworkPolicy, dynamic(&children.network_policy)?),
        (Kind::Service, dynamic(&children.service)?),
        (Kind::Deployment, dynamic(&deployment)?),
        (Kind::DisruptionBudget, dynamic(&children.disruption_budget)?),
    ]);
    if let Some(claim) = &children.claim {
        desired.insert(Kind::Claim, dynamic(claim)?);
    }
    if let Some(mut job) = children.fetch {
        let digest = sha256_hex(&serde_json::to_vec(&job.spec)?);
        job.metadata.annotations.get_or_insert_default().insert(FETCH_ANNOTATION.to_owned(), digest);
        desired.insert(Kind::Fetch, dynamic(&job)?);
    }
    if let Some(monitor) = children.pod_monitor {
        desired.insert(Kind::PodMonitor, monitor);
    }
    Ok(desired)
}

fn dynamic<K: Serialize>(child: &K) -> serde_json::Result<DynamicObject> {
    serde_json::from_value(serde_json::to_value(child)?)
}

/// The Deployment with so many replicas.
#[must_use]
pub fn with_replicas(mut deployment: DynamicObject, replicas: i32) -> DynamicObject {
    if let Some(Value::Object(spec)) = deployment.data.get_mut("spec") {
        spec.insert("replicas".to_owned(), json!(replicas));
    }
    deployment
}

/// Of a Deployment as it lies there, only its replicas: to be applied by who sets them by demand.
#[must_use]
pub fn replicas_alone(deployment: &DynamicObject, replicas: i32) -> DynamicObject {
    let mut alone =
        DynamicObject { types: deployment.types.clone(), ..DynamicObject::new("", &Kind::Deployment.resource()) };
    alone.metadata.name = Some(deployment.name_any());
    alone.metadata.namespace = deployment.namespace();
    alone.metadata.uid = deployment.uid();
    alone.data = json!({ "spec": { "replicas": replicas } });
    alone
}

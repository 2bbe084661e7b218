//! The Deployment and what guards its replicas against drains.

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
        policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    },
    apimachinery::pkg::util::intstr::IntOrString,
};
use turnpike_crds::model_deployment::engine::Rollout;

use super::{Engine, pod};

/// A rollout that has not gone on for so long after a replica should have started is stuck, seconds.
const PROGRESS_MARGIN: i32 = 600;
/// Former pod templates that are kept for `kubectl rollout undo`, which the operator would undo in turn.
const HISTORY: i32 = 2;

pub(super) fn deployment(engine: Engine<'_>) -> Deployment {
    // With scarce GPUs a new replica can only start where an old one has gone.
    let (surge, unavailable) = match engine.spec.rollout {
        Rollout::Recreate => (0, 1),
        Rollout::Surge => (1, 0),
    };
    Deployment {
        metadata: engine.metadata(),
        spec: Some(DeploymentSpec {
            replicas: engine.spec.autoscaling.is_none().then_some(engine.spec.replicas),
            revision_history_limit: Some(HISTORY),
            progress_deadline_seconds: Some(engine.startup_seconds().saturating_add(PROGRESS_MARGIN)),
            selector: engine.selector(),
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(surge)),
                    max_unavailable: Some(IntOrString::Int(unavailable)),
                }),
            }),
            template: pod::template(engine),
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}

/// Engines that are not ready do not keep a node from being drained.
pub(super) fn disruption_budget(engine: Engine<'_>) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: engine.metadata(),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(engine.selector()),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}

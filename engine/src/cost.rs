//! What engines cost, whether anybody asks them or not: the GPUs that their pods hold, over time. What requests are charged is
//! counted elsewhere, by the gateways; the rest is idle.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use turnpike_crds::ModelDeployment;

use crate::Observed;

const NANOS_PER_HOUR: i128 = 3_600_000_000_000;

/// nano-USD an hour of the GPUs that the engine's pods hold now; `None` = no engine, or no `gpuHour`.
pub fn per_hour(model: &ModelDeployment, observed: &Observed) -> Option<i64> {
    let engine = model.spec.vllm.as_ref()?;
    let gpu_hour = model.spec.price.as_ref()?.gpu_hour.as_ref()?.nano().ok()?.0;
    let pods = observed.pods.values().filter(|pod| holds(pod)).count();
    let gpus = i64::from(engine.gpu.count.max(0)).saturating_mul(i64::try_from(pods).unwrap_or(i64::MAX));
    Some(gpu_hour.saturating_mul(gpus))
}

/// nano-USD of so long at so much an hour.
pub fn of(per_hour: i64, lasted: Duration) -> i64 {
    let nanos = i128::try_from(lasted.as_nanos()).unwrap_or(i128::MAX);
    let cost = i128::from(per_hour).saturating_mul(nanos).div_euclid(NANOS_PER_HOUR);
    i64::try_from(cost).unwrap_or(i64::MAX)
}

/// From when it has a node until it has ended: also while it loads, and while it terminates.
fn holds(pod: &Pod) -> bool {
    let is_bound = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    is_bound && !matches!(phase, Some("Succeeded" | "Failed"))
}

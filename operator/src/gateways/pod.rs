//! What a Pod says of its gateway. Decisions only.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::Pod;
use turnpike_engine::state::is_ready;

use crate::gateways::Gateway;

/// The container that is the gateway. A pod without it counts whole: any of its containers may be.
const CONTAINER: &str = "gateway";

/// The gateway of a pod, without a report; `None` = the pod has no name or uid, so the apiserver has not made it.
pub fn gateway(pod: &Pod) -> Option<(String, Gateway)> {
    let name = pod.metadata.name.clone()?;
    let uid = pod.metadata.uid.clone()?;
    let ip = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()).and_then(|ip| ip.parse::<IpAddr>().ok());
    let gateway = Gateway { uid, ip, ready: is_ready(pod), running: is_running(pod), report: None };
    Some((name, gateway))
}

/// Whether its process may still answer a client.
fn is_running(pod: &Pod) -> bool {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    let named = statuses.iter().any(|status| status.name == CONTAINER);
    statuses
        .iter()
        .filter(|status| !named || status.name == CONTAINER)
        .any(|status| status.state.as_ref().is_some_and(|state| state.running.is_some()))
}

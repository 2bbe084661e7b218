//! Whether a pod waits for its volumes, and what events tell of why it cannot have them.

use k8s_openapi::{
    api::core::v1::{ContainerStatus, Event, Pod},
    jiff::Timestamp,
};

use turnpike_crds::model_deployment::Vllm;

use super::pod::{condition, is_live};
use crate::{
    Observed,
    children::{MODELS_VOLUME, path},
};

/// Why a node cannot have a volume, as kubelets and the controller that attaches volumes call it.
const TROUBLE: [&str; 3] = ["FailedAttachVolume", "FailedMapVolume", "FailedMount"];
/// What is told once such trouble is over: a volume was attached, or a kubelet is at what comes after mounting.
const OVER: [&str; 7] =
    ["SuccessfulAttachVolume", "FailedCreatePodSandBox", "Pulling", "Pulled", "Created", "Started", "Failed"];
/// How a kubelet sums up, now and then, what it has said of single volumes.
const SUMMARY: &str = "Unable to attach or mount volumes";

/// Whether a node has the pod and none of its containers can start yet, for which its volumes have to be mounted.
pub fn awaits_volumes(pod: &Pod) -> bool {
    let is_on_node = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    // Clusters before 1.29 do not tell of it.
    let may_start = condition(pod, "PodReadyToStartContainers").is_some_and(|condition| condition.status == "True");
    let runs = |status: &ContainerStatus| status.state.as_ref().is_some_and(|state| state.running.is_some());
    let status = pod.status.as_ref();
    let mut containers = status.into_iter().flat_map(|status| {
        let inits = status.init_container_statuses.iter().flatten();
        inits.chain(status.container_statuses.iter().flatten())
    });
    is_live(pod) && is_on_node && !may_start && !containers.any(runs)
}

/// Why a pod that awaits its volumes cannot have them, of all events of that pod; `None` = nothing was told, or it is over.
pub fn unmounted(events: &[Event]) -> Option<String> {
    let is = |event: &Event, reasons: &[&str]| event.reason.as_deref().is_some_and(|reason| reasons.contains(&reason));
    let over = events.iter().filter(|event| is(event, &OVER)).filter_map(last).max();
    let trouble = events.iter().filter(|event| is(event, &TROUBLE) && last(event) >= over);
    let told =
        trouble.filter_map(|event| Some((last(event), event.message.as_deref().filter(|said| !said.is_empty())?)));
    let best = told.max_by_key(|(last, said)| (!said.starts_with(SUMMARY), *last, *said));
    best.map(|(_, said)| said.to_owned())
}

/// The Deployment that was to mount the model's image and does not: an apiserver that has no image volumes leaves them out, and
/// says nothing.
pub(super) fn bereft<'a>(spec: &Vllm, observed: &'a Observed) -> Option<&'a str> {
    let path = path(spec.engine, &spec.source).filter(|_| is_image(spec))?;
    let deployment = observed.deployment.as_deref()?;
    let pod = deployment.spec.as_ref()?.template.spec.as_ref()?;
    // Else it is still that of another source.
    let reads_it = pod.containers.iter().flat_map(|container| container.args.iter().flatten()).any(|arg| *arg == path);
    let has_it = pod.volumes.iter().flatten().any(|volume| volume.name == MODELS_VOLUME);
    deployment.metadata.name.as_deref().filter(|_| reads_it && !has_it)
}

fn is_image(spec: &Vllm) -> bool {
    spec.source.uri.as_deref().is_some_and(|uri| uri.starts_with("oci://"))
}

/// When it was last told.
fn last(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref());
    let times = [series, event.event_time.as_ref()].into_iter().flatten().map(|time| time.0);
    times.chain(event.last_timestamp.as_ref().map(|time| time.0)).max()
}

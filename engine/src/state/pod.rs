//! How far one pod is on its way to answering.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition, PodStatus};
use turnpike_crds::Reason;

use super::{
    container::{Role, Trouble, preparing, trouble},
    volumes::awaits_volumes,
    words,
};
use crate::Observed;

/// What a pod may be at, the worst first: the one of several that people are told of.
const WORST_FIRST: [Reason; 10] = [
    Reason::Refused,
    Reason::ImagePull,
    Reason::OutOfMemory,
    Reason::CrashLoop,
    Reason::FailedMount,
    Reason::Unschedulable,
    Reason::BackendUnhealthy,
    Reason::Starting,
    Reason::Downloading,
    Reason::LoadingModel,
];

/// A pod that does not answer yet, or no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing<'a> {
    name: &'a str,
    /// What it is at.
    pub(super) trouble: Trouble,
    /// How much of the files it has fetched.
    pub(super) percent: Option<u8>,
    /// Whether it is its files that it lacks.
    pub(super) lacks_files: bool,
}

impl<'a> Standing<'a> {
    pub(super) fn of(name: &'a str, trouble: Trouble) -> Self {
        Self { name, trouble, percent: None, lacks_files: false }
    }

    /// Sorts the worst first, and of several that are as bad always the same.
    pub(super) fn rank(&self) -> (usize, Option<u8>, &str) {
        let rank = WORST_FIRST.iter().position(|reason| *reason == self.trouble.reason);
        (rank.unwrap_or(WORST_FIRST.len()), self.percent, self.name)
    }

    /// With the pod's name.
    pub(super) fn message(&self) -> String {
        let space = if self.name.is_empty() { "" } else { " " };
        format!("Pod{space}{} {}", self.name, self.trouble.message)
    }
}

pub(super) fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

/// Whether it has been asked to end.
pub(super) fn is_ending(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Whether all its containers have ended for good, as after an eviction.
pub(super) fn is_over(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Failed" | "Succeeded"))
}

/// Whether it counts among the engines that there are.
pub(super) fn is_live(pod: &Pod) -> bool {
    !is_ending(pod) && !is_over(pod)
}

/// Whether it answers, so that Services send it traffic.
pub fn is_ready(pod: &Pod) -> bool {
    is_live(pod) && condition(pod, "Ready").is_some_and(|ready| ready.status == "True")
}

/// Which version of the Deployment's template it was made from.
pub(super) fn template(pod: &Pod) -> Option<&str> {
    pod.metadata.labels.as_ref()?.get("pod-template-hash").map(String::as_str)
}

/// The engine's image by its digest.
pub(super) fn image(pod: &Pod) -> Option<&str> {
    let engine = &pod.spec.as_ref()?.containers.first()?.name;
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let image = &statuses.iter().find(|status| status.name == *engine)?.image_id;
    let image = image.strip_prefix("docker-pullable://").unwrap_or(image);
    (!image.is_empty()).then_some(image)
}

/// Whether every container that comes before the engine has done its work, where there is one.
pub(super) fn has_fetched(pod: &Pod) -> bool {
    let statuses = pod.status.as_ref().and_then(|status| status.init_container_statuses.as_ref());
    statuses.is_some_and(|statuses| !statuses.is_empty() && current(pod, statuses).is_none())
}

/// What a node says of a pod that it did not take, or put out.
pub(super) fn end(pod: &Pod) -> String {
    let status = pod.status.clone().unwrap_or_default();
    let reason = status.reason.unwrap_or_else(|| "it ended".to_owned());
    match status.message.filter(|message| !message.is_empty()) {
        Some(message) => format!("{reason}: {}", words::of(&message)),
        None => words::of(&reason),
    }
}

/// What a live pod that is not ready is at.
pub(super) fn standing<'a>(pod: &'a Pod, observed: &Observed, startup_timeout: Duration) -> Standing<'a> {
    let none = PodStatus::default();
    let status = pod.status.as_ref().unwrap_or(&none);
    let is = |trouble| Standing::of(name(pod), trouble);
    if let Some(early) = unscheduled(pod).or_else(|| unmounted(pod, observed)) {
        return is(early);
    }
    if let Some(init) = status.init_container_statuses.as_deref().and_then(|statuses| current(pod, statuses)) {
        return of_fetching(pod, init, observed);
    }
    let containers = status.container_statuses.as_deref().unwrap_or_default();
    let idle = containers.iter().filter(|container| !container.ready);
    let worst = idle
        .filter_map(|container| trouble(pod, container, Role::Engine { startup_timeout }))
        .map(is)
        .min_by(|a, b| a.rank().cmp(&b.rank()));
    worst.unwrap_or_else(|| is(if containers.is_empty() { preparing() } else { loading(pod, startup_timeout) }))
}

/// What a live pod of the Job that fills the cache is at.
pub(super) fn fetching<'a>(pod: &'a Pod, observed: &Observed) -> Standing<'a> {
    if let Some(early) = unscheduled(pod).or_else(|| unmounted(pod, observed)) {
        return Standing::of(name(pod), early);
    }
    let containers = pod.status.as_ref().and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    match containers.first() {
        Some(container) => of_fetching(pod, container, observed),
        None => Standing::of(name(pod), preparing()),
    }
}

fn of_fetching<'a>(pod: &'a Pod, container: &ContainerStatus, observed: &Observed) -> Standing<'a> {
    let percent = observed.fetched.get(name(pod)).copied();
    let trouble = trouble(pod, container, Role::Fetch).unwrap_or_else(|| {
        let far = percent.map(|percent| format!(": {percent} %")).unwrap_or_default();
        Trouble::passing(Reason::Downloading, format!("fetches the model's files{far}"))
    });
    let is_at_it = trouble.reason == Reason::Downloading;
    let lacks_files = matches!(trouble.reason, Reason::Downloading | Reason::CrashLoop | Reason::OutOfMemory);
    Standing { percent: percent.filter(|_| is_at_it), lacks_files, ..Standing::of(name(pod), trouble) }
}

/// The first of the containers before the engine that has yet to do its work.
fn current<'a>(pod: &Pod, statuses: &'a [ContainerStatus]) -> Option<&'a ContainerStatus> {
    // One that runs on beside the engine is not waited for.
    let stays = |name: &str| {
        let containers = pod.spec.as_ref().and_then(|spec| spec.init_containers.as_deref()).unwrap_or_default();
        let found = containers.iter().find(|container| container.name == name);
        found.is_some_and(|container| container.restart_policy.as_deref() == Some("Always"))
    };
    statuses.iter().find(|status| {
        let state = status.state.as_ref();
        let is_done = state.and_then(|state| state.terminated.as_ref()).is_some_and(|end| end.exit_code == 0);
        let is_up = status.started == Some(true) && stays(&status.name);
        !is_done && !is_up
    })
}

fn unscheduled(pod: &Pod) -> Option<Trouble> {
    if pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some()) {
        return None;
    }
    let words = condition(pod, "PodScheduled").filter(|condition| condition.status == "False");
    let Some(words) = words.and_then(|condition| condition.message.as_deref()) else {
        return Some(Trouble::passing(Reason::Starting, "waits for the scheduler"));
    };
    let words = words::of(words);
    let message = format!(
        "finds no node: {}; add nodes or free what it asks for, or ask for less in spec.vllm",
        words.trim_end_matches('.')
    );
    Some(Trouble::passing(Reason::Unschedulable, message))
}

/// A node has it, and not its volumes.
fn unmounted(pod: &Pod, observed: &Observed) -> Option<Trouble> {
    let words = observed.unmounted.get(name(pod)).filter(|_| awaits_volumes(pod))?;
    let words = words::of(words);
    let message = format!(
        "cannot have its volumes: {}; correct what these words name, or what spec.vllm mounts (source.pvc, cache, \
         podOverlay); it is tried again by itself",
        words.trim_end_matches('.')
    );
    Some(Trouble::passing(Reason::FailedMount, message))
}

/// Its containers run, and it does not answer.
fn loading(pod: &Pod, startup_timeout: Duration) -> Trouble {
    let status = pod.status.as_ref();
    // The kubelet says that it is not ready before the engine starts, and again when it has stopped to answer.
    let since = condition(pod, "Ready").and_then(|ready| ready.last_transition_time.as_ref());
    let containers = status.and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    let start = containers
        .iter()
        .filter_map(|container| container.state.as_ref()?.running.as_ref()?.started_at.as_ref())
        .max_by_key(|start| start.0);
    if since.zip(start).is_some_and(|(since, start)| since.0 > start.0) {
        let words = status.and_then(|status| status.message.as_deref().or(status.reason.as_deref()));
        let words = words.map(|words| format!(": {}", words::of(words))).unwrap_or_default();
        return Trouble::passing(Reason::BackendUnhealthy, format!("does not answer any more{words}"));
    }
    let most = startup_timeout.as_secs();
    let message = format!("loads the model, for which it has {most} s (spec.vllm.startupTimeout)");
    Trouble::passing(Reason::LoadingModel, message)
}

pub(super) fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == kind)
}

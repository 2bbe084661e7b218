//! What keeps one container from running, in the kubelet's words.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, Pod};
use turnpike_crds::Reason;

use super::words;
use crate::children::MODELS_VOLUME;

/// From so many ends on it will hardly be different the next time: with the kubelet's pauses these take more than five minutes.
const HOPELESS: i32 = 6;
/// A container that the kubelet ends for being late ends within this time.
const GRACE: Duration = Duration::from_mins(2);
/// What engines say when a GPU's memory is too small.
const OUT_OF_GPU_MEMORY: [&str; 3] = ["CUDA out of memory", "HIP out of memory", "torch.OutOfMemoryError"];

/// What part a container has in its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It ends before the engine begins.
    Fetch,
    /// The engine, or what runs beside it.
    Engine {
        /// How long it may take until it answers.
        startup_timeout: Duration,
    },
}

/// Why a container does not do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) reason: Reason,
    /// What follows the pod's name.
    pub(super) message: String,
    /// Whether waiting does not help.
    pub(super) is_stuck: bool,
}

impl Trouble {
    pub(super) fn passing(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), is_stuck: false }
    }
}

/// `None` = it runs, and has not ended badly before.
pub(super) fn trouble(pod: &Pod, status: &ContainerStatus, role: Role) -> Option<Trouble> {
    let state = status.state.as_ref();
    let ended = |now: Option<&ContainerStateTerminated>, times| {
        let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
        now.or(last).filter(|end| role != Role::Fetch || end.exit_code != 0).map(|end| end_of(status, end, times, role))
    };
    if let Some(end) = state.and_then(|state| state.terminated.as_ref()) {
        return ended(Some(end), status.restart_count.saturating_add(1));
    }
    if state.is_some_and(|state| state.running.is_some()) {
        return ended(None, status.restart_count.max(1));
    }
    let waiting = state.and_then(|state| state.waiting.as_ref());
    let reason = waiting.and_then(|waiting| waiting.reason.as_deref()).unwrap_or_default();
    match reason {
        "CrashLoopBackOff" => ended(None, status.restart_count.saturating_add(1)).or_else(|| {
            Some(Trouble::passing(Reason::CrashLoop, format!("container {} ends again and again", status.name)))
        }),
        "" | "ContainerCreating" | "PodInitializing" => {
            ended(None, status.restart_count.max(1)).or_else(|| Some(preparing()))
        }
        _ => Some(refused(pod, status, waiting, reason)),
    }
}

/// That its node is at it.
pub(super) fn preparing() -> Trouble {
    let message = "is prepared by its node, which pulls images and mounts volumes; see how far: kubectl describe pod";
    Trouble::passing(Reason::Starting, message)
}

fn refused(pod: &Pod, status: &ContainerStatus, waiting: Option<&ContainerStateWaiting>, reason: &str) -> Trouble {
    let words = words::of(waiting.and_then(|waiting| waiting.message.as_deref()).unwrap_or_default());
    let words = if words.is_empty() { reason.to_owned() } else { format!("{reason}: {words}") };
    // Names such as ErrImagePull, ImagePullBackOff, InvalidImageName, ImageInspectError, ErrImageNeverPull.
    if reason.contains("Image") || matches!(reason, "RegistryUnavailable" | "SignatureValidationFailed") {
        let (what, field) = match volume_of(pod, status, &words) {
            Some(MODELS_VOLUME) => (format!("volume {MODELS_VOLUME}"), "spec.vllm.source.uri"),
            Some(volume) => (format!("volume {volume}"), "spec.vllm.podOverlay"),
            None => (format!("container {}", status.name), "spec.vllm.image"),
        };
        let message = format!("has no image for {what}: {words}; correct {field}, or let the node reach its registry");
        return Trouble { reason: Reason::ImagePull, message, is_stuck: reason == "InvalidImageName" };
    }
    Trouble::passing(
        Reason::Refused,
        format!("cannot start container {}: {words}; see: kubectl describe pod", status.name),
    )
}

/// The image volume that these words are about, rather than the container's own image: a kubelet tells of both in the same place.
fn volume_of<'a>(pod: &'a Pod, status: &ContainerStatus, words: &str) -> Option<&'a str> {
    let volumes = pod.spec.as_ref()?.volumes.iter().flatten();
    let references = volumes.filter_map(|volume| Some((&*volume.name, volume.image.as_ref()?.reference.as_deref()?)));
    let named = references.filter(|(_, reference)| words.contains(reference));
    let (name, reference) = named.max_by_key(|(_, reference)| reference.len())?;
    // One name may begin with the other.
    let is_own = words.contains(&status.image) && status.image.len() >= reference.len();
    (!is_own).then_some(name)
}

fn end_of(status: &ContainerStatus, end: &ContainerStateTerminated, times: i32, role: Role) -> Trouble {
    let name = &status.name;
    let times = if times == 1 { "once".to_owned() } else { format!("{times} times") };
    let is_stuck = status.restart_count.saturating_add(1) >= HOPELESS;
    let log = end.message.as_deref().unwrap_or_default();
    let line = words::last_line(log).map(|line| format!(": {line}")).unwrap_or_default();
    if end.reason.as_deref() == Some("OOMKilled") {
        let message = format!(
            "ended {times}: container {name} used more memory than it may; raise spec.vllm.resources.limits.memory"
        );
        return Trouble { reason: Reason::OutOfMemory, message, is_stuck };
    }
    let exhausted = |line: &&str| OUT_OF_GPU_MEMORY.iter().any(|words| line.contains(words));
    if let Some(line) = log.lines().rfind(exhausted) {
        let line = words::of(line);
        let message = format!(
            "ended {times}: the GPU's memory is too small: {line}; lower spec.vllm.maxModelLen or gpuMemoryUtilization, or give \
             it more GPUs"
        );
        return Trouble { reason: Reason::OutOfMemory, message, is_stuck };
    }
    let code = end.exit_code;
    let advice = match role {
        Role::Fetch => "; see spec.vllm.source, and whether pods may reach it".to_owned(),
        Role::Engine { startup_timeout } if is_late(end, startup_timeout) => {
            format!(
                "; it did not answer within spec.vllm.startupTimeout ({} s): raise it if that is too short",
                startup_timeout.as_secs()
            )
        }
        Role::Engine { .. } => {
            "; see spec.vllm.extraArgs and env, and all of its log: kubectl logs --previous".to_owned()
        }
    };
    let message = format!("ended {times}: container {name}, exit code {code}{line}{advice}");
    Trouble { reason: Reason::CrashLoop, message, is_stuck }
}

/// Whether it was ended about when its time to start was over.
fn is_late(end: &ContainerStateTerminated, startup_timeout: Duration) -> bool {
    let (Some(start), Some(finish)) = (&end.started_at, &end.finished_at) else { return false };
    let Ok(ran) = Duration::try_from(finish.0.duration_since(start.0)) else { return false };
    // Ended from outside, or as it was asked to.
    matches!(end.exit_code, 0 | 137 | 143) && ran >= startup_timeout && ran <= startup_timeout.saturating_add(GRACE)
}

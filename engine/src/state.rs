//! What an engine is at, from what is observed of it: for conditions, columns and people.
//!
//! ```text
//!  pods ──▶ what each is at (pod, container) ──▶ the worst of the newest template ──▶ EngineReady
//!  claim, Job (ahead), pods ──▶ CacheReady (cache)          observed.unscalable ──▶ ScalingReady
//! ```

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Pod;
use turnpike_crds::{
    ModelDeployment, Reason, Truth,
    model_deployment::{Autoscaling, Vllm},
};

pub use self::cache::{is_bound, may_fetch_ahead};
pub use self::pod::is_ready;
pub use self::volumes::{awaits_volumes, unmounted};
use self::{ahead::Ahead, pod::Standing};
use crate::{Observed, children::STARTUP, names};

mod ahead;
mod cache;
mod container;
mod pod;
mod volumes;
mod words;

/// Most adapters in a status.
const MOST_ADAPTERS: usize = 64;
/// Longest name of an adapter in a status, bytes.
const LONGEST_ADAPTER: usize = 63;
/// Longest `status.image`, bytes.
const LONGEST_IMAGE: usize = 640;

/// A condition without its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// `status`.
    pub truth: Truth,
    /// `reason`.
    pub reason: Reason,
    /// `message`, in full sentences without the last full stop; below 1024 bytes where names are as Kubernetes has them.
    pub message: String,
}

/// One engine, as its object's status tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// `EngineReady`.
    pub engine: Verdict,
    /// `CacheReady`; `None` = the engine has no such part.
    pub cache: Option<Verdict>,
    /// `ScalingReady`; `None` without autoscaling.
    pub scaling: Option<Verdict>,
    /// Pods that run or are to run.
    pub replicas: i32,
    /// Pods that answer.
    pub ready_replicas: i32,
    /// Pods that answer and that are wanted, such as `1/2`.
    pub replicas_text: String,
    /// What a starting pod is at, such as `Downloading 42 %`.
    pub progress: Option<String>,
    /// Image with digest.
    pub image: Option<String>,
    /// Adapters that every pod that answers has loaded.
    pub adapters: Vec<String>,
    /// What selects the pods, as text.
    pub selector: String,
    /// Engines answer, and newer ones are on their way to replace them.
    pub is_updating: bool,
    /// Nothing will come of it unless somebody changes something.
    pub is_stuck: bool,
}

/// What an engine's pods are at.
struct Pods<'a> {
    /// Those that count, the newest template's alone where there are several.
    current: Vec<&'a Pod>,
    /// Those of `current` that do not answer, the worst first.
    told: Vec<Standing<'a>>,
    ready: Vec<&'a Pod>,
    live: usize,
    /// Those of an older template.
    old: usize,
    /// Whether any has got all its files.
    have_files: bool,
}

impl Verdict {
    fn yes(reason: Reason, message: impl Into<String>) -> Self {
        Self { truth: Truth::True, reason, message: message.into() }
    }

    fn no(reason: Reason, message: impl Into<String>) -> Self {
        Self { truth: Truth::False, reason, message: message.into() }
    }
}

/// What is to be told of a model's engine; `None` for a model without one.
pub fn state(model: &ModelDeployment, observed: &Observed) -> Option<State> {
    let spec = model.spec.vllm.as_ref()?;
    let name = model.metadata.name.as_deref().unwrap_or_default();
    let pods = Pods::new(spec, observed);
    let ahead = ahead::ahead(name, observed);
    let awaited = ahead.as_ref().and_then(Ahead::under);
    let wanted = wanted(spec, observed);
    let ready = pods.ready.len();
    let engine = engine(spec, observed, (&pods, awaited), wanted);
    let is_stuck = engine.truth == Truth::False
        && engine.reason != Reason::ScaledToZero
        && pods.told.first().is_some_and(|worst| worst.trouble.reason == engine.reason && worst.trouble.is_stuck);
    Some(State {
        cache: cache::cache(name, spec, observed, (&pods, ahead.as_ref())),
        scaling: spec.autoscaling.as_ref().map(|scaling| follows(scaling, observed)),
        replicas: i32::try_from(pods.live).unwrap_or(i32::MAX),
        ready_replicas: i32::try_from(ready).unwrap_or(i32::MAX),
        replicas_text: format!("{ready}/{wanted}"),
        progress: pods.told.first().and_then(progress).or_else(|| awaited.and_then(progress)),
        image: image(&pods),
        adapters: adapters(&pods, observed),
        selector: selector(name),
        is_updating: ready > 0 && (pods.old > 0 || awaited.is_some()),
        is_stuck,
        engine,
    })
}

impl<'a> Pods<'a> {
    fn new(spec: &Vllm, observed: &'a Observed) -> Self {
        let timeout = spec.startup_timeout.as_ref().and_then(|timeout| timeout.parse().ok()).unwrap_or(STARTUP);
        let live: Vec<&Pod> = observed.pods.values().map(AsRef::as_ref).filter(|pod| pod::is_live(pod)).collect();
        let newest = live.iter().copied().max_by_key(|pod| (created(pod), pod::template(pod)));
        let newest = newest.and_then(pod::template);
        let current: Vec<&Pod> = live.iter().copied().filter(|pod| pod::template(pod) == newest).collect();
        let mut told: Vec<Standing<'_>> =
            current.iter().filter(|pod| !pod::is_ready(pod)).map(|pod| pod::standing(pod, observed, timeout)).collect();
        told.sort_by(|a, b| a.rank().cmp(&b.rank()));
        Self {
            old: live.len() - current.len(),
            ready: live.iter().copied().filter(|pod| pod::is_ready(pod)).collect(),
            have_files: live.iter().any(|pod| pod::has_fetched(pod)),
            live: live.len(),
            current,
            told,
        }
    }
}

/// How many engines there should be: what was last decided where demand decides.
fn wanted(spec: &Vllm, observed: &Observed) -> i32 {
    let Some(scaling) = &spec.autoscaling else { return spec.replicas };
    let decided = observed.deployment.as_ref().and_then(|deployment| deployment.spec.as_ref()?.replicas);
    decided.unwrap_or(scaling.min_replicas).max(0)
}

fn engine(
    spec: &Vllm,
    observed: &Observed,
    (pods, awaited): (&Pods<'_>, Option<&Standing<'_>>),
    wanted: i32,
) -> Verdict {
    let refusal = refusal(observed);
    if wanted == 0 {
        let message = if spec.autoscaling.is_some() {
            "No engine runs, since nobody asks for the model; a request starts one"
        } else {
            "No engine is wanted; raise spec.vllm.replicas to have one"
        };
        return Verdict { truth: Truth::False, reason: Reason::ScaledToZero, message: noted(message, refusal) };
    }
    if !pods.ready.is_empty() {
        return Verdict::yes(Reason::Ready, answering((pods, awaited), wanted, refusal));
    }
    if let Some(refused) = &observed.refused {
        return Verdict::no(Reason::Refused, unwritten(refused));
    }
    if let Some(deployment) = volumes::bereft(spec, observed) {
        let message = format!(
            "The apiserver has left out the volume of spec.vllm.source.uri: image volumes come with Kubernetes 1.35, or with the \
             feature gate ImageVolume of apiserver and kubelets; once they are there, delete Deployment {deployment}, which is \
             made anew"
        );
        return Verdict::no(Reason::Refused, message);
    }
    let ending = observed.pods.values().find(|pod| pod::is_ending(pod)).map(|pod| pod::name(pod));
    if let Some(worst) = pods.told.first() {
        return match ending {
            // It gets the place of one that still holds it.
            Some(ending) if worst.trouble.reason == Reason::Unschedulable => {
                Verdict::no(Reason::Updating, format!("Pod {ending} still ends. Until then: {}", worst.message()))
            }
            _ => Verdict::no(worst.trouble.reason, worst.message()),
        };
    }
    if let Some(refusal) = refusal {
        return Verdict::no(Reason::Refused, refusal);
    }
    if let Some(over) = observed.pods.values().filter(|pod| pod::is_over(pod)).max_by_key(|pod| created(pod)) {
        let message = format!("Pod {} was ended by its node: {}; another is made", pod::name(over), pod::end(over));
        return Verdict::no(Reason::Refused, message);
    }
    match (ending, &observed.deployment) {
        (Some(ending), _) => Verdict::no(Reason::Updating, format!("Pod {ending} ends, and another is made")),
        (None, Some(_)) => Verdict::no(Reason::Starting, "Its pods are being made"),
        (None, None) => Verdict::no(Reason::Pending, "Its Deployment is not made yet"),
    }
}

fn created(pod: &Pod) -> Option<k8s_openapi::jiff::Timestamp> {
    pod.metadata.creation_timestamp.as_ref().map(|time| time.0)
}

/// What keeps pods or other parts from being made.
fn refusal(observed: &Observed) -> Option<String> {
    if let Some(refused) = &observed.refused {
        return Some(unwritten(refused));
    }
    let status = observed.deployment.as_ref()?.status.as_ref()?;
    let failure = status.conditions.as_ref()?.iter().find(|condition| condition.type_ == "ReplicaFailure")?;
    let words = failure.message.as_deref().filter(|_| failure.status == "True")?;
    Some(format!("The apiserver refuses its pods: {}; they are tried again by themselves", words::of(words)))
}

fn unwritten(refused: &str) -> String {
    format!("The apiserver refuses a part of the engine: {}; it is tried again by itself", words::of(refused))
}

fn answering((pods, awaited): (&Pods<'_>, Option<&Standing<'_>>), wanted: i32, refusal: Option<String>) -> String {
    let ready = pods.ready.len();
    let short = i32::try_from(ready).unwrap_or(i32::MAX) < wanted;
    let engines = match (short, ready) {
        (true, 1) => format!("1 of {wanted} engines answers"),
        (true, _) => format!("{ready} of {wanted} engines answer"),
        (false, 1) => "1 engine answers".to_owned(),
        (false, _) => format!("{ready} engines answer"),
    };
    let rollout = (pods.old > 0).then(|| format!("A rollout has {} to replace", pods.old));
    let filling = awaited.map(|standing| format!("The cache is being filled: {}", standing.message()));
    let rest = rollout.into_iter().chain(filling).chain(refusal.or_else(|| pods.told.first().map(Standing::message)));
    rest.fold(engines, |message, part| format!("{message}. {part}"))
}

fn noted(message: &str, note: Option<String>) -> String {
    note.map_or_else(|| message.to_owned(), |note| format!("{message}. {note}"))
}

fn follows(scaling: &Autoscaling, observed: &Observed) -> Verdict {
    if let Some(why) = &observed.unscalable {
        return Verdict::no(Reason::CannotScale, words::of(why));
    }
    let Autoscaling { min_replicas, max_replicas, .. } = scaling;
    Verdict::yes(Reason::Ready, format!("Replicas follow demand, from {min_replicas} to {max_replicas}"))
}

fn progress(standing: &Standing<'_>) -> Option<String> {
    match (standing.trouble.reason, standing.percent) {
        (Reason::Starting, _) => Some("Starting".to_owned()),
        (Reason::Downloading, Some(percent)) => Some(format!("Downloading {percent} %")),
        (Reason::Downloading, None) => Some("Downloading".to_owned()),
        (Reason::LoadingModel, _) => Some("Loading the model".to_owned()),
        _ => None,
    }
}

/// That of most of the pods that matter, so that a straggler does not hide what runs.
fn image(pods: &Pods<'_>) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for image in pods.current.iter().filter_map(|pod| pod::image(pod)) {
        *counts.entry(image).or_default() += 1;
    }
    let (image, _) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    (image.len() <= LONGEST_IMAGE).then(|| image.to_owned())
}

fn adapters(pods: &Pods<'_>, observed: &Observed) -> Vec<String> {
    let none = BTreeSet::new();
    let mut loaded = pods.ready.iter().map(|pod| observed.adapters.get(pod::name(pod)).unwrap_or(&none));
    let Some(first) = loaded.next() else { return Vec::new() };
    let rest: Vec<&BTreeSet<String>> = loaded.collect();
    let common = first
        .iter()
        .filter(|adapter| adapter.len() <= LONGEST_ADAPTER && rest.iter().all(|loaded| loaded.contains(*adapter)));
    common.take(MOST_ADAPTERS).cloned().collect()
}

fn selector(name: &str) -> String {
    let labels: Vec<String> = names::selector(name).into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    labels.join(",")
}

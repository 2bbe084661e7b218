//! Whether the place for the model's files is there, and the files in it.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use turnpike_crds::{Reason, Truth, model_deployment::Vllm};

use super::{Pods, Verdict, ahead::Ahead};
use crate::{Observed, children::named_claims, names};

/// `None` = there is nothing to wait for that could be seen.
pub(super) fn cache(
    model: &str,
    spec: &Vllm,
    observed: &Observed,
    (pods, ahead): (&Pods<'_>, Option<&Ahead<'_>>),
) -> Option<Verdict> {
    let is_own = spec.cache.as_ref().is_some_and(|cache| cache.size.is_some());
    let volume = match &observed.claim {
        _ if !is_own => named(spec, observed, pods),
        Some(claim) => Some(bound(claim)),
        None => Some(Verdict::no(
            Reason::ClaimPending,
            format!("PersistentVolumeClaim {} is not made yet", names::child(model)),
        )),
    };
    if let Some(pending) = volume.as_ref().filter(|volume| volume.truth == Truth::False) {
        return Some(pending.clone());
    }
    match ahead {
        Some(Ahead::Under(standing)) => return Some(Verdict::no(standing.trouble.reason, standing.message())),
        Some(Ahead::Done) => return Some(Verdict::yes(Reason::Ready, "The model's files are in place")),
        None => {}
    }
    if pods.have_files {
        return Some(volume.unwrap_or_else(|| Verdict::yes(Reason::Ready, "The model's files are in place")));
    }
    let lacking = pods.told.iter().filter(|standing| standing.lacks_files).min_by(|a, b| a.rank().cmp(&b.rank()));
    lacking.map(|standing| Verdict::no(standing.trouble.reason, standing.message())).or(volume)
}

/// Whether a claim has its volume.
pub fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    phase(claim) == "Bound"
}

/// Whether a Job may fill the cache: its volume is there. Of one that waits for its first pod, where it lies is for the engine's
/// pod to decide, which has to be where GPUs are.
pub fn may_fetch_ahead(spec: &Vllm, observed: &Observed) -> bool {
    let Some(cache) = &spec.cache else { return false };
    let claim = match &cache.claim_name {
        Some(name) => observed.claims.get(name).and_then(Option::as_ref),
        None => observed.claim.as_ref(),
    };
    claim.is_some_and(|claim| is_bound(claim))
}

fn phase(claim: &PersistentVolumeClaim) -> &str {
    claim.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending")
}

fn bound(claim: &PersistentVolumeClaim) -> Verdict {
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    let phase = phase(claim);
    if is_bound(claim) {
        return Verdict::yes(Reason::Ready, format!("PersistentVolumeClaim {name} is bound"));
    }
    let class = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
    let class = match class.filter(|class| !class.is_empty()) {
        Some(class) => format!("storage class {class}"),
        None => "no storage class".to_owned(),
    };
    let message = format!("PersistentVolumeClaim {name} ({class}) is {phase}; see why: kubectl describe pvc {name}");
    Verdict::no(Reason::ClaimPending, message)
}

/// Of the claims that others made, the one that keeps the engine waiting, or else the cache's or the model's.
fn named(spec: &Vllm, observed: &Observed, pods: &Pods<'_>) -> Option<Verdict> {
    let told = |name: &str| match observed.claims.get(name)? {
        Some(claim) => Some(bound(claim)),
        None => Some(Verdict::no(
            Reason::ClaimPending,
            format!(
                "PersistentVolumeClaim {name} does not exist in this namespace; make it, or name another in spec.vllm"
            ),
        )),
    };
    let pending = named_claims(spec).into_iter().filter_map(told).find(|verdict| verdict.truth == Truth::False);
    let cached = spec.cache.as_ref().and_then(|cache| cache.claim_name.as_deref());
    let first = cached.or_else(|| spec.source.pvc.as_ref().map(|source| source.claim_name.as_str()));
    pending.or_else(|| first.and_then(|name| told(name).or_else(|| missing(name, pods))))
}

/// One that was not looked at yet is seen by what the scheduler says of it.
fn missing(name: &str, pods: &Pods<'_>) -> Option<Verdict> {
    let words = pods.told.iter().find(|standing| {
        standing.trouble.reason == Reason::Unschedulable && standing.trouble.message.contains("ersistentvolumeclaim")
    })?;
    let message = format!("PersistentVolumeClaim {name} cannot be used: {}", words.message());
    Some(Verdict::no(Reason::ClaimPending, message))
}

//! Whether the place for the model's files is there, and the files in it.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use turnpike_crds::{Reason, Truth, model_deployment::Vllm};

use super::{Pods, Verdict};
use crate::names;

/// `None` = there is nothing to wait for that could be seen.
pub(super) fn cache(
    model: &str,
    spec: &Vllm,
    claim: Option<&PersistentVolumeClaim>,
    pods: &Pods<'_>,
) -> Option<Verdict> {
    let named = spec.cache.as_ref().and_then(|cache| cache.claim_name.as_deref());
    let named = named.or_else(|| spec.source.pvc.as_ref().map(|source| source.claim_name.as_str()));
    let is_own = spec.cache.as_ref().is_some_and(|cache| cache.size.is_some());
    let volume = match claim {
        Some(claim) => Some(bound(claim)),
        None if is_own => Some(Verdict::no(
            Reason::ClaimPending,
            format!("PersistentVolumeClaim {} is not made yet", names::child(model)),
        )),
        None => named.and_then(|name| missing(name, pods)),
    };
    if let Some(pending) = volume.as_ref().filter(|volume| volume.truth == Truth::False) {
        return Some(pending.clone());
    }
    if pods.have_files {
        return Some(volume.unwrap_or_else(|| Verdict::yes(Reason::Ready, "The model's files are in place")));
    }
    let lacking = pods.told.iter().filter(|standing| standing.lacks_files).min_by(|a, b| a.rank().cmp(&b.rank()));
    lacking.map(|standing| Verdict::no(standing.trouble.reason, standing.message())).or(volume)
}

fn bound(claim: &PersistentVolumeClaim) -> Verdict {
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending");
    if phase == "Bound" {
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

/// A claim that others made is seen by what the scheduler says of it.
fn missing(name: &str, pods: &Pods<'_>) -> Option<Verdict> {
    let words = pods.told.iter().find(|standing| {
        standing.trouble.reason == Reason::Unschedulable && standing.trouble.message.contains("ersistentvolumeclaim")
    })?;
    let message = format!("PersistentVolumeClaim {name} cannot be used: {}", words.message());
    Some(Verdict::no(Reason::ClaimPending, message))
}

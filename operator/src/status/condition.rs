//! Conditions: which aspect of an object each problem concerns, and what the aspects add up to.
//!
//! ```text
//!  problems ──class──▶ Accepted, ResolvedRefs ─┐
//!  gateways' reports ─▶ Programmed ────────────┴─▶ Ready, and for kstatus Reconciling or Stalled
//! ```

use jiff::Timestamp;
use turnpike_bundle::{Problem, manifest::Kind};
pub use turnpike_crds::Truth;
use turnpike_crds::{Condition, ConditionType, Programmed, Reason, Time};

use super::{
    fleet::{Fleet, Serving},
    message,
};
use crate::publish::Compiled;

/// One condition before it is compared with what stood there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aspect {
    /// `type`.
    pub kind: ConditionType,
    /// `status`.
    pub truth: Truth,
    /// `reason`.
    pub reason: Reason,
    /// `message`.
    pub message: String,
}

impl Aspect {
    /// All four at once.
    pub fn new(kind: ConditionType, truth: Truth, reason: Reason, message: impl Into<String>) -> Self {
        Self { kind, truth, reason, message: message.into() }
    }
}

/// What is known about one object, of whatever kind.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// What it is in the bundle.
    pub kind: Kind,
    /// Its `namespace/name`.
    pub key: &'a str,
    /// What it compiled to; of its present generation.
    pub compiled: &'a Compiled,
    /// The conditions that it has.
    pub before: &'a [Condition],
    /// What its status says that all gateways have.
    pub programmed: Option<&'a Programmed>,
    /// The gateways.
    pub fleet: &'a Fleet<'a>,
    /// The time.
    pub now: Timestamp,
}

/// What all kinds have in common.
#[derive(Clone, Debug)]
pub struct Common {
    /// Ready, `Accepted`, `ResolvedRefs`, Programmed; a kind adds its own.
    pub aspects: Vec<Aspect>,
    /// `status.programmed`.
    pub programmed: Option<Programmed>,
    /// What is waited for, if only time is needed for a better answer.
    pub waiting: Option<Waiting>,
    progress: Option<Aspect>,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Gateways to load the entry, or a key to be made.
    Work,
    /// A gateway to become ready.
    Gateway,
    /// More of what goes on anyway, such as a download.
    Progress,
}

/// What a problem stands in the way of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// The spec is wrong or not allowed.
    Accepted,
    /// Something that the spec names is not there, or may not be used.
    ResolvedRefs,
    /// Nothing: what is missing is being made.
    Pending,
}

/// Field of problems with a key that is yet to be minted.
const GENERATE: &str = "spec.generate";

const fn class_of(reason: Reason) -> Class {
    match reason {
        Reason::RefNotFound
        | Reason::RefNotReady
        | Reason::SecretNotPermitted
        | Reason::CredentialRefreshFailed
        | Reason::PriceUnknown => Class::ResolvedRefs,
        Reason::Invalid
        | Reason::ClusterVisibilityNotAllowed
        | Reason::AmbientIdentityNotAllowed
        | Reason::TeamNotAllowed
        | Reason::NameConflict
        | Reason::PoolConflict
        | Reason::SecretExists
        | Reason::DuplicateKey
        | Reason::WeakKey
        | Reason::OverlayNotAllowed
        | Reason::BundleFull
        | Reason::NoEffect
        // No problem has the reasons below. If one ever does, it shows where people look first.
        | Reason::Pending
        | Reason::Ready
        | Reason::Accepted
        | Reason::Resolved
        | Reason::Programmed
        | Reason::NoReadyGateway
        | Reason::Active
        | Reason::Suspended
        | Reason::Expired
        | Reason::BudgetExceeded
        | Reason::WithinBudget
        | Reason::ThresholdReached
        | Reason::BelowThresholds
        | Reason::SpendSynced
        | Reason::StoreUnavailable
        | Reason::NoDatabase
        | Reason::BackendUnhealthy
        | Reason::Refused
        | Reason::Unschedulable
        | Reason::FailedMount
        | Reason::ImagePull
        | Reason::CrashLoop
        | Reason::OutOfMemory
        | Reason::Starting
        | Reason::Downloading
        | Reason::LoadingModel
        | Reason::Updating
        | Reason::ScaledToZero
        | Reason::ClaimPending
        | Reason::CannotScale
        | Reason::SpendUnattributed => Class::Accepted,
    }
}

fn class(problem: &Problem) -> Class {
    // A Secret that the operator makes itself is not the user's to create.
    if problem.reason == Reason::Pending || problem.reason == Reason::RefNotFound && problem.field == GENERATE {
        return Class::Pending;
    }
    class_of(problem.reason)
}

/// Whether waiting does not help. What does not exist may yet be applied: the order of a manifest's objects is nobody's fault.
/// Gateways try a credential again by themselves.
fn stalls(problem: &Problem) -> bool {
    let passes = matches!(problem.reason, Reason::RefNotFound | Reason::RefNotReady | Reason::CredentialRefreshFailed);
    class(problem) != Class::Pending && !passes
}

/// Whether a problem is with one of the models that this one names, and it serves without that one.
fn is_spared(problem: &Problem) -> bool {
    let names_a_model = ["spec.route.", "spec.fallbacks[", "spec.cache."];
    matches!(problem.reason, Reason::RefNotFound | Reason::RefNotReady)
        && names_a_model.iter().any(|part| problem.field.starts_with(part))
}

/// The four conditions that every kind has.
pub fn common(facts: Facts<'_>) -> Common {
    let of = |wanted: Class| facts.compiled.problems.iter().filter(move |problem| class(problem) == wanted);
    let accepted = if let Some(first) = of(Class::Accepted).next() {
        Aspect::new(ConditionType::Accepted, Truth::False, first.reason, message::of(of(Class::Accepted)))
    } else {
        let message = message::noted("The spec is valid and allowed", &facts.compiled.warnings);
        Aspect::new(ConditionType::Accepted, Truth::True, Reason::Accepted, message)
    };
    let resolved = match (of(Class::ResolvedRefs).next(), of(Class::Pending).next()) {
        (Some(first), _) => {
            Aspect::new(ConditionType::ResolvedRefs, Truth::False, first.reason, message::of(of(Class::ResolvedRefs)))
        }
        (None, Some(_)) => {
            Aspect::new(ConditionType::ResolvedRefs, Truth::Unknown, Reason::Pending, message::of(of(Class::Pending)))
        }
        (None, None) => {
            Aspect::new(ConditionType::ResolvedRefs, Truth::True, Reason::Resolved, "All references resolve")
        }
    };
    let (programming, programmed, waiting) = programming(facts);
    let parts = [&accepted, &resolved, &programming];
    let problems = &facts.compiled.problems;
    let (ready, progress) =
        if programming.truth == Truth::True && !problems.is_empty() && problems.iter().all(is_spared) {
            let message = message::noted("It serves, if not in full", problems);
            (Aspect::new(ConditionType::Ready, Truth::True, Reason::Ready, message), None)
        } else {
            (ready(parts), progress(facts.compiled, parts))
        };
    Common { aspects: vec![ready, accepted, resolved, programming], programmed, waiting, progress }
}

impl Common {
    /// Not ready although all else is well: what the object stands for does not work. `progress`: Reconciling if it may again
    /// without anybody's doing, else Stalled.
    pub fn out_of_order(&mut self, progress: ConditionType, reason: Reason, message: String) {
        let Some(ready) = self.ready() else { return };
        *ready = Aspect::new(ConditionType::Ready, Truth::False, reason, message);
        self.progress = Some(Aspect { kind: progress, truth: Truth::True, ..ready.clone() });
    }

    /// Ready, if it is, for another reason than usual.
    pub fn ready_for(&mut self, reason: Reason, message: String) {
        if let Some(ready) = self.ready() {
            *ready = Aspect::new(ConditionType::Ready, Truth::True, reason, message);
        }
    }

    /// Ready, if it is, while work towards the spec goes on.
    pub fn goes_on(&mut self, reason: Reason, message: String) {
        if self.ready().is_some() {
            self.progress = Some(Aspect::new(ConditionType::Reconciling, Truth::True, reason, message));
        }
    }

    /// Ready, if it is True.
    fn ready(&mut self) -> Option<&mut Aspect> {
        self.aspects.iter_mut().find(|aspect| aspect.kind == ConditionType::Ready && aspect.truth == Truth::True)
    }
}

/// The aspects as conditions of the rendered generation; a transition time is kept while the status stays.
pub fn conditions(facts: Facts<'_>, common: Common) -> Vec<Condition> {
    let aspects = common.aspects.into_iter().chain(common.progress);
    aspects
        .map(|aspect| {
            let before = facts.before.iter().find(|condition| condition.type_ == aspect.kind.as_str());
            // The schema's default has the epoch for a time.
            let kept = before.filter(|condition| {
                condition.status == aspect.truth.as_str() && condition.last_transition_time.0 != Timestamp::UNIX_EPOCH
            });
            Condition {
                type_: aspect.kind.as_str().to_owned(),
                status: aspect.truth.as_str().to_owned(),
                reason: aspect.reason.as_str().to_owned(),
                message: aspect.message,
                observed_generation: Some(facts.compiled.generation),
                last_transition_time: kept
                    .map_or_else(|| Time(facts.now), |condition| condition.last_transition_time.clone()),
            }
        })
        .collect()
}

/// Whether a condition of this type is True.
pub fn is_true(conditions: &[Condition], kind: ConditionType) -> bool {
    conditions.iter().any(|condition| condition.type_ == kind.as_str() && condition.status == Truth::True.as_str())
}

/// Programmed, with `status.programmed` and what is waited for.
fn programming(facts: Facts<'_>) -> (Aspect, Option<Programmed>, Option<Waiting>) {
    let aspect = |truth, reason, message: String| Aspect::new(ConditionType::Programmed, truth, reason, message);
    let Some(digest) = &facts.compiled.digest else {
        let problem = facts.compiled.problems.first();
        let pending = problem.is_none_or(|problem| class(problem) == Class::Pending);
        let reason = problem.filter(|_| !pending).map_or(Reason::Pending, |problem| problem.reason);
        let message = if pending { "Nothing is published of it yet" } else { "Nothing of it is served" };
        return (aspect(Truth::False, reason, message.to_owned()), None, pending.then_some(Waiting::Work));
    };
    match serving(facts, digest) {
        Serving::Nobody => {
            let message = "No gateway is ready; see why: kubectl get pods -A -l app.kubernetes.io/component=gateway";
            let aspect = aspect(Truth::Unknown, Reason::NoReadyGateway, message.to_owned());
            (aspect, facts.programmed.cloned(), Some(Waiting::Gateway))
        }
        Serving::Some { holding, ready, refusal } => {
            let rest = refusal.map(|refusal| format!(": {refusal}")).unwrap_or_default();
            let message = format!("{holding} of {ready} gateways serve it{rest}");
            let aspect = aspect(Truth::False, Reason::Pending, message::bounded(message));
            (aspect, facts.programmed.cloned(), Some(Waiting::Work))
        }
        Serving::All => {
            let message = if facts.compiled.problems.is_empty() {
                "Every ready gateway serves it"
            } else {
                "Every ready gateway serves what is sound of it"
            };
            let since = facts.programmed.filter(|before| before.digest.as_ref() == Some(digest));
            let programmed = Programmed {
                digest: Some(digest.clone()),
                generation: Some(facts.compiled.generation),
                time: since.and_then(|before| before.time.clone()).or(Some(Time(facts.now))),
            };
            (aspect(Truth::True, Reason::Programmed, message.to_owned()), Some(programmed), None)
        }
    }
}

/// What is programmed stays so for as long as its entry and generation stay: a gateway that starts is not ready before it has
/// everything, and one whose shard is torn goes on with what it had.
fn serving(facts: Facts<'_>, digest: &str) -> Serving {
    let before = facts.programmed.filter(|before| {
        before.digest.as_deref() == Some(digest) && before.generation == Some(facts.compiled.generation)
    });
    if before.is_some() && is_true(facts.before, ConditionType::Programmed) && !facts.fleet.is_empty() {
        return Serving::All;
    }
    facts.fleet.serving(facts.kind, facts.key, facts.compiled.since)
}

/// As the first of them that is not True; business states have no say.
fn ready(parts: [&Aspect; 3]) -> Aspect {
    match parts.into_iter().find(|part| part.truth != Truth::True) {
        Some(part) => Aspect { kind: ConditionType::Ready, ..part.clone() },
        None => Aspect::new(ConditionType::Ready, Truth::True, Reason::Ready, "It does what its spec says"),
    }
}

fn progress(compiled: &Compiled, parts: [&Aspect; 3]) -> Option<Aspect> {
    let open = parts.into_iter().find(|part| part.truth != Truth::True)?;
    let kind = if compiled.problems.iter().any(stalls) { ConditionType::Stalled } else { ConditionType::Reconciling };
    Some(Aspect { kind, truth: Truth::True, ..open.clone() })
}

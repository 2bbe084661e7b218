//! What is to be done about one `VirtualKey`, one step at a time, and when to look again. Pure: the step is decided anew
//! from what is found each time, so it does not matter where a step before was cut off.

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use turnpike_crds::{Schedule, VirtualKey, virtual_key::Generate};

use crate::{names::ROTATE_ANNOTATION, virtual_key::minted::Held};

/// Replaced keys that may work at the same time, so that the status and the bundle's entry stay small.
pub const MOST_REPLACED: usize = 7;
/// How often a Secret in the way is looked at again: it need not carry the label by which changes are seen.
pub const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// What is known of one `VirtualKey`.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The object.
    pub object: &'a VirtualKey,
    /// Our finalizer.
    pub finalizer: &'a str,
    /// What lies where `generate` wants its Secret.
    pub place: Place,
    /// Name of another Secret that was minted for this object: where the key lay before `secretName` was edited.
    pub elsewhere: Option<String>,
    /// The namespace is being deleted.
    pub terminating: bool,
    /// The wall clock.
    pub now: Timestamp,
}

/// What lies under the name that the Secret is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nothing.
    Free,
    /// The Secret that was minted for this object.
    Ours(Held),
    /// A Secret of an earlier object of this name; it is about to go.
    Leaving,
    /// Somebody else's Secret.
    Taken,
}

/// The next thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Rest,
    /// The object is being deleted; see [`crate::virtual_key::revocation`].
    Revoke,
    /// Have the object wait for us when it is deleted.
    AddFinalizer,
    /// Make the Secret.
    Mint,
    /// Make the Secret with the key from the Secret of this name.
    Move(String),
    /// Make the Secret what it was meant to be, the key unchanged.
    Repair,
    /// Replace the key.
    Rotate(Rotation),
    /// Delete the Secret of this name, whose key lies elsewhere now.
    Discard(String),
    /// Tell that the name of the Secret is taken.
    Taken,
}

impl Step {
    /// Whether the step makes or changes a Secret, so that fresh facts are needed before it.
    pub fn concerns_secret(&self) -> bool {
        match self {
            Self::Rest | Self::Revoke | Self::AddFinalizer => false,
            Self::Mint | Self::Move(_) | Self::Repair | Self::Rotate(_) | Self::Discard(_) | Self::Taken => true,
        }
    }
}

/// The times of a replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// When the new key counts as made.
    pub at: Timestamp,
    /// Until when the old one works; `None` = no longer.
    pub retires_at: Option<Timestamp>,
}

/// A step, and when to look again even if nothing changes until then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What to do now.
    pub step: Step,
    /// When to look again; `None` = on the next change.
    pub again: Option<Timestamp>,
}

impl From<Step> for Plan {
    fn from(step: Step) -> Self {
        Self { step, again: None }
    }
}

/// Decides.
pub fn plan(facts: &Facts<'_>) -> Plan {
    let metadata = &facts.object.metadata;
    let finalizers = metadata.finalizers.as_deref().unwrap_or_default();
    let held_back = finalizers.iter().any(|finalizer| finalizer == facts.finalizer);
    if metadata.deletion_timestamp.is_some() {
        return if held_back { Step::Revoke } else { Step::Rest }.into();
    }
    if !held_back {
        return Step::AddFinalizer.into();
    }
    match &facts.object.spec.generate {
        // Nothing may be made in a namespace that goes, and what is there goes too.
        Some(_) if !facts.terminating => place(facts),
        _ => Step::Rest.into(),
    }
}

fn place(facts: &Facts<'_>) -> Plan {
    match (&facts.place, &facts.elsewhere) {
        (Place::Leaving, _) => Plan { step: Step::Rest, again: Some(later(facts.now, LOOK_AGAIN)) },
        (Place::Taken, _) => Plan { step: Step::Taken, again: Some(later(facts.now, LOOK_AGAIN)) },
        (Place::Free, None) => Step::Mint.into(),
        (Place::Free, Some(from)) => Step::Move(from.clone()).into(),
        (Place::Ours(held), _) if !held.key || !held.labelled || held.minted_at.is_none() => Step::Repair.into(),
        // The key is in its new place, so the one in the old is of no more use, and its later hand-made deletion
        // would revoke nothing.
        (Place::Ours(_), Some(old)) => Step::Discard(old.clone()).into(),
        (Place::Ours(held), None) => rotation(facts, held),
    }
}

fn rotation(facts: &Facts<'_>, held: &Held) -> Plan {
    let live = held.retirements.iter().filter(|time| **time > facts.now);
    let due = match (is_asked(facts.object, held), rotates(facts.object, held)) {
        // One that works has to stop first: no overlap is cut short, and there are not ever more of them.
        (true, _) if live.clone().count() >= MOST_REPLACED => live.min().copied().unwrap_or(facts.now),
        (true, _) => facts.now,
        (false, None) => return Step::Rest.into(),
        (false, Some(_)) if is_unused(facts.object, facts.now) => return Step::Rest.into(),
        (false, Some(due)) => due,
    };
    if due > facts.now {
        return Plan { step: Step::Rest, again: Some(due) };
    }
    let overlap = schedule(facts.object).overlap;
    // Where the clock was set back, time goes on from the latest that is written down.
    let at = held.minted_at.map_or(facts.now, |minted_at| minted_at.max(facts.now));
    Step::Rotate(Rotation { at, retires_at: (!overlap.is_zero()).then(|| later(at, overlap)) }).into()
}

/// When the key is replaced by interval; `None` = never. Waits for the end of every overlap.
pub fn rotates(object: &VirtualKey, held: &Held) -> Option<Timestamp> {
    let due = later(held.minted_at?, schedule(object).interval?);
    Some(held.retirements.iter().copied().fold(due, Timestamp::max))
}

/// The annotation holds a value that was not acted upon yet.
fn is_asked(object: &VirtualKey, held: &Held) -> bool {
    object.annotations().get(ROTATE_ANNOTATION).is_some_and(|asked| held.handled.as_ref() != Some(asked))
}

/// Nobody can use the key now, so nobody would notice that it is another.
fn is_unused(object: &VirtualKey, now: Timestamp) -> bool {
    object.spec.suspended || expires(object).is_some_and(|expires| expires <= now)
}

/// When the key stops working for good; `None` = never, or not understood, which the renderer reports.
pub fn expires(object: &VirtualKey) -> Option<Timestamp> {
    let spec = &object.spec;
    let ttl = || Some(later(object.metadata.creation_timestamp.as_ref()?.0, spec.ttl.as_ref()?.parse().ok()?));
    spec.expires_at.as_ref().map(|time| time.0).or_else(ttl)
}

/// What is not understood counts as absent; the renderer reports it.
fn schedule(object: &VirtualKey) -> Schedule {
    object.spec.rotation.as_ref().and_then(|rotation| rotation.schedule().ok()).unwrap_or_default()
}

/// Name of the Secret that a key is generated into.
pub fn secret_name(object: &VirtualKey, generate: &Generate) -> String {
    generate.secret_name.clone().unwrap_or_else(|| object.name_any())
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}

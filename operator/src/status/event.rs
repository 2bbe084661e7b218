//! Events: what a change of status has to tell. Nothing but the change counts, so a restart tells nothing again.

use turnpike_bundle::Problem;
use turnpike_crds::{Condition, ConditionType, Programmed, Reason};

use super::{
    condition::{Truth, is_true},
    message,
};
use crate::{kit::events::EventType, publish::Compiled};

/// An event before it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whether somebody may have to act.
    pub kind: EventType,
    /// A condition's reason, in one word.
    pub reason: &'static str,
    /// What the operator was at.
    pub action: &'static str,
    /// For people; at most [`message::MAX`] bytes.
    pub note: String,
}

/// One side of a change.
#[derive(Clone, Copy, Debug, Default)]
pub struct Side<'a> {
    /// `status.observedGeneration`.
    pub generation: Option<i64>,
    /// `status.conditions`.
    pub conditions: &'a [Condition],
    /// `status.programmed`.
    pub programmed: Option<&'a Programmed>,
}

/// Conditions whose turning False is told. Ready only repeats them, and Programmed is False for a moment with every edit.
const TOLD: [ConditionType; 3] = [ConditionType::Accepted, ConditionType::ResolvedRefs, ConditionType::Active];

/// What the change from one status to the next has to tell.
pub fn events(before: Side<'_>, after: Side<'_>, compiled: &Compiled) -> Vec<Event> {
    let mut events: Vec<Event> = TOLD.into_iter().filter_map(|kind| turned_false(before, after, kind)).collect();
    if before.generation != after.generation {
        events.extend(warnings(&compiled.warnings));
    }
    events.extend(programmed(before, after));
    events
}

fn turned_false(before: Side<'_>, after: Side<'_>, kind: ConditionType) -> Option<Event> {
    let find = |side: Side<'_>| side.conditions.iter().find(|condition| condition.type_ == kind.as_str()).cloned();
    let now = find(after).filter(|condition| condition.status == Truth::False.as_str())?;
    let was = find(before).filter(|condition| condition.status == Truth::False.as_str());
    if was.is_some_and(|was| was.reason == now.reason && was.message == now.message) {
        return None;
    }
    let reason = Reason::ALL.iter().find(|reason| reason.as_str() == now.reason)?;
    let kind = match (kind, reason) {
        // That a key is not served is told by what stands in its way.
        (ConditionType::Active, Reason::Expired) => EventType::Warning,
        (ConditionType::Active, Reason::Suspended) => EventType::Normal,
        (ConditionType::Active, _) => return None,
        _ => EventType::Warning,
    };
    Some(Event { kind, reason: reason.as_str(), action: "Compile", note: message::bounded(now.message) })
}

/// One event for each reason.
fn warnings(warnings: &[Problem]) -> Vec<Event> {
    let mut reasons: Vec<Reason> = warnings.iter().map(|warning| warning.reason).collect();
    reasons.sort_unstable();
    reasons.dedup();
    let event = |reason: Reason| Event {
        kind: EventType::Warning,
        reason: reason.as_str(),
        action: "Compile",
        note: message::of(warnings.iter().filter(|warning| warning.reason == reason)),
    };
    reasons.into_iter().map(event).collect()
}

/// Once a generation.
fn programmed(before: Side<'_>, after: Side<'_>) -> Option<Event> {
    let generation = |side: Side<'_>| side.programmed.and_then(|programmed| programmed.generation);
    if !is_true(after.conditions, ConditionType::Programmed) || generation(before) == generation(after) {
        return None;
    }
    let note = format!("Every ready gateway serves generation {}", after.generation.unwrap_or_default());
    Some(Event { kind: EventType::Normal, reason: Reason::Programmed.as_str(), action: "Publish", note })
}

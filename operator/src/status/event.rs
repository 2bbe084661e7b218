//! Events: what a change of status has to tell. Nothing but the change counts, so a restart tells nothing again.

use turnpike_bundle::Problem;
use turnpike_crds::{
    Condition, ConditionType, Programmed, Reason,
    budget::{BudgetStatus, status::LimitStatus},
    money::NanoUsd,
};

use super::{
    budget::aspects::reached,
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
    /// All of it, of a Budget.
    pub budget: Option<&'a BudgetStatus>,
}

/// Conditions whose turning False is told. Ready only repeats them, and Programmed is False for a moment with every edit.
const TOLD: [ConditionType; 4] =
    [ConditionType::Accepted, ConditionType::ResolvedRefs, ConditionType::Active, ConditionType::WithinBudget];

/// What the change from one status to the next has to tell.
pub fn events(before: Side<'_>, after: Side<'_>, compiled: &Compiled) -> Vec<Event> {
    let mut events: Vec<Event> = TOLD.into_iter().filter_map(|kind| turned_false(before, after, kind)).collect();
    if before.generation != after.generation {
        events.extend(warnings(&compiled.warnings));
    }
    events.extend(programmed(before, after));
    events.extend(backends(before, after));
    events.extend(engine(before, after));
    events.extend(scaling(before, after));
    if let Some(budget) = after.budget {
        events.extend(thresholds(before.budget, budget));
        events.extend(unattributed(before.budget, budget));
    }
    events
}

/// No backend is there any more, or one is again.
fn backends(before: Side<'_>, after: Side<'_>) -> Option<Event> {
    let ready = |side: Side<'_>| {
        let ready = find(side, ConditionType::Ready)?;
        Some((ready.reason == Reason::BackendUnhealthy.as_str(), ready.message.clone()))
    };
    let was = ready(before).is_some_and(|(unhealthy, _)| unhealthy);
    match ready(after)? {
        (true, message) if !was => Some(Event {
            kind: EventType::Warning,
            reason: Reason::BackendUnhealthy.as_str(),
            action: "Probe",
            note: message::bounded(message),
        }),
        (false, _) if was && is_true(after.conditions, ConditionType::Ready) => Some(Event {
            kind: EventType::Normal,
            reason: Reason::Ready.as_str(),
            action: "Probe",
            note: "The backend answers again".to_owned(),
        }),
        _ => None,
    }
}

/// An engine is at something else. Its words change with every try, so that they tell nothing by themselves.
fn engine(before: Side<'_>, after: Side<'_>) -> Option<Event> {
    let now = find(after, ConditionType::EngineReady)?;
    let was = find(before, ConditionType::EngineReady).map(|was| was.reason.as_str());
    if was == Some(now.reason.as_str()) {
        return None;
    }
    let reason = Reason::ALL.iter().find(|reason| reason.as_str() == now.reason)?;
    let kind = match reason {
        Reason::Refused
        | Reason::ImagePull
        | Reason::OutOfMemory
        | Reason::CrashLoop
        | Reason::FailedMount
        | Reason::Unschedulable => EventType::Warning,
        // The model's backends tell of it.
        Reason::Ready if was == Some(Reason::BackendUnhealthy.as_str()) => return None,
        Reason::Ready | Reason::ScaledToZero => EventType::Normal,
        // A step on the way.
        _ => return None,
    };
    Some(Event { kind, reason: reason.as_str(), action: "Run", note: message::bounded(now.message.clone()) })
}

/// Replicas follow demand no more.
fn scaling(before: Side<'_>, after: Side<'_>) -> Option<Event> {
    let fails = |condition: &&Condition| condition.reason == Reason::CannotScale.as_str();
    let now = find(after, ConditionType::ScalingReady).filter(fails)?;
    if find(before, ConditionType::ScalingReady).as_ref().is_some_and(fails) {
        return None;
    }
    let reason = Reason::CannotScale.as_str();
    Some(Event { kind: EventType::Warning, reason, action: "Scale", note: message::bounded(now.message.clone()) })
}

fn find(side: Side<'_>, kind: ConditionType) -> Option<&Condition> {
    side.conditions.iter().find(|condition| condition.type_ == kind.as_str())
}

/// Thresholds that were not reached before in the same window. At 100 percent and beyond it may be time to act.
fn thresholds(before: Option<&BudgetStatus>, after: &BudgetStatus) -> Vec<Event> {
    let limits = |status: Option<&BudgetStatus>| status.map(|status| status.limits.clone()).unwrap_or_default();
    let before = limits(before);
    let told = |(at, limit): (usize, &LimitStatus)| {
        let percent = limit.threshold_reached?;
        // A moved reset is another window, or another limit.
        let same = before.get(at).filter(|before| before.window == limit.window && before.resets_at == limit.resets_at);
        if same.and_then(|before| before.threshold_reached).is_some_and(|before| before >= percent) {
            return None;
        }
        let kind = if percent >= 100 { EventType::Warning } else { EventType::Normal };
        let note = reached(percent, &text(limit), limit.window);
        Some(Event { kind, reason: Reason::ThresholdReached.as_str(), action: "Count", note })
    };
    after.limits.iter().enumerate().filter_map(told).collect()
}

/// Its amounts, such as `500.00 USD and 100 requests`.
fn text(limit: &LimitStatus) -> String {
    let usd = limit.usd.as_ref().map(|usd| format!("{} USD", usd.limit));
    let tokens = limit.tokens.as_ref().map(|tokens| format!("{} tokens", tokens.limit));
    let requests = limit.requests.as_ref().map(|requests| format!("{} requests", requests.limit));
    usd.into_iter().chain(tokens).chain(requests).collect::<Vec<_>>().join(" and ")
}

/// More than before that lost gateways may have used.
fn unattributed(before: Option<&BudgetStatus>, after: &BudgetStatus) -> Option<Event> {
    let nano =
        |text: &Option<String>| text.as_deref().and_then(|text| NanoUsd::parse(text, 9).ok()).unwrap_or_default();
    let amount = nano(&after.unattributed);
    if amount <= before.map(|before| nano(&before.unattributed)).unwrap_or_default() {
        return None;
    }
    let note = format!(
        "{amount} USD of what is spent are what lost gateways may have used and may not have; compare the spend log with the \
         provider's bill, and void what was not used"
    );
    Some(Event { kind: EventType::Warning, reason: Reason::SpendUnattributed.as_str(), action: "Count", note })
}

fn turned_false(before: Side<'_>, after: Side<'_>, kind: ConditionType) -> Option<Event> {
    let is_false = |condition: &&Condition| condition.status == Truth::False.as_str();
    let now = find(after, kind).filter(is_false)?;
    let was = find(before, kind).filter(is_false);
    if was.is_some_and(|was| was.reason == now.reason && was.message == now.message) {
        return None;
    }
    let reason = Reason::ALL.iter().find(|reason| reason.as_str() == now.reason)?;
    let kind = match (kind, reason) {
        // That a key is not served is told by what stands in its way.
        (ConditionType::Active, Reason::Expired | Reason::BudgetExceeded) => EventType::Warning,
        (ConditionType::Active, Reason::Suspended) => EventType::Normal,
        (ConditionType::Active, _) => return None,
        _ => EventType::Warning,
    };
    let action = if *reason == Reason::BudgetExceeded { "Count" } else { "Compile" };
    Some(Event { kind, reason: reason.as_str(), action, note: message::bounded(now.message.clone()) })
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

//! What a key spent, when it was last used, and which limits refuse it now.

use std::time::Duration;

use jiff::Timestamp;
use turnpike_bundle::entry::ObjectRef;
use turnpike_crds::{
    KeyId, Time, VirtualKey,
    budget::Share,
    money::NanoUsd,
    virtual_key::{BlockedBy, VirtualKeyStatus},
};

use crate::{
    spend::{Full, Spend, Store},
    status::{Desired, View, earlier},
};

/// Least time between two writes of nothing but figures.
const FIGURES_EVERY: Duration = Duration::from_mins(5);
/// Most blockers that a status lists.
const MOST_BLOCKERS: usize = 16;
const VIRTUAL_KEY: &str = "VirtualKey";

/// What refuses the key now; while nobody can say, what did before.
pub(super) fn blocked_by(
    view: View<'_>,
    object: &ObjectRef,
    key: &VirtualKey,
    before: Option<&VirtualKeyStatus>,
) -> Vec<BlockedBy> {
    let spend = view.spend;
    match spend.store {
        Store::Absent => return Vec::new(),
        Store::Waiting | Store::Silent { since: None } => {
            return before.map(|before| before.blocked_by.clone()).unwrap_or_default();
        }
        Store::Fresh | Store::Silent { since: Some(_) } => {}
    }
    let own = spend.full_keys.contains(object);
    let own = own.then(|| BlockedBy { kind: VIRTUAL_KEY.to_owned(), name: object.name.clone() });
    let full = spend.full.iter().filter(|full| refuses(view, full, object, key));
    let budgets = full.map(|full| {
        let Full { budget, .. } = full;
        let name = if budget.namespace == object.namespace { budget.name.clone() } else { budget.to_string() };
        BlockedBy { kind: "Budget".to_owned(), name }
    });
    own.into_iter().chain(budgets).take(MOST_BLOCKERS).collect()
}

fn refuses(view: View<'_>, full: &Full, object: &ObjectRef, key: &VirtualKey) -> bool {
    let Some(budget) = view.world.budgets.get(&full.budget) else { return false };
    let pot = |subject: &str| full.subjects.as_ref().is_none_or(|subjects| subjects.contains(subject));
    let key_id = || KeyId::of(&object.namespace, &object.name).to_string();
    budget.covers(key)
        && match budget.spec.share {
            Share::Shared => full.subjects.is_none(),
            Share::PerKey => pot(&key_id()),
            Share::PerUser => {
                let user = key.spec.subject.as_ref().and_then(|subject| subject.user.clone());
                pot(&user.unwrap_or_else(key_id))
            }
        }
}

/// What to say where something refuses it.
pub(super) fn refusal(blocked_by: &[BlockedBy]) -> Option<String> {
    let names: Vec<String> = blocked_by
        .iter()
        .map(|blocker| match blocker.kind.as_str() {
            VIRTUAL_KEY => "spec.budget".to_owned(),
            kind => format!("{kind} {}", blocker.name),
        })
        .collect();
    let names = names.join(", ");
    (!names.is_empty())
        .then(|| format!("Used up: {names}. Requests are refused until the window is over or the limit is raised"))
}

/// Fills in the figures; held back for as long as others were written lately.
pub(super) fn paced(
    mut desired: Desired<VirtualKeyStatus>,
    before: Option<&VirtualKeyStatus>,
    spend: &Spend,
    now: Timestamp,
) -> Desired<VirtualKeyStatus> {
    if spend.store == Store::Absent {
        return desired;
    }
    if let Some(before) = before {
        keep(before, &mut desired.status);
    }
    if spend.store != Store::Fresh {
        return desired;
    }
    let held = desired.status.clone();
    let key_spend = desired.status.key_id.as_ref().and_then(|id| spend.keys.get(id)).copied().unwrap_or_default();
    let shown = &mut desired.status;
    shown.spent = Some(NanoUsd(key_spend.month_nano).to_decimal(2));
    let used = shown.last_used_time.as_ref().map(|time| time.0);
    shown.last_used_time = used.max(key_spend.last_used).map(Time);
    if *shown == held {
        return desired;
    }
    shown.last_spend_sync = Some(Time(now));
    let others_differ = before != Some(&held);
    // The first use is what people look for.
    let synced = held.last_spend_sync.as_ref().filter(|_| held.last_used_time.is_some());
    let due = synced.and_then(|time| time.0.checked_add(FIGURES_EVERY).ok());
    match due {
        Some(due) if due > now && !others_differ => {
            let next = earlier(desired.next, Some(due));
            Desired { status: held, next, ..desired }
        }
        _ => Desired { figures_only: !others_differ, ..desired },
    }
}

fn keep(before: &VirtualKeyStatus, status: &mut VirtualKeyStatus) {
    status.spent.clone_from(&before.spent);
    status.last_used_time.clone_from(&before.last_used_time);
    status.last_spend_sync.clone_from(&before.last_spend_sync);
}

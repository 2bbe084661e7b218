//! The conditions of a Budget that tell of spend. None of them makes it less ready: it does what its spec says.

use turnpike_crds::{
    Condition, ConditionType, Reason,
    budget::{BudgetStatus, Mode, OnExceed, Share, Window},
};

use super::figures::{self, Used};
use crate::{
    spend::{BudgetSpend, Store},
    status::{
        condition::{Aspect, Truth},
        message,
    },
};

const KINDS: [ConditionType; 3] =
    [ConditionType::WithinBudget, ConditionType::ThresholdReached, ConditionType::SpendSynced];

/// No database: nobody knows the sum of what gateways count.
pub(super) fn uncounted() -> [Aspect; 3] {
    let unknown = "Without a database nobody knows the sum of what the gateways count";
    let each = "No database is configured: each gateway counts for itself, and forgets with its pod. To enforce limits over \
                all gateways and see spend here, set database.urlSecret (or trial.postgresql) in the chart";
    [
        Aspect::new(ConditionType::WithinBudget, Truth::Unknown, Reason::NoDatabase, unknown),
        Aspect::new(ConditionType::ThresholdReached, Truth::Unknown, Reason::NoDatabase, unknown),
        Aspect::new(ConditionType::SpendSynced, Truth::False, Reason::NoDatabase, each),
    ]
}

/// Nothing was read of it yet: what was said before stands.
pub(super) fn pending(before: Option<&BudgetStatus>) -> [Aspect; 3] {
    KINDS.map(|kind| kept(before, kind).unwrap_or_else(|| unread(kind)))
}

/// The database does not answer.
pub(super) fn silent(before: Option<&BudgetStatus>, store: Store) -> [Aspect; 3] {
    let [within, threshold, _] = pending(before);
    let of_then = before.and_then(|before| before.last_spend_sync.as_ref()).map(|time| time.0);
    let since = match store {
        Store::Silent { since } => since.or(of_then),
        Store::Absent | Store::Waiting | Store::Fresh => of_then,
    };
    let message = match since {
        Some(time) => format!(
            "The database has not answered since {}, and figures are of that time; see that PostgreSQL runs and that the \
             operator reaches it",
            figures::text(time)
        ),
        None => "The database does not answer; see that PostgreSQL runs and that the operator reaches it".to_owned(),
    };
    [within, threshold, Aspect::new(ConditionType::SpendSynced, Truth::False, Reason::StoreUnavailable, message)]
}

/// What was read just now.
pub(super) fn current(spend: &BudgetSpend) -> [Aspect; 3] {
    let used = figures::used(spend);
    let synced = "The figures are read from the database every few seconds";
    [
        within(spend, &used),
        threshold(spend, &used),
        Aspect::new(ConditionType::SpendSynced, Truth::True, Reason::SpendSynced, synced),
    ]
}

fn within(spend: &BudgetSpend, used: &[Used<'_>]) -> Aspect {
    let full: Vec<String> =
        used.iter().filter(|used| used.percent >= 100).filter_map(|used| exceeded(spend, used)).collect();
    if full.is_empty() {
        return Aspect::new(ConditionType::WithinBudget, Truth::True, Reason::WithinBudget, "Every limit holds");
    }
    let message = message::bounded(full.join(". "));
    Aspect::new(ConditionType::WithinBudget, Truth::False, Reason::BudgetExceeded, message)
}

/// What is used up, and what that does. No figures, which would change with every request.
fn exceeded(spend: &BudgetSpend, used: &Used<'_>) -> Option<String> {
    let entry = &spend.entry;
    let (limit, window) = (used.text()?, window(used.limit.window));
    let whose = match entry.share {
        Share::Shared => "",
        Share::PerKey => " by at least one key",
        Share::PerUser => " by at least one user",
    };
    let effect = match (entry.mode, entry.on_exceed, entry.throttle_rpm) {
        (Mode::Shadow, ..) | (_, OnExceed::Notify, _) => "requests go on, as the spec says".to_owned(),
        (_, OnExceed::Throttle, Some(rpm)) => format!("each key may make {rpm} requests a minute"),
        (_, OnExceed::Block | OnExceed::Throttle, _) => match used.resets_at() {
            Some(end) => format!("requests are refused until {}; raise the limit to go on before", figures::text(end)),
            None => "requests are refused; raise the limit to go on".to_owned(),
        },
    };
    Some(format!("The limit of {limit}{window} is used up{whose}: {effect}"))
}

fn threshold(spend: &BudgetSpend, used: &[Used<'_>]) -> Aspect {
    let aspect = |truth, reason, message: String| Aspect::new(ConditionType::ThresholdReached, truth, reason, message);
    let thresholds = &spend.entry.alert_thresholds;
    let reached: Vec<String> = used
        .iter()
        .filter_map(|used| {
            let highest = thresholds.iter().copied().filter(|percent| *percent <= used.percent).max()?;
            Some(reached(highest, &used.text()?, used.limit.window))
        })
        .collect();
    if !reached.is_empty() {
        return aspect(Truth::True, Reason::ThresholdReached, message::bounded(reached.join(". ")));
    }
    let message = if thresholds.is_empty() { "spec.alertThresholds is empty" } else { "No threshold is reached" };
    aspect(Truth::False, Reason::BelowThresholds, message.to_owned())
}

/// `80 % of the limit of 500.00 USD a month is used`.
pub(crate) fn reached(percent: i32, limit: &str, of: Window) -> String {
    format!("{percent} % of the limit of {limit}{} is used", window(of))
}

const fn window(window: Window) -> &'static str {
    match window {
        Window::Minute => " a minute",
        Window::Hour => " an hour",
        Window::Day => " a day",
        Window::Week => " a week",
        Window::Month => " a month",
        Window::Year => " a year",
        Window::Lifetime => "",
    }
}

fn unread(kind: ConditionType) -> Aspect {
    Aspect::new(kind, Truth::Unknown, Reason::Pending, "Spend is being read")
}

/// A condition as it stands.
fn kept(before: Option<&BudgetStatus>, kind: ConditionType) -> Option<Aspect> {
    let find = |condition: &&Condition| condition.type_ == kind.as_str();
    let condition = before?.conditions.iter().find(find)?;
    let truth =
        [Truth::True, Truth::False, Truth::Unknown].into_iter().find(|truth| truth.as_str() == condition.status)?;
    let reason = Reason::ALL.iter().copied().find(|reason| reason.as_str() == condition.reason)?;
    // That there is no database is no longer so.
    (reason != Reason::NoDatabase).then(|| Aspect::new(kind, truth, reason, condition.message.clone()))
}

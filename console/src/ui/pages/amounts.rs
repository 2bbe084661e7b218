//! The page of budgets, and the bars that keys have too.

use askama::Template;

use super::{Badge, When};
use crate::ui::{
    facts::{self, Amount, Budgets, Unit},
    format,
};

#[derive(Template)]
#[template(path = "budgets.html")]
pub(super) struct Page<'a> {
    now: String,
    budgets: Vec<Budget<'a>>,
}

struct Budget<'a> {
    of: &'a facts::Budget,
    state: Badge,
    thresholds: Vec<String>,
    amounts: Vec<Bar<'a>>,
}

/// How one limit stands.
pub(super) struct Bar<'a> {
    pub(super) pot: &'a str,
    pub(super) window: &'a str,
    pub(super) unit: &'static str,
    pub(super) limit: String,
    pub(super) spent: String,
    pub(super) held: Option<String>,
    pub(super) left: String,
    pub(super) percent: i64,
    /// Of a hundred, to be drawn.
    pub(super) spent_width: i64,
    pub(super) held_width: i64,
    pub(super) tone: &'static str,
    pub(super) resets: Option<When>,
}

impl<'a> Page<'a> {
    pub(super) fn new(facts: &'a Budgets) -> Self {
        let budgets = facts.budgets.iter().map(|budget| Budget {
            of: budget,
            state: state(budget),
            thresholds: budget.thresholds.iter().map(|percent| format!("{percent} %")).collect(),
            amounts: budget.amounts.iter().map(|amount| Bar::new(amount, facts.now)).collect(),
        });
        Self { now: format::moment(facts.now), budgets: budgets.collect() }
    }
}

/// The worst of its pots.
fn state(budget: &facts::Budget) -> Badge {
    if budget.of_end_users && budget.amounts.is_empty() {
        return Badge::new("off", "One pot for each end user");
    }
    let used =
        budget.amounts.iter().map(|amount| format::percent(amount.spent, amount.limit)).max().unwrap_or_default();
    let crossed = budget.thresholds.iter().filter(|threshold| i64::from(**threshold) <= used).max();
    match (used >= 100, budget.acts, crossed) {
        (true, true, _) => Badge::new("bad", format!("Exceeded: {}", budget.on_exceed)),
        (true, false, _) => Badge::new("warn", "Exceeded, only told"),
        (false, _, Some(threshold)) => Badge::new("warn", format!("Over {threshold} %")),
        (false, _, None) => Badge::new("good", "Within"),
    }
}

impl<'a> Bar<'a> {
    pub(super) fn new(amount: &'a Amount, now: i64) -> Self {
        let shown = |value| match amount.unit {
            Unit::Usd => format::usd(value),
            Unit::Tokens | Unit::Requests => format::count(value),
        };
        let percent = format::percent(amount.spent, amount.limit);
        // Something is more than nothing.
        let spent_width = percent.clamp(i64::from(amount.spent > 0), 100);
        let held_width = format::percent(amount.held, amount.limit).clamp(0, 100 - spent_width);
        Self {
            pot: &amount.pot,
            window: &amount.window,
            unit: match amount.unit {
                Unit::Usd => "",
                Unit::Tokens => "tokens",
                Unit::Requests => "requests",
            },
            limit: shown(amount.limit),
            spent: shown(amount.spent),
            held: (amount.held > 0).then(|| shown(amount.held)),
            left: shown(amount.limit.saturating_sub(amount.spent).saturating_sub(amount.held).max(0)),
            percent,
            spent_width,
            held_width,
            tone: match percent {
                100.. => "bad",
                80.. => "warn",
                _ => "good",
            },
            resets: amount.resets_at.map(|at| When::new(at, now)),
        }
    }
}

//! The tightest of several limits, in words for a column.

use std::cmp::Ordering;

use turnpike_bundle::entry::LimitEntry;
use turnpike_crds::budget::{BudgetLimit, Window};

/// The limit that is used up first at an even pace: of those in USD if there are any, else in tokens, else in requests.
pub fn tightest(limits: &[BudgetLimit]) -> Option<&BudgetLimit> {
    limits.iter().min_by(|a, b| pace_order(pace(a), pace(b)))
}

/// The smaller is used up first.
pub fn pace_order(a: (u8, f64), b: (u8, f64)) -> Ordering {
    a.0.cmp(&b.0).then(a.1.partial_cmp(&b.1).unwrap_or(Ordering::Equal))
}

/// Rank of the unit, and amount by the second, of a compiled limit.
#[expect(clippy::cast_precision_loss, reason = "only compared")]
pub fn pace_of(limit: &LimitEntry) -> (u8, f64) {
    let (rank, amount) = match limit {
        LimitEntry { usd_nano: Some(amount), .. } => (0, amount),
        LimitEntry { tokens: Some(amount), .. } => (1, amount),
        LimitEntry { requests: Some(amount), .. } => (2, amount),
        LimitEntry { .. } => (3, &0),
    };
    (rank, *amount as f64 / seconds(limit.window))
}

/// Rank of the unit, and amount by the second.
#[expect(clippy::cast_precision_loss, reason = "only compared")]
fn pace(limit: &BudgetLimit) -> (u8, f64) {
    let (rank, amount) = match limit {
        BudgetLimit { usd: Some(usd), .. } => (0, usd.nano().map_or(f64::MAX, |nano| nano.0 as f64)),
        BudgetLimit { tokens: Some(tokens), .. } => (1, *tokens as f64),
        BudgetLimit { requests: Some(requests), .. } => (2, *requests as f64),
        BudgetLimit { .. } => (3, 0.0),
    };
    (rank, amount / seconds(limit.window))
}

/// About how long a window is. A Lifetime counts as ten years.
const fn seconds(window: Window) -> f64 {
    match window {
        Window::Minute => 60.0,
        Window::Hour => 3_600.0,
        Window::Day => 86_400.0,
        Window::Week => 604_800.0,
        Window::Month => 2_629_746.0,
        Window::Year => 31_556_952.0,
        Window::Lifetime => 315_569_520.0,
    }
}

/// `500.00 USD`, `100000 tokens` or `10000 requests`.
pub fn amount(limit: &BudgetLimit) -> Option<String> {
    match limit {
        BudgetLimit { usd: Some(usd), .. } => Some(format!("{} USD", usd.0)),
        BudgetLimit { tokens: Some(tokens), .. } => Some(format!("{tokens} tokens")),
        BudgetLimit { requests: Some(requests), .. } => Some(format!("{requests} requests")),
        BudgetLimit { .. } => None,
    }
}

/// The same with its window: `50.00/Month`, `100000 tokens/Day`.
pub fn amount_by_window(limit: &BudgetLimit) -> Option<String> {
    let amount = limit.usd.as_ref().map(|usd| usd.0.clone()).or_else(|| amount(limit))?;
    Some(format!("{amount}/{:?}", limit.window))
}

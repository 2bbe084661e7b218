//! Keys and budgets.

use super::Rates;

/// The page of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// When this was true.
    pub now: i64,
    /// Every `VirtualKey`.
    pub keys: Vec<Key>,
    /// Keys that are not among these.
    pub more: usize,
    /// Spend per key is known.
    pub has_log: bool,
}

/// One `VirtualKey`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Key {
    /// `namespace/name`.
    pub object: String,
    /// What logs and rows name it.
    pub id: String,
    /// Team that spend is booked to.
    pub team: Option<String>,
    /// User that spend is booked to.
    pub user: Option<String>,
    /// What it may call; empty = nothing.
    pub models: Vec<String>,
    /// Rates.
    pub limits: Rates,
    /// The key's own budget.
    pub budget: Vec<Amount>,
    /// Names of the Budgets that count it.
    pub budgets: Vec<String>,
    /// nano-USD of the last 30 days, today included.
    pub spent: i64,
    /// Requests of the last 30 days.
    pub requests: i64,
    /// After which it is refused.
    pub expires_at: Option<i64>,
    /// Refused now.
    pub suspended: bool,
    /// Live values: two while it is rotated.
    pub live: usize,
}

/// The page of budgets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Budgets {
    /// When this was true.
    pub now: i64,
    /// Every `Budget`.
    pub budgets: Vec<Budget>,
}

/// One `Budget`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// `namespace/name`.
    pub object: String,
    /// Who shares a pot.
    pub share: String,
    /// Whether it acts.
    pub mode: String,
    /// What happens beyond a limit.
    pub on_exceed: String,
    /// Going beyond a limit changes what requests get.
    pub acts: bool,
    /// Percents of a limit at which to notify, ascending.
    pub thresholds: Vec<i32>,
    /// Keys that it counts.
    pub keys: usize,
    /// How its pots stand.
    pub amounts: Vec<Amount>,
    /// Pots that are not among these.
    pub more: usize,
    /// Its pots are those of end users, who are not known beforehand.
    pub of_end_users: bool,
}

/// One limit of one pot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Whose pot; empty = there is one.
    pub pot: String,
    /// What is counted.
    pub unit: Unit,
    /// Over which stretch of time.
    pub window: String,
    /// In the unit.
    pub limit: i64,
    /// Booked in the window.
    pub spent: i64,
    /// Held by requests under way and by this gateway for the next ones.
    pub held: i64,
    /// When it begins anew; `None` = never.
    pub resets_at: Option<i64>,
}

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// nano-USD.
    #[default]
    Usd,
    /// Tokens.
    Tokens,
    /// Requests.
    Requests,
}

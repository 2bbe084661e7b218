//! Why a request does not get what it needs.

use std::{sync::Arc, time::Duration};

use crate::{
    account::{AccountSpec, Tally},
    spend_log::Posting,
};

/// A limit that does not let a request pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The account.
    pub account: Arc<AccountSpec>,
    /// Why.
    pub cause: Cause,
    /// What the request needs at most, in the account's unit.
    pub needed: i64,
    /// What is spent in the window.
    pub spent: i64,
    /// What requests under way hold, here and at other gateways.
    pub reserved: i64,
    /// When all or some of it comes back, microseconds since the epoch; `None` = never.
    pub resets_at: Option<i64>,
    /// When it is worth to try again; only for rates.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// What the books are told of it at the store's time `now`; `None` = nothing.
    pub fn posting(&self, now: i64) -> Option<Posting> {
        let account = self.account.tally(Tally::Refused)?;
        Some(Posting { account, lease: None, slot: self.account.window.slot(now).start, amount: 1 })
    }
}

/// What stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// What is left of the limit is not enough.
    Exhausted,
    /// The request could cost more than the whole limit: it can never pass.
    TooLarge,
    /// The store does not answer, and the limit must not be passed unseen.
    Unavailable,
}

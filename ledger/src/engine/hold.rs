//! What a request holds of its accounts from dispatch to its last byte.

use std::sync::Arc;

use super::pot::{Grant, Pot, Taken};
use crate::{
    account::{AccountSpec, Charge, Excess, Outage, Tally, Unit},
    spend_log::Posting,
};

/// What one attempt used in the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// nano-USD.
    pub nano_usd: i64,
    /// Prompt and completion tokens.
    pub tokens: i64,
}

impl Used {
    const fn of(self, unit: Unit) -> i64 {
        match unit {
            Unit::NanoUsd => self.nano_usd,
            Unit::Tokens => self.tokens,
            Unit::Requests => 1,
            Unit::Parallel => 0,
        }
    }
}

/// What a settled hold means to the books.
#[derive(Debug, Default)]
pub struct Settled {
    /// For the spend row.
    pub postings: Vec<Posting>,
    /// Accounts on which more was used than held: a bound did not hold.
    pub exceeded: usize,
}

/// Amounts held of several accounts. Dropped without being settled, all of it is given back.
#[derive(Debug, Default)]
pub struct Hold {
    pub(super) parts: Vec<Part>,
}

/// One account's share of a hold.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) spec: Arc<AccountSpec>,
    /// The most that may be used.
    pub(super) amount: i64,
    pub(super) of: Source,
    /// Start of the slot that it is booked in.
    pub(super) slot: i64,
}

/// Where a part is from.
#[derive(Debug)]
pub(super) enum Source {
    /// A lease.
    Lease(Arc<Pot>, Arc<Grant>, Taken),
    /// Nowhere: the account only counts.
    Nothing,
    /// Nowhere: it passes a budget while the store is down.
    Beyond,
    /// A place among those that pass while the store is down, given back at the end.
    Overdraft(Arc<Pot>),
}

impl Hold {
    /// Books what was used and frees the rest.
    pub fn settle(mut self, used: Used) -> Settled {
        let mut settled = Settled::default();
        for Part { spec, of, amount, slot } in self.parts.drain(..) {
            let used = used.of(spec.unit);
            let lease = match of {
                Source::Lease(pot, grant, taken) => {
                    grant.settle(taken, used, &spec);
                    pot.notify();
                    Some(grant.number)
                }
                Source::Overdraft(pot) => {
                    pot.restore(amount);
                    None
                }
                Source::Beyond => {
                    settled.postings.extend(overdrawn(&spec, slot, used));
                    None
                }
                Source::Nothing => None,
            };
            if used > amount && spec.charge == Charge::Ahead && lease.is_some() && !spec.is_rate() {
                settled.exceeded += 1;
            }
            if !spec.is_rate() && used != 0 {
                settled.postings.push(Posting { account: spec.id.clone(), lease, slot, amount: used });
            }
        }
        settled
    }

    /// What the books are told if the process dies now: all that is held.
    pub fn bound(&self) -> Vec<Posting> {
        let mut postings = Vec::with_capacity(self.parts.len());
        for Part { spec, amount, of, slot } in &self.parts {
            if spec.is_rate() || *amount == 0 {
                continue;
            }
            let lease = match of {
                Source::Lease(_, grant, _) => Some(grant.number),
                Source::Beyond => {
                    postings.extend(overdrawn(spec, *slot, *amount));
                    None
                }
                Source::Nothing | Source::Overdraft(_) => None,
            };
            postings.push(Posting { account: spec.id.clone(), lease, slot: *slot, amount: *amount });
        }
        postings
    }

    /// Whether some limit must not be passed unseen, not even by what a crash would hide.
    pub fn is_strict(&self) -> bool {
        self.parts.iter().any(|part| part.spec.outage == Outage::Refuse && part.spec.excess != Excess::Tell)
    }

    /// Gives all of it back: nothing was used.
    pub(super) fn release(&mut self) {
        for Part { spec, of, amount, .. } in self.parts.drain(..) {
            match of {
                Source::Lease(pot, grant, taken) => {
                    grant.release(taken, &spec);
                    pot.notify();
                }
                Source::Overdraft(pot) => pot.restore(amount),
                Source::Nothing | Source::Beyond => {}
            }
        }
    }
}

/// What is told of an amount that passed a budget while the store was down.
fn overdrawn(spec: &AccountSpec, slot: i64, amount: i64) -> Option<Posting> {
    let account = spec.tally(Tally::Overdrawn).filter(|_| spec.unit == Unit::NanoUsd && amount != 0)?;
    Some(Posting { account, lease: None, slot, amount })
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.release();
    }
}

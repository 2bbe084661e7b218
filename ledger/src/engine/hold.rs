//! What a request holds of its accounts from dispatch to its last byte.

use std::sync::Arc;

use super::{
    Need,
    pot::{Grant, Pot, Taken},
    wait::THROTTLE,
};
use crate::{
    account::{AccountSpec, Charge, Excess, Outage, OwnerKind, Tally, Unit},
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
    /// As much as there may be.
    pub const MOST: Self = Self { nano_usd: i64::MAX, tokens: i64::MAX };

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
    /// It bears what is used beyond this, which others of the account bear.
    from: i64,
    /// And up to this: the rest is borne by others.
    to: i64,
}

impl Part {
    /// The only one of its account.
    pub(super) fn new(spec: Arc<AccountSpec>, amount: i64, of: Source, slot: i64) -> Self {
        Self { spec, amount, of, slot, from: 0, to: i64::MAX }
    }

    /// Its share of what was used.
    fn share(&self, used: Used) -> i64 {
        used.of(self.spec.unit).clamp(self.from, self.to) - self.from
    }
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
        for part in self.parts.drain(..) {
            let used = part.share(used);
            let Part { spec, of, amount, slot, .. } = part;
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

    /// What the books are told if the process dies now: the most that the attempt may use, which may be less than is held where an
    /// earlier one of the request needed more.
    pub fn bound(&self, most: Used) -> Vec<Posting> {
        let mut postings = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let Part { spec, of, slot, .. } = part;
            let amount = part.share(most).min(part.amount);
            if spec.is_rate() || amount == 0 {
                continue;
            }
            let lease = match of {
                Source::Lease(_, grant, _) => Some(grant.number),
                Source::Beyond => {
                    postings.extend(overdrawn(spec, *slot, amount));
                    None
                }
                Source::Nothing | Source::Overdraft(_) => None,
            };
            postings.push(Posting { account: spec.id.clone(), lease, slot: *slot, amount });
        }
        postings
    }

    /// Whether some limit must not be passed unseen, not even by what a crash would hide.
    pub fn is_strict(&self) -> bool {
        self.parts.iter().any(|part| part.spec.outage == Outage::Refuse && part.spec.excess != Excess::Tell)
    }

    /// How much it has of an account, in the account's unit.
    pub fn amount(&self, account: &AccountSpec) -> i64 {
        self.parts.iter().filter(|part| part.spec.id == account.id).map(|part| part.amount).sum()
    }

    /// Parts with what counts a client's request, however often it is tried: for the attempt that follows one which must be
    /// settled. A model counts each attempt.
    #[must_use]
    pub fn split_request(&mut self) -> Self {
        let is_of_request = |part: &mut Part| {
            matches!(part.spec.unit, Unit::Requests | Unit::Parallel)
                && part.spec.owner.kind != OwnerKind::ModelDeployment
        };
        Self { parts: self.parts.extract_if(.., is_of_request).collect() }
    }

    /// Takes over what another one has.
    pub fn join(&mut self, mut other: Self) {
        for mut part in other.parts.drain(..) {
            if let Some(before) = self.parts.iter_mut().rfind(|before| before.spec.id == part.spec.id) {
                part.from = before.from.saturating_add(before.amount);
                before.to = part.from;
            }
            self.parts.push(part);
        }
    }

    /// What it lacks of a need. Where nothing is held, only more is expected to be used.
    pub(super) fn lacks(&mut self, need: &Need) -> Option<Need> {
        let Some(part) = self.parts.iter_mut().find(|part| part.spec.id == need.account.id) else {
            return Some(need.clone());
        };
        if matches!(part.of, Source::Nothing) || part.spec.charge == Charge::After {
            part.amount = part.amount.max(need.amount);
            return None;
        }
        let amount = need.amount.saturating_sub(self.amount(&need.account));
        (amount > 0).then(|| Need { amount, ..need.clone() })
    }

    /// Gives back what is held of accounts that nothing is needed of any more.
    pub(super) fn keep(&mut self, needs: &[Need]) {
        let is_needed = |spec: &AccountSpec| needs.iter().any(|need| need.account.id == spec.id);
        let mut unneeded = Self::default();
        unneeded.parts.extend(
            self.parts.extract_if(.., |part| !is_needed(&part.spec) && !part.spec.subject.starts_with(THROTTLE)),
        );
        // Dropped here: all of it goes back.
        drop(unneeded);
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

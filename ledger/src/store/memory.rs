//! Leases in this process alone: for the rates of a gateway that shares them with nobody.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use jiff::Timestamp;
use uuid::Uuid;

use super::{Answers, Balance, LeaseStore};
use crate::{
    account::AccountId,
    exchange::{self, Ask, Grants, Lease, Reply, Standing},
    spend_log::StoreError,
};

/// What was used longer ago counts for no rate, microseconds.
const FORGOTTEN: i64 = 120_000_000;

/// What one process may use. Nothing outlives it.
#[derive(Debug, Default)]
pub struct MemoryStore {
    accounts: HashMap<AccountId, Account>,
}

#[derive(Debug, Default)]
struct Account {
    /// By the start of the slot.
    spent: BTreeMap<i64, i64>,
    leases: BTreeMap<u64, Lease>,
}

impl MemoryStore {
    /// Answers all asks at the time `now`.
    pub(super) fn answers(&mut self, asks: &[Ask], now: i64) -> Answers {
        Answers { now, replies: asks.iter().map(|ask| self.answer(ask, now)).collect() }
    }

    fn answer(&mut self, ask: &Ask, now: i64) -> Reply {
        let account = self.accounts.entry(ask.account.clone()).or_default();
        let from = ask.window.counted_from(now);
        account.spent.retain(|slot, _| *slot >= from);
        let others = account.leases.iter().filter(|(number, _)| **number != ask.lease.number);
        let standing = Standing {
            spent: account.spent.values().sum(),
            others: others.map(|(_, lease)| lease.outstanding()).sum(),
            holders: 1,
        };
        let before = account.leases.get(&ask.lease.number).copied().unwrap_or_default();
        let done = exchange::exchange(ask, now, Grants::Open, before, standing);
        if done.lease.finished && done.lease.outstanding() == 0 {
            account.leases.remove(&ask.lease.number);
        } else {
            account.leases.insert(ask.lease.number, done.lease);
        }
        if done.book != 0 {
            *account.spent.entry(ask.window.slot(now).start).or_default() += done.book;
        }
        done.reply
    }
}

impl LeaseStore for MemoryStore {
    async fn exchange(&mut self, asks: &[Ask]) -> Result<Answers, StoreError> {
        Ok(self.answers(asks, Timestamp::now().as_microsecond()))
    }

    async fn beat(&mut self, _: Uuid, _: Duration) -> Result<i64, StoreError> {
        Ok(Timestamp::now().as_microsecond())
    }

    async fn close(&mut self, _: Uuid) -> Result<(), StoreError> {
        Ok(())
    }

    async fn reap(&mut self) -> Result<u64, StoreError> {
        let since = Timestamp::now().as_microsecond() - FORGOTTEN;
        self.accounts.retain(|_, account| {
            !account.leases.is_empty() || account.spent.last_key_value().is_some_and(|(slot, _)| *slot > since)
        });
        Ok(0)
    }

    async fn balances(&mut self, accounts: &[(AccountId, i64, i64)]) -> Result<Vec<Balance>, StoreError> {
        let balance = |(id, from, _): &(AccountId, i64, i64)| {
            let account = self.accounts.get(id)?;
            let spent = account.spent.range(from..).map(|(_, amount)| amount).sum();
            Some(Balance { spent, reserved: account.leases.values().map(Lease::outstanding).sum() })
        };
        Ok(accounts.iter().map(|account| balance(account).unwrap_or_default()).collect())
    }
}

//! What to ask the database for: accounts of Budgets and of keys, and the days that windows begin on.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use turnpike_bundle::{
    Objects, Settings,
    entry::{BudgetEntry, ObjectRef},
    key_budget, render,
};
use turnpike_crds::{
    KeyId,
    budget::{OnStoreUnavailable, Scope, Share, Window, WindowType},
};
use turnpike_ledger::{
    account::{AccountSpec, Tally},
    limits,
    store::AccountAt,
};

use crate::world::World;

/// Everything that limits, of one picture of the cluster.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Budgets that hold.
    pub budgets: Vec<Planned>,
    /// Keys with budgets of their own, and these.
    pub keys: Vec<(ObjectRef, Vec<Arc<AccountSpec>>)>,
}

/// One Budget.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The object.
    pub object: ObjectRef,
    /// `metadata.generation`.
    pub generation: Option<i64>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// What it compiles to.
    pub entry: Arc<BudgetEntry>,
    /// Its accounts but for rates; of the pot without a subject.
    pub accounts: Vec<Arc<AccountSpec>>,
    /// Keys that it covers, with their `keyId`.
    pub keys: Vec<(ObjectRef, String)>,
}

/// Accounts to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// With one pot.
    pub single: Vec<AccountAt>,
    /// With a pot for each subject.
    pub many: Vec<AccountAt>,
}

impl Plan {
    /// All that a picture of the cluster limits.
    pub fn new(world: &World, settings: &Settings) -> Self {
        // Alone, so that keys and models are not compiled once more.
        let objects = Objects { budgets: world.objects().budgets, ..Objects::default() };
        let entries = render(&objects, settings).contents.budgets;
        let keys = world.keys.iter().filter(|(_, key)| !key.spec.budget.is_empty());
        Self {
            budgets: entries.into_iter().map(|entry| planned(world, entry)).collect(),
            keys: keys.map(|(object, key)| (object.clone(), limits::of_key_budget(&key_budget(key)))).collect(),
        }
    }

    /// The accounts, each at the part of its time that counts `now` (microseconds since the epoch).
    pub fn asks(&self, now: i64) -> Asks {
        let mut asks = Asks::default();
        for budget in &self.budgets {
            let places = budget.accounts.iter().map(|account| at(account, now));
            match budget.entry.share {
                Share::Shared => asks.single.extend(places),
                Share::PerKey | Share::PerUser => asks.many.extend(places),
            }
        }
        asks.single.extend(self.keys.iter().flat_map(|(_, accounts)| accounts).map(|account| at(account, now)));
        asks.single.extend(self.budgets.iter().flat_map(|budget| budget.tallies(now)).map(|(_, at)| at));
        asks
    }

    /// The days since which use is told, ascending: of the month for keys, and of each window of a Budget that days can tell.
    pub fn days(&self, now: Timestamp) -> Vec<Date> {
        let windows = self.budgets.iter().flat_map(|budget| {
            let limits = budget.entry.limits.iter();
            limits.filter_map(move |limit| budget.first_day(limit.window, limit.window_type, now))
        });
        let days: BTreeSet<Date> = windows.chain([month(now)]).collect();
        days.into_iter().collect()
    }
}

impl Planned {
    /// What is counted beside the accounts, each once for each window.
    pub fn tallies(&self, now: i64) -> Vec<((Window, Tally), AccountAt)> {
        let fails_open = self.entry.on_store_unavailable == OnStoreUnavailable::FailOpen;
        let kinds = [(Tally::Refused, true), (Tally::Overdrawn, fails_open)];
        let mut tallies = BTreeMap::new();
        for account in &self.accounts {
            for (tally, _) in kinds.iter().filter(|(_, wanted)| *wanted) {
                let Some(id) = account.tally(*tally) else { continue };
                let place = AccountAt { account: id, limit: i64::MAX, ..at(account, now) };
                tallies.insert((account.window.window(), *tally), place);
            }
        }
        tallies.into_iter().collect()
    }

    /// The first UTC day of a window, or the day on which the Budget was made; `None` = whole days cannot tell what it counts.
    pub fn first_day(&self, window: Window, kind: Option<WindowType>, now: Timestamp) -> Option<Date> {
        let narrowed = self.entry.scope.as_ref().is_some_and(Scope::narrows);
        let whole_days = matches!(window, Window::Day | Window::Week | Window::Month | Window::Year);
        if narrowed || !whole_days || kind != Some(WindowType::Calendar) || self.entry.time_zone.is_some() {
            return None;
        }
        let start = turnpike_crds::window::around(window, &TimeZone::UTC, now)?.start;
        let created = self.created.unwrap_or(Timestamp::MIN);
        Some(day(start.max(created)))
    }
}

/// The first day of the current month, UTC.
pub fn month(now: Timestamp) -> Date {
    day(now).first_of_month()
}

fn day(time: Timestamp) -> Date {
    time.to_zoned(TimeZone::UTC).date()
}

fn at(account: &Arc<AccountSpec>, now: i64) -> AccountAt {
    AccountAt {
        account: account.id.clone(),
        counted: account.window.counted_from(now),
        slot: account.lease_slot(now).start,
        limit: account.limit,
    }
}

fn planned(world: &World, entry: BudgetEntry) -> Planned {
    let object = entry.object.clone();
    let budget = world.budgets.get(&object);
    let covered = world.keys.iter().filter(|(_, key)| {
        key.metadata.deletion_timestamp.is_none() && budget.is_some_and(|budget| budget.covers(key))
    });
    Planned {
        generation: budget.and_then(|budget| budget.metadata.generation),
        created: budget.and_then(|budget| budget.metadata.creation_timestamp.as_ref()).map(|time| time.0),
        accounts: limits::of_budget(&entry, "").into_iter().filter(|account| !account.is_rate()).collect(),
        keys: covered.map(|(key, _)| (key.clone(), KeyId::of(&key.namespace, &key.name).to_string())).collect(),
        entry: Arc::new(entry),
        object,
    }
}

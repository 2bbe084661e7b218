//! Answers of the database → what was spent of each object.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date};
use turnpike_bundle::entry::ObjectRef;
use turnpike_crds::budget::{OnExceed, Scope, Share, Window};
use turnpike_ledger::store::{KeyUse, Pots};

use super::{
    Amount, BudgetSpend, Full, KeySpend, Spend, Store, Usage,
    plan::{Plan, Planned, month},
};

/// Most keys that are told by name.
const TOP: usize = 10;

/// Microseconds of an hour.
const HOUR: i64 = 3_600_000_000;

/// What accounts answered, in the order of [`super::plan::Asks`].
#[derive(Clone, Debug, Default)]
pub struct Standings {
    /// With one pot.
    pub single: Vec<Pots>,
    /// With a pot for each subject.
    pub many: Vec<Pots>,
}

/// What keys have used.
#[derive(Clone, Debug, Default)]
pub struct Used {
    /// The days that were asked about, ascending.
    pub days: Vec<Date>,
    /// By `keyId`.
    pub keys: BTreeMap<String, KeyUse>,
}

/// When keys were last used: whatever grew between two answers was used in between.
#[derive(Clone, Debug, Default)]
pub struct LastUse {
    month: Option<Date>,
    requests: BTreeMap<String, i64>,
    times: BTreeMap<String, Timestamp>,
}

impl LastUse {
    /// Takes an answer of `now`.
    pub fn note(&mut self, used: &Used, now: Timestamp) {
        let first = month(now);
        let Some(index) = used.days.iter().position(|day| *day == first) else { return };
        let is_start = self.month.is_none();
        if self.month.replace(first) != Some(first) {
            self.requests.clear();
        }
        let hour = Timestamp::from_microsecond(now.as_microsecond().div_euclid(HOUR) * HOUR).unwrap_or(now);
        for (key, of_key) in &used.keys {
            let requests = of_key.since(index).requests;
            let before = self.requests.insert(key.clone(), requests);
            let time = match before {
                // Before this process was there, only the day is known.
                None if is_start => Timestamp::from_second(of_key.last_day * 86_400).ok(),
                Some(before) if before >= requests => None,
                None if requests == 0 => None,
                _ => Some(hour),
            };
            if let Some(time) = time {
                self.times.insert(key.clone(), time);
            }
        }
    }
}

/// Everything, at the database's time `now`.
pub fn assemble(plan: &Plan, standings: &Standings, used: &Used, last_use: &LastUse, now: Timestamp) -> Spend {
    let mut spend = Spend { store: Store::Fresh, ..Spend::default() };
    let (mut single, mut many) = (standings.single.iter(), standings.many.iter());
    for planned in &plan.budgets {
        let mut amounts = Vec::with_capacity(planned.accounts.len());
        for account in &planned.accounts {
            let pots = match planned.entry.share {
                Share::Shared => single.next(),
                Share::PerKey | Share::PerUser => many.next(),
            };
            let slot = account.window.lease_slot(now.as_microsecond());
            amounts.push(Amount { account: account.clone(), slot, pots: pots.cloned().unwrap_or_default() });
        }
        spend.full.extend(full(planned, &amounts));
        let budget = BudgetSpend {
            generation: planned.generation,
            entry: planned.entry.clone(),
            amounts,
            tallies: BTreeMap::new(),
            usage: usage(planned, used, now),
        };
        spend.budgets.insert(planned.object.clone(), budget);
    }
    for (object, accounts) in &plan.keys {
        let of_key = single.by_ref().take(accounts.len());
        let is_full =
            accounts.iter().zip(of_key).fold(false, |full, (account, pots)| full || (pots.spent >= account.limit));
        if is_full {
            spend.full_keys.insert(object.clone());
        }
    }
    for planned in &plan.budgets {
        let asked = planned.tallies(now.as_microsecond()).into_iter();
        let tallies = asked.zip(single.by_ref()).map(|((what, _), pots)| (what, pots.spent)).collect();
        if let Some(budget) = spend.budgets.get_mut(&planned.object) {
            budget.tallies = tallies;
        }
    }
    spend.keys = keys(used, last_use, now);
    spend
}

/// Whether and for whom it refuses, as far as every request is concerned.
fn full(planned: &Planned, amounts: &[Amount]) -> Option<Full> {
    let entry = &planned.entry;
    let narrowed = entry.scope.as_ref().is_some_and(Scope::narrows);
    if narrowed || !entry.acts() || entry.on_exceed != OnExceed::Block {
        return None;
    }
    let over = |amount: &Amount| {
        let limit = amount.account.limit;
        amount
            .pots
            .named
            .iter()
            .filter(move |pot| pot.spent >= limit)
            .map(|pot| pot.subject.clone())
            .collect::<Vec<_>>()
    };
    let subjects: std::collections::BTreeSet<String> = amounts.iter().flat_map(over).collect();
    let subjects_or_all = (entry.share != Share::Shared).then(|| subjects.clone());
    (!subjects.is_empty()).then(|| Full { budget: planned.object.clone(), subjects: subjects_or_all })
}

fn usage(planned: &Planned, used: &Used, now: Timestamp) -> BTreeMap<Window, Usage> {
    let mut windows = BTreeMap::new();
    for limit in &planned.entry.limits {
        let day = planned.first_day(limit.window, limit.window_type, now);
        let index = day.and_then(|day| used.days.iter().position(|asked| *asked == day));
        if let Some(index) = index {
            windows.entry(limit.window).or_insert_with(|| usage_since(planned, used, index));
        }
    }
    windows
}

fn usage_since(planned: &Planned, used: &Used, index: usize) -> Usage {
    let mut usage = Usage::default();
    let mut spenders: Vec<(ObjectRef, i64)> = Vec::new();
    for (object, key_id) in &planned.keys {
        let Some(of_key) = used.keys.get(key_id) else { continue };
        let sum = of_key.since(index);
        usage.prompt_tokens += sum.prompt_tokens;
        usage.completion_tokens += sum.completion_tokens;
        usage.cached_tokens += sum.cached_tokens;
        usage.cost_nano += sum.cost_nano;
        if sum.cost_nano > 0 {
            spenders.push((object.clone(), sum.cost_nano));
        }
    }
    spenders.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    spenders.truncate(TOP);
    usage.top = spenders;
    usage
}

fn keys(used: &Used, last_use: &LastUse, now: Timestamp) -> BTreeMap<String, KeySpend> {
    let index = used.days.iter().position(|day| *day == month(now));
    let times = last_use
        .times
        .iter()
        .map(|(key, time)| (key.clone(), KeySpend { last_used: Some(*time), ..KeySpend::default() }));
    let mut keys: BTreeMap<String, KeySpend> = times.collect();
    for (key, of_key) in &used.keys {
        let month_nano = index.map(|index| of_key.since(index).cost_nano).unwrap_or_default();
        if month_nano > 0 || keys.contains_key(key) {
            keys.entry(key.clone()).or_default().month_nano = month_nano;
        }
    }
    keys
}

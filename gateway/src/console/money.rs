//! Keys and Budgets, and how their accounts stand.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use turnpike_bundle::entry::{BudgetEntry, Contents, KeyEntry, covers};
use turnpike_console::ui::facts::{Amount, Budget, Budgets, Key, Keys, Rates, Unavailable};
use turnpike_crds::budget::{Share, Window, WindowType};
use turnpike_ledger::{account::AccountSpec, limits, store::Balance};

use super::{View, now, unit};

/// Keys on one page, and pots of one budget: more would be no page for people.
const MOST_KEYS: usize = 500;
const MOST_POTS: usize = 50;
/// Days of a key's spend.
const DAYS: i64 = 30;

impl View {
    pub(super) async fn all_keys(&self) -> Result<Keys, Unavailable> {
        let (contents, now) = (self.contents()?, now());
        let entries = contents.keys.get(..MOST_KEYS).unwrap_or(&contents.keys);
        let accounts: Vec<Vec<Arc<AccountSpec>>> = entries.iter().map(limits::of_key_budget).collect();
        let mut balances = self.balances(&accounts.concat()).await?.into_iter();
        let mut used: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        let sums = self.days(now.div_euclid(86_400) - DAYS + 1).await?;
        for sum in sums.iter().flatten() {
            let (spent, requests) = used.entry(sum.name.clone()).or_default();
            *spent = spent.saturating_add(sum.cost_nano);
            *requests = requests.saturating_add(sum.requests);
        }
        let mut keys = Vec::with_capacity(entries.len());
        for (entry, accounts) in entries.iter().zip(&accounts) {
            let budget = accounts.iter().filter_map(|account| {
                let balance = balances.next().unwrap_or_default();
                self.amount(account, balance, None)
            });
            let budget = budget.collect();
            keys.push(key(entry, budget, used.get(&entry.key_id).copied().unwrap_or_default(), &contents));
        }
        Ok(Keys { now, keys, more: contents.keys.len() - entries.len(), has_log: sums.is_some() })
    }

    pub(super) async fn all_budgets(&self) -> Result<Budgets, Unavailable> {
        let contents = self.contents()?;
        let accounted = contents.budgets.iter().map(|entry| {
            let keys: Vec<&KeyEntry> = contents.keys.iter().filter(|key| covers(entry, key)).collect();
            let pots = pots(entry, &keys);
            let shown = pots.iter().take(MOST_POTS);
            let accounts: Vec<_> = shown.flat_map(|pot| limits::of_budget(entry, pot)).collect();
            (entry, keys.len(), pots.len(), accounts)
        });
        let accounted: Vec<_> = accounted.collect();
        let all: Vec<_> = accounted.iter().flat_map(|(.., accounts)| accounts).cloned().collect();
        let mut balances = self.balances(&all).await?.into_iter();
        let mut budgets = Vec::with_capacity(accounted.len());
        for (entry, keys, pots, accounts) in &accounted {
            let zone = entry.time_zone.as_deref();
            let amounts =
                accounts.iter().filter_map(|account| self.amount(account, balances.next().unwrap_or_default(), zone));
            budgets.push(Budget {
                object: entry.object.to_string(),
                share: match entry.share {
                    Share::Shared => "shared by its keys".to_owned(),
                    Share::PerKey => "one pot for each key".to_owned(),
                    Share::PerUser => "one pot for each user".to_owned(),
                },
                mode: format!("{:?}", entry.mode),
                on_exceed: format!("{:?}", entry.on_exceed),
                acts: entry.acts(),
                thresholds: entry.alert_thresholds.clone(),
                keys: *keys,
                amounts: amounts.collect(),
                more: pots.saturating_sub(MOST_POTS),
                of_end_users: entry.is_of_end_users(),
            });
        }
        Ok(Budgets { now: now(), budgets })
    }

    fn amount(&self, account: &AccountSpec, balance: Balance, zone: Option<&str>) -> Option<Amount> {
        let resets_at = account.window.resets_at(self.app.ledger.now());
        Some(Amount {
            pot: account.subject.to_string(),
            unit: unit(account.unit)?,
            window: window(account, zone),
            limit: account.limit,
            spent: balance.spent,
            held: balance.reserved,
            resets_at: resets_at.map(|at| at.div_euclid(1_000_000)),
        })
    }
}

fn key(entry: &KeyEntry, budget: Vec<Amount>, (spent, requests): (i64, i64), contents: &Contents) -> Key {
    let limits = &entry.limits;
    Key {
        object: entry.object.to_string(),
        id: entry.key_id.clone(),
        team: entry.team.clone(),
        user: entry.user.clone(),
        models: entry.allowed_models.clone(),
        limits: Rates { rpm: limits.rpm, tpm: limits.tpm, parallel: limits.max_parallel },
        budget,
        budgets: contents
            .budgets
            .iter()
            .filter(|budget| covers(budget, entry))
            .map(|budget| budget.object.to_string())
            .collect(),
        spent,
        requests,
        expires_at: entry.expires_at,
        suspended: entry.suspended,
        live: entry.hashes.iter().filter(|hash| hash.retires_at.is_none_or(|at| at > now())).count(),
    }
}

/// Who has a pot of a budget; empty name = there is one for all.
fn pots<'a>(budget: &BudgetEntry, keys: &[&'a KeyEntry]) -> BTreeSet<&'a str> {
    if budget.share == Share::Shared {
        return BTreeSet::from([""]);
    }
    // Those of end users are known once their requests come.
    keys.iter().filter_map(|key| limits::subject(budget, key)).collect()
}

fn window(account: &AccountSpec, zone: Option<&str>) -> String {
    let name = match account.window.window() {
        Window::Minute => "minute",
        Window::Hour => "hour",
        Window::Day => "day",
        Window::Week => "week",
        Window::Month => "month",
        Window::Year => "year",
        Window::Lifetime => return "for ever".to_owned(),
    };
    match account.window.window_type() {
        Some(WindowType::Calendar) => format!("each {name}, {}", zone.unwrap_or("UTC")),
        Some(WindowType::Rolling) | None => format!("any {name}"),
    }
}

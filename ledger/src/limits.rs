//! What the limits of objects mean as accounts: the one place where gateways, which count, and the operator, which tells,
//! learn an account's name.

use std::{collections::BTreeMap, sync::Arc};

use jiff::tz::TimeZone;
use turnpike_bundle::entry::{BudgetEntry, KeyEntry, LimitEntry, ModelEntry, ObjectRef};
use turnpike_crds::{
    budget::{Enforcement, Mode, OnExceed, OnStoreUnavailable, Share},
    window::zone,
};

use crate::{
    account::{AccountId, AccountSpec, Charge, Excess, Outage, Owner, OwnerKind, Unit},
    window::WindowSpec,
};

pub use end_users::EndUsers;

mod end_users;

/// Share of a limit that a gateway lets pass in an outage where nothing else is said: one part in so many.
const OUTAGE_SHARE: i64 = 20;

/// A key's own limit.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyLimit {
    /// What is counted.
    pub account: Arc<AccountSpec>,
    /// The one model whose requests count; `None` = all.
    pub model: Option<String>,
}

/// How accounts of one object behave.
struct Terms<'a> {
    owner: Owner,
    subject: &'a str,
    reset: Option<&'a str>,
    zone: TimeZone,
    excess: Excess,
    charge: Charge,
    /// What an outage allows of a limit.
    outage: &'a dyn Fn(Unit, i64) -> Outage,
}

impl Terms<'_> {
    fn account(&self, unit: Unit, window: WindowSpec, limit: i64) -> AccountSpec {
        AccountSpec {
            id: AccountId::new(&self.owner, unit, &window, self.subject, self.reset),
            owner: self.owner.clone(),
            subject: self.subject.into(),
            unit,
            window,
            limit,
            excess: self.excess,
            charge: self.charge,
            outage: (self.outage)(unit, limit),
        }
    }

    /// Of several limits over one account the smallest holds.
    fn accounts(&self, limits: &[LimitEntry]) -> Vec<Arc<AccountSpec>> {
        let mut accounts: BTreeMap<AccountId, AccountSpec> = BTreeMap::new();
        for entry in limits {
            let amounts =
                [(Unit::NanoUsd, entry.usd_nano), (Unit::Tokens, entry.tokens), (Unit::Requests, entry.requests)];
            for (unit, limit) in amounts {
                let Some(limit) = limit else { continue };
                let window = WindowSpec::new(entry.window, entry.window_type, self.zone.clone());
                let account = self.account(unit, window, limit);
                let smallest = accounts.entry(account.id.clone()).or_insert_with(|| account.clone());
                if account.limit < smallest.limit {
                    *smallest = account;
                }
            }
        }
        accounts.into_values().map(Arc::new).collect()
    }

    fn rates(&self, rpm: Option<i64>, tpm: Option<i64>, parallel: Option<i64>) -> Vec<Arc<AccountSpec>> {
        let account = |unit, window, limit: Option<i64>| Some(Arc::new(self.account(unit, window, limit?)));
        [
            account(Unit::Requests, WindowSpec::minute(), rpm),
            account(Unit::Tokens, WindowSpec::minute(), tpm),
            account(Unit::Parallel, WindowSpec::lifetime(), parallel),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// The pot of a Budget that a key's requests are counted in: empty = the shared one, `None` = each end user has one.
pub fn subject<'a>(budget: &BudgetEntry, key: &'a KeyEntry) -> Option<&'a str> {
    match budget.share {
        Share::Shared => Some(""),
        Share::PerKey => Some(&key.key_id),
        Share::PerUser if budget.is_of_end_users() => None,
        Share::PerUser => Some(key.user.as_deref().unwrap_or(&key.key_id)),
    }
}

/// The accounts of one pot of a Budget, sorted by id; `subject` names the pot: empty = the shared one.
pub fn of_budget(budget: &BudgetEntry, subject: &str) -> Vec<Arc<AccountSpec>> {
    let excess = match (budget.mode, budget.on_exceed, budget.throttle_rpm) {
        (Mode::Shadow, ..) | (_, OnExceed::Notify, _) => Excess::Tell,
        (_, OnExceed::Throttle, Some(rpm)) => Excess::Throttle { rpm },
        (_, OnExceed::Block | OnExceed::Throttle, _) => Excess::Refuse,
    };
    let outage = |unit, limit: i64| match (budget.on_store_unavailable, unit, budget.fail_open_usd) {
        (OnStoreUnavailable::FailClosed, ..) => Outage::Refuse,
        (OnStoreUnavailable::FailOpen, Unit::NanoUsd, Some(most)) => Outage::Allow(most),
        (OnStoreUnavailable::FailOpen, ..) => Outage::Allow(limit.saturating_add(OUTAGE_SHARE - 1) / OUTAGE_SHARE),
    };
    let zone = budget.time_zone.as_deref().and_then(zone).unwrap_or(TimeZone::UTC);
    let terms = Terms {
        owner: owner(OwnerKind::Budget, &budget.object),
        subject,
        reset: budget.reset.as_deref(),
        zone,
        excess,
        charge: match budget.enforcement {
            Enforcement::Strict => Charge::Ahead,
            Enforcement::Soft => Charge::After,
        },
        outage: &outage,
    };
    terms.accounts(&budget.limits)
}

/// A key's own limits: in UTC, enforced and strict. Its budget refuses while it cannot be counted; its rates go on.
pub fn of_key(key: &KeyEntry) -> Vec<KeyLimit> {
    let budget = of_key_budget(key).into_iter().map(|account| KeyLimit { account, model: None });
    let rates = own(OwnerKind::VirtualKey, &key.object, "", None, &go_on);
    let limits = &key.limits;
    let all = rates.rates(limits.rpm, limits.tpm, limits.max_parallel);
    let all = all.into_iter().map(|account| KeyLimit { account, model: None });
    let single = limits.per_model.iter().flat_map(|limit| {
        let terms = own(OwnerKind::VirtualKey, &key.object, &limit.model, None, &go_on);
        let rates = terms.rates(limit.rpm, limit.tpm, None);
        rates.into_iter().map(|account| KeyLimit { account, model: Some(limit.model.clone()) })
    });
    budget.chain(all).chain(single).collect()
}

/// A key's own budget, sorted by id.
pub fn of_key_budget(key: &KeyEntry) -> Vec<Arc<AccountSpec>> {
    own(OwnerKind::VirtualKey, &key.object, "", key.reset.as_deref(), &|_, _| Outage::Refuse).accounts(&key.budget)
}

/// What a backend is given, whoever asks.
pub fn of_model(model: &ModelEntry) -> Vec<Arc<AccountSpec>> {
    let terms = own(OwnerKind::ModelDeployment, &model.object, "", None, &go_on);
    terms.rates(model.limits.rpm, model.limits.tpm, model.limits.max_parallel)
}

/// A rate without its store is counted by each gateway for itself.
fn go_on(_: Unit, limit: i64) -> Outage {
    Outage::Allow(limit)
}

fn own<'a>(
    kind: OwnerKind,
    object: &ObjectRef,
    subject: &'a str,
    reset: Option<&'a str>,
    outage: &'a dyn Fn(Unit, i64) -> Outage,
) -> Terms<'a> {
    Terms {
        owner: owner(kind, object),
        subject,
        reset,
        zone: TimeZone::UTC,
        excess: Excess::Refuse,
        charge: Charge::Ahead,
        outage,
    }
}

fn owner(kind: OwnerKind, object: &ObjectRef) -> Owner {
    Owner { kind, namespace: object.namespace.as_str().into(), name: object.name.as_str().into() }
}

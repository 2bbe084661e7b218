//! Which accounts count a key's requests.

use std::{collections::BTreeMap, sync::Arc};

use turnpike_bundle::entry::{BudgetEntry, KeyEntry, ObjectRef, covers};
use turnpike_crds::budget::{Scope, Share};
use turnpike_ledger::{account::AccountSpec, limits};

use crate::config::snapshot::{Allowed, EndUsers, Limit, Pots};

/// Budgets, ready to be matched with keys.
pub(super) struct Budgets<'a> {
    entries: &'a [BudgetEntry],
    /// The accounts of those that have one pot.
    shared: BTreeMap<&'a ObjectRef, Vec<Arc<AccountSpec>>>,
}

impl<'a> Budgets<'a> {
    pub(super) fn new(entries: &'a [BudgetEntry]) -> Self {
        let shared = entries.iter().filter(|budget| budget.share == Share::Shared);
        let shared = shared.map(|budget| (&budget.object, limits::of_budget(budget, ""))).collect();
        Self { entries, shared }
    }

    /// All limits on a key's requests: its own, and those of Budgets that cover it.
    pub(super) fn limits(&self, key: &KeyEntry) -> Vec<Limit> {
        let own = limits::of_key(key).into_iter().map(|limit| Limit {
            models: limit.model.map(|model| Allowed::compile(&[model])),
            end_users: EndUsers::All,
            tags: Arc::default(),
            pots: Pots::One(limit.account),
        });
        let covering = self.entries.iter().filter(|budget| covers(budget, key));
        own.chain(covering.flat_map(|budget| self.of(budget, key))).collect()
    }

    /// The lists of models that Budgets restrict a key to; each must allow a model.
    pub(super) fn within(&self, key: &KeyEntry) -> Vec<Allowed> {
        let restricting = self.entries.iter().filter(|budget| !budget.allowed_models.is_empty() && covers(budget, key));
        restricting.map(|budget| Allowed::compile(&budget.allowed_models)).collect()
    }

    fn of(&self, budget: &'a BudgetEntry, key: &KeyEntry) -> Vec<Limit> {
        let scope = budget.scope.as_ref();
        let end_users = end_users(scope);
        let pots: Vec<Pots> = match (budget.share, limits::subject(budget, key)) {
            (Share::Shared, _) => {
                self.shared.get(&budget.object).into_iter().flatten().cloned().map(Pots::One).collect()
            }
            (_, Some(subject)) => limits::of_budget(budget, subject).into_iter().map(Pots::One).collect(),
            (_, None) => vec![Pots::PerEndUser(Arc::new(budget.clone()))],
        };
        let models = scope.map_or(&[][..], |scope| &scope.models);
        let tags: Arc<[Box<str>]> =
            scope.into_iter().flat_map(|scope| &scope.request_tags).map(|tag| tag.as_str().into()).collect();
        pots.into_iter()
            .map(|pots| Limit {
                models: (!models.is_empty()).then(|| Allowed::compile(models)),
                end_users: end_users.clone(),
                tags: Arc::clone(&tags),
                pots,
            })
            .collect()
    }
}

fn end_users(scope: Option<&Scope>) -> EndUsers {
    match scope.and_then(|scope| scope.end_user.as_deref()) {
        None => EndUsers::All,
        Some("*") => EndUsers::Any,
        Some(name) => EndUsers::Only(name.into()),
    }
}

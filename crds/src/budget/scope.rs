//! Which keys a `Budget` covers.

use std::collections::BTreeMap;

use super::{Budget, KeySelector, LabelOperator, Scope};
use crate::VirtualKey;

/// What scopes look at of a key, wherever it was read.
#[derive(Clone, Copy, Debug)]
pub struct KeyFacts<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// `subject.team`.
    pub team: Option<&'a str>,
    /// `subject.user`.
    pub user: Option<&'a str>,
    /// `subject.tags`; `None` = none.
    pub tags: Option<&'a BTreeMap<String, String>>,
    /// `metadata.labels`; `None` = none.
    pub labels: Option<&'a BTreeMap<String, String>>,
    /// Whether one of its `budgetRefs` has the budget's name.
    pub names_budget: bool,
}

/// Whether a budget in `namespace` with this scope covers the key: the key names it in `budgetRefs`, or lies in the scope.
///
/// That a Budget may cover other namespaces is not checked here.
pub fn covers(namespace: &str, scope: Option<&Scope>, key: KeyFacts<'_>) -> bool {
    (key.names_budget && key.namespace == namespace) || scope.is_some_and(|scope| scope.covers(namespace, key))
}

impl Budget {
    /// Whether it [covers](covers) the key.
    pub fn covers(&self, key: &VirtualKey) -> bool {
        let subject = key.spec.subject.as_ref();
        let name = self.metadata.name.as_ref();
        let facts = KeyFacts {
            namespace: key.metadata.namespace.as_deref().unwrap_or_default(),
            team: subject.and_then(|subject| subject.team.as_deref()),
            user: subject.and_then(|subject| subject.user.as_deref()),
            tags: subject.map(|subject| &subject.tags),
            labels: key.metadata.labels.as_ref(),
            names_budget: key.spec.budget_refs.iter().any(|reference| Some(&reference.name) == name),
        };
        covers(self.metadata.namespace.as_deref().unwrap_or_default(), self.spec.scope.as_ref(), facts)
    }

    /// Namespaces whose keys it can cover by its scope; empty = its own.
    pub fn other_namespaces(&self) -> &[String] {
        self.spec.scope.as_ref().map_or(&[], |scope| &scope.namespaces)
    }
}

impl Scope {
    fn covers(&self, own: &str, key: KeyFacts<'_>) -> bool {
        let has_tag = |(name, value): (&String, &String)| key.tags.is_some_and(|tags| tags.get(name) == Some(value));
        self.selects_keys()
            && self.covers_namespace(own, key.namespace)
            && self.team.as_deref().is_none_or(|wanted| key.team == Some(wanted))
            && self.user.as_deref().is_none_or(|wanted| key.user == Some(wanted))
            && self.tag.iter().all(has_tag)
            && self.key_selector.as_ref().is_none_or(|selector| selector.matches(key.labels))
    }

    /// Whether keys of a namespace can lie in it, for a budget that lies in `own`.
    pub fn covers_namespace(&self, own: &str, namespace: &str) -> bool {
        let is_own = own == namespace;
        if self.namespaces.is_empty() {
            return is_own;
        }
        (self.namespace && is_own) || self.namespaces.iter().any(|listed| listed == namespace)
    }

    /// Whether only some requests of the keys that it covers count.
    pub fn narrows(&self) -> bool {
        !self.models.is_empty() || self.end_user.is_some() || !self.request_tags.is_empty()
    }

    /// Whether it says anything about keys; `models` only narrows what is counted of them.
    fn selects_keys(&self) -> bool {
        self.key_selector.is_some()
            || self.team.is_some()
            || self.user.is_some()
            || self.end_user.is_some()
            || !self.request_tags.is_empty()
            || !self.tag.is_empty()
            || self.namespace
            || !self.namespaces.is_empty()
    }
}

impl KeySelector {
    /// Whether labels meet every condition; an empty selector matches nothing.
    pub fn matches(&self, labels: Option<&BTreeMap<String, String>>) -> bool {
        let get = |key: &String| labels.and_then(|labels| labels.get(key));
        let meets = |condition: &super::LabelCondition| {
            let value = get(&condition.key);
            match condition.operator {
                LabelOperator::In => value.is_some_and(|value| condition.values.contains(value)),
                LabelOperator::NotIn => value.is_none_or(|value| !condition.values.contains(value)),
                LabelOperator::Exists => value.is_some(),
                LabelOperator::DoesNotExist => value.is_none(),
            }
        };
        let is_empty = self.match_labels.is_empty() && self.match_expressions.is_empty();
        !is_empty
            && self.match_labels.iter().all(|(key, value)| get(key) == Some(value))
            && self.match_expressions.iter().all(meets)
    }
}

//! Which keys a `Budget` covers.

use std::collections::BTreeMap;

use super::{Budget, KeySelector, LabelOperator, Scope};
use crate::VirtualKey;

impl Budget {
    /// Whether it covers the key: the key names it in `budgetRefs`, or lies in the scope.
    ///
    /// That a Budget may cover other namespaces is not checked here.
    pub fn covers(&self, key: &VirtualKey) -> bool {
        self.is_named_by(key) || self.spec.scope.as_ref().is_some_and(|scope| self.covers_by_scope(scope, key))
    }

    /// Namespaces whose keys it can cover by its scope; empty = its own.
    pub fn other_namespaces(&self) -> &[String] {
        self.spec.scope.as_ref().map_or(&[], |scope| &scope.namespaces)
    }

    fn is_named_by(&self, key: &VirtualKey) -> bool {
        self.metadata.namespace == key.metadata.namespace
            && key.spec.budget_refs.iter().any(|reference| Some(&reference.name) == self.metadata.name.as_ref())
    }

    fn covers_by_scope(&self, scope: &Scope, key: &VirtualKey) -> bool {
        let subject = key.spec.subject.as_ref();
        let team = subject.and_then(|subject| subject.team.as_ref());
        let user = subject.and_then(|subject| subject.user.as_ref());
        let has_tag =
            |(name, value): (&String, &String)| subject.is_some_and(|subject| subject.tags.get(name) == Some(value));
        scope.selects_keys()
            && self.covers_namespace(scope, key)
            && scope.team.as_ref().is_none_or(|wanted| team == Some(wanted))
            && scope.user.as_ref().is_none_or(|wanted| user == Some(wanted))
            && scope.tag.iter().all(has_tag)
            && scope.key_selector.as_ref().is_none_or(|selector| selector.matches(key.metadata.labels.as_ref()))
    }

    fn covers_namespace(&self, scope: &Scope, key: &VirtualKey) -> bool {
        let own = self.metadata.namespace == key.metadata.namespace;
        if scope.namespaces.is_empty() {
            return own;
        }
        let listed = key.metadata.namespace.as_ref().is_some_and(|namespace| scope.namespaces.contains(namespace));
        listed || (scope.namespace && own)
    }
}

impl Scope {
    /// Whether it says anything about keys; `models` only narrows what is counted of them.
    fn selects_keys(&self) -> bool {
        self.key_selector.is_some()
            || self.team.is_some()
            || self.user.is_some()
            || self.end_user.is_some()
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

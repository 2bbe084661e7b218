//! Which keys a Budget covers.

use serde_json::{Value, json};
use turnpike_crds::{Budget, VirtualKey};

fn covers(scope: &Value, key: &Value) -> bool {
    let mut metadata = json!({"namespace": "team", "name": "key", "labels": {"team": "ml", "tier": "gold"}});
    let mut spec = json!({
        "keyHash": format!("sha256:{}", "0".repeat(64)),
        "subject": {"team": "ml", "user": "alice", "tags": {"project": "chat", "cost": "7"}},
    });
    for (target, patch) in [(&mut metadata, &key["metadata"]), (&mut spec, &key["spec"])] {
        for (name, value) in patch.as_object().into_iter().flatten() {
            target[name] = value.clone();
        }
    }
    let object = |kind: &str, metadata: Value, spec: Value| json!({"apiVersion": "turnpike.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec});
    let key: VirtualKey = serde_json::from_value(object("VirtualKey", metadata, spec)).unwrap();
    let spec = json!({"scope": scope, "limits": [{"window": "Month", "usd": "1.00"}]});
    let metadata = json!({"namespace": "team", "name": "budget"});
    let budget: Budget = serde_json::from_value(object("Budget", metadata, spec)).unwrap();
    budget.covers(&key)
}

#[test]
fn every_field_that_is_set_must_match() {
    let key = json!({});
    let elsewhere = json!({"metadata": {"namespace": "other"}});
    for (scope, here, there) in [
        (json!({"team": "ml"}), true, false),
        (json!({"team": "ml", "user": "alice", "tag": {"project": "chat"}}), true, false),
        (json!({"team": "ml", "user": "bob"}), false, false),
        (json!({"team": "web"}), false, false),
        (json!({"tag": {"project": "chat", "cost": "8"}}), false, false),
        (json!({"tag": {"absent": "x"}}), false, false),
        (json!({"endUser": "*"}), true, false),
        (json!({"requestTags": ["batch"]}), true, false),
        (json!({"namespace": true}), true, false),
        (json!({"namespaces": ["other"]}), false, true),
        (json!({"namespaces": ["other"], "namespace": true}), true, true),
        (json!({"namespaces": ["other"], "team": "web"}), false, false),
        (json!({"keySelector": {"matchLabels": {"team": "ml"}}}), true, false),
    ] {
        assert_eq!((covers(&scope, &key), covers(&scope, &elsewhere)), (here, there), "{scope}");
    }
}

#[test]
fn a_scope_that_says_nothing_of_keys_covers_only_those_that_name_the_budget() {
    let naming = json!({"spec": {"budgetRefs": [{"name": "budget"}]}});
    let naming_another = json!({"spec": {"budgetRefs": [{"name": "budget-2"}]}});
    let elsewhere = json!({"metadata": {"namespace": "other"}, "spec": {"budgetRefs": [{"name": "budget"}]}});
    for scope in [json!(null), json!({}), json!({"models": ["gpt-4*"]}), json!({"keySelector": {}})] {
        assert!(!covers(&scope, &json!({})), "{scope}");
        assert!(!covers(&scope, &naming_another), "{scope}");
        assert!(!covers(&scope, &elsewhere), "{scope}");
        assert!(covers(&scope, &naming), "{scope}");
    }
    assert!(covers(&json!({"team": "web"}), &naming), "a key may name a budget whose scope it is not in");
}

#[test]
fn selectors_compare_labels_as_kubernetes_does() {
    let covers_by = |condition: Value| covers(&json!({"keySelector": {"matchExpressions": [condition]}}), &json!({}));
    for (condition, expected) in [
        (json!({"key": "tier", "operator": "In", "values": ["silver", "gold"]}), true),
        (json!({"key": "tier", "operator": "In", "values": ["silver"]}), false),
        (json!({"key": "absent", "operator": "In", "values": ["gold"]}), false),
        (json!({"key": "tier", "operator": "NotIn", "values": ["gold"]}), false),
        (json!({"key": "absent", "operator": "NotIn", "values": ["gold"]}), true),
        (json!({"key": "tier", "operator": "Exists"}), true),
        (json!({"key": "absent", "operator": "Exists"}), false),
        (json!({"key": "tier", "operator": "DoesNotExist"}), false),
        (json!({"key": "absent", "operator": "DoesNotExist"}), true),
    ] {
        assert_eq!(covers_by(condition.clone()), expected, "{condition}");
    }
    let both = json!({"keySelector": {
        "matchLabels": {"team": "ml"}, "matchExpressions": [{"key": "tier", "operator": "In", "values": ["silver"]}],
    }});
    assert!(!covers(&both, &json!({})));
}

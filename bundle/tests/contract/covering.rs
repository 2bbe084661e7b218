//! A gateway finds by entries the same keys under a budget as the operator finds by objects.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use turnpike_bundle::{Objects, Settings, entry::covers, render};
use turnpike_crds::{Budget, VirtualKey};

fn object(kind: &str, namespace: &str, name: &str, labels: &Value, spec: &Value) -> Value {
    json!({
        "apiVersion": "turnpike.dev/v1alpha1", "kind": kind,
        "metadata": {"namespace": namespace, "name": name, "labels": labels}, "spec": spec,
    })
}

/// One of few values, so that scopes and keys often agree; half the time none.
fn few(values: &'static [&'static str]) -> impl Strategy<Value = Option<&'static str>> {
    prop::option::of(prop::sample::select(values))
}

fn map(name: &'static str, value: Option<&'static str>) -> Value {
    value.map_or_else(|| json!({}), |value| json!({name: value}))
}

fn scope() -> impl Strategy<Value = Value> {
    let selector = prop_oneof![
        Just(Value::Null),
        Just(json!({})),
        Just(json!({"matchLabels": {"tier": "gold"}})),
        Just(json!({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]})),
    ];
    let namespaces = prop_oneof![2 => Just(json!([])), 1 => Just(json!(["b"])), 1 => Just(json!(["a", "c"]))];
    let who = (few(&["ml", "web"]), few(&["ann", "bob"]), few(&["1", "2"]));
    (selector, namespaces, who, any::<bool>()).prop_map(|(selector, namespaces, (team, user, tag), namespace)| {
        json!({
            "keySelector": selector, "namespaces": namespaces, "namespace": namespace,
            "team": team, "user": user, "tag": map("project", tag),
        })
    })
}

fn key() -> impl Strategy<Value = (&'static str, Value, Value)> {
    let who = (few(&["ml", "web"]), few(&["ann", "bob"]), few(&["1", "2"]), few(&["gold", "tin"]));
    let refs = prop_oneof![3 => Just(json!([])), 1 => Just(json!([{"name": "budget"}])), 1 => Just(json!([{"name": "other"}]))];
    (prop::sample::select(vec!["a", "b", "c"]), who, refs).prop_map(|(namespace, (team, user, tag, tier), refs)| {
        let subject = json!({"team": team, "user": user, "tags": map("project", tag)});
        (namespace, map("tier", tier), json!({"subject": subject, "budgetRefs": refs}))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn entries_cover_what_objects_cover(scope in prop::option::of(scope()), keys in prop::collection::vec(key(), 1..8)) {
        let spec = json!({"scope": scope, "limits": [{"window": "Day", "requests": 1}]});
        let manifest = object("Budget", "a", "budget", &json!({}), &spec);
        let budget: Arc<Budget> = Arc::new(serde_json::from_value(manifest).unwrap());
        let mut objects = Objects { budgets: vec![budget.clone()], ..Objects::default() };
        for (at, (namespace, labels, spec)) in keys.into_iter().enumerate() {
            let mut spec = spec;
            spec["keyHash"] = format!("sha256:{at:064x}").into();
            let key = object("VirtualKey", namespace, &format!("key-{at}"), &labels, &spec);
            objects.keys.push(Arc::new(serde_json::from_value(key).unwrap()));
        }
        let contents = render(&objects, &Settings::standalone()).contents;
        prop_assert_eq!(contents.keys.len(), objects.keys.len());
        for entry in &contents.keys {
            let is_same = |key: &&Arc<VirtualKey>| key.metadata.name.as_ref() == Some(&entry.object.name);
            let key = objects.keys.iter().find(is_same).unwrap();
            prop_assert_eq!(covers(&contents.budgets[0], entry), budget.covers(key), "{:?}", entry);
        }
    }
}

//! What is compiled with the memory of earlier pictures is what is compiled without.

use std::sync::Arc;

use kube::Resource;
use proptest::prelude::*;
use serde_json::{Value, json};
use turnpike_bundle::{entry::ObjectRef, manifest::FORMAT, objects::object_ref};
use turnpike_crds::{Budget, ModelDeployment, VirtualKey};
use turnpike_operator::{
    publish::{
        compile::{Compiler, Picture, compile},
        endpoints::Endpoints,
        previous::Previous,
    },
    world::World,
};

use crate::compiling::{object, restarted, settings};

#[derive(Clone, Debug)]
enum Change {
    /// By name: some are clashes of names, routes to each other, or too large for a bundle.
    Model(u8, Value),
    Key(u8, Value),
    Budget(u8),
    RemoveModel(u8),
    DeleteKey(u8),
    RemoveKey(u8),
    /// Another process goes on from what lies in the cluster.
    Restart,
    /// What was compiled could not be published.
    Lose,
}

fn model() -> impl Strategy<Value = Value> {
    let mock = |size: usize| json!({"mock": {"response": "x".repeat(size)}});
    prop_oneof![
        6 => (0_usize..20_000).prop_map(mock),
        1 => Just(json!({"mock": {"response": "x"}, "aliases": ["fast"]})),
        1 => (0_u8..6).prop_map(|to| json!({"route": {"targets": [{"modelRef": {"name": format!("object-{to}")}}]}})),
        1 => Just(json!({"mock": {"response": "x".repeat(turnpike_bundle::shard::MAX_BYTES)}})),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let key = (0_u8..8, any::<bool>()).prop_map(|(hash, suspended)| {
        let hash = turnpike_crds::KeyHash::of(&[hash]).to_string();
        json!({"keyHash": hash, "allowedModels": ["*"], "suspended": suspended})
    });
    prop_oneof![
        5 => (0_u8..6, model()).prop_map(|(at, spec)| Change::Model(at, spec)),
        5 => (0_u8..20, key).prop_map(|(at, spec)| Change::Key(at, spec)),
        1 => (0_u8..3).prop_map(Change::Budget),
        2 => (0_u8..6).prop_map(Change::RemoveModel),
        1 => (0_u8..20).prop_map(Change::DeleteKey),
        2 => (0_u8..20).prop_map(Change::RemoveKey),
        1 => Just(Change::Restart),
        1 => Just(Change::Lose),
    ]
}

fn name(at: u8) -> String {
    format!("object-{at}")
}

fn apply(world: &mut World, change: &Change) {
    let at = |at: &u8| ObjectRef { namespace: "ml".to_owned(), name: name(*at) };
    match change {
        Change::Model(number, spec) => {
            let model: ModelDeployment = object("ModelDeployment", &name(*number), spec);
            world.models.insert(object_ref(&model), Arc::new(model));
        }
        Change::Key(number, spec) => {
            let key: VirtualKey = object("VirtualKey", &name(*number), spec);
            world.keys.insert(object_ref(&key), Arc::new(key));
        }
        Change::Budget(number) => {
            let spec = json!({"limits": [{"window": "Month", "usd": "5.00"}]});
            let budget: Budget = object("Budget", &name(*number), &spec);
            world.budgets.insert(object_ref(&budget), Arc::new(budget));
        }
        Change::RemoveModel(number) => drop(world.models.remove(&at(number))),
        Change::DeleteKey(number) => {
            if let Some(key) = world.keys.get_mut(&at(number)) {
                let time = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
                Arc::make_mut(key).meta_mut().deletion_timestamp = Some(time);
            }
        }
        Change::RemoveKey(number) => drop(world.keys.remove(&at(number))),
        Change::Restart | Change::Lose => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn memory_changes_nothing(changes in prop::collection::vec(change(), 1..30)) {
        let (mut compiler, mut world, mut previous) = (Compiler::default(), World::default(), Previous::default());
        for (now, change) in (1_000..).zip(&changes) {
            apply(&mut world, change);
            let picture = Picture { world: &world, endpoints: &Endpoints::default(), format: FORMAT };
            let compiled = compiler.compile(picture, &settings(), &previous, now);
            let anew = compile(&world, &settings(), &previous, now);
            prop_assert_eq!(&compiled.bundle, &anew.bundle);
            prop_assert_eq!(&compiled.objects, &anew.objects);
            prop_assert_eq!(&compiled.credentials, &anew.credentials);
            prop_assert_eq!(compiled.left_out, anew.left_out);
            match change {
                Change::Lose => {}
                Change::Restart => (compiler, previous) = (Compiler::default(), restarted(&compiled)),
                _ => previous = compiled.into_previous().0,
            }
        }
    }
}

//! What verified addresses become in a snapshot.

use std::sync::Arc;

use serde_json::json;
use turnpike_gateway::{config::backends::Backends, engines::addresses::Addresses};
use turnpike_routing::{
    Moment,
    features::Features,
    filter,
    group::{Group, Strategy},
    hash,
    plan::Turn,
    set::Set,
    strategy,
};

use crate::fixture::{address, asked, backend, compiled, engine, found, names, pool, route, url};

#[test]
fn each_address_is_a_member_of_the_same_model() {
    let (backends, mut addresses) = (Backends::default(), Addresses::default());
    found(&mut addresses, "m", &[(2, &[]), (1, &[])]);
    let snapshot = compiled(vec![engine("m", &json!({}))], "k", &backends, &addresses);
    let pool = pool(&snapshot, "m");
    let chat = |n: u8| (format!("10.0.0.{n}:8000/v1/chat/completions"), "m".to_owned());
    assert_eq!(asked(pool), [chat(1), chat(2)]);
    assert_eq!((pool.models.len(), pool.engines.len(), snapshot.models.len()), (1, 1, 1));
    assert!(!pool.is_cold());
    for member in &pool.members {
        assert_eq!(&*member.model.id, "llm/m");
        assert!(member.model.headers.values().any(|value| value == &*url("m")), "clients see the Service, not a pod");
    }
    let members = &pool.group.members;
    assert!(members[0].is_beside(&members[1]));
    assert_ne!(members[0].key, members[1].key);
    assert!(!Arc::ptr_eq(&members[0].live, &members[1].live));
}

#[test]
fn an_engine_without_an_address_is_cold_and_keeps_its_names() {
    let (backends, addresses) = (Backends::default(), Addresses::default());
    let models = vec![
        engine("m", &json!({"aliases": ["alias"]})),
        engine("never", &json!({"weight": 0})),
        route("r", &[("m", 1)]),
    ];
    let snapshot = compiled(models, "k", &backends, &addresses);
    for name in ["m", "alias", "r", "m:sql"] {
        let pool = pool(&snapshot, name);
        assert!(pool.is_cold(), "{name}");
        assert_eq!(pool.engines[0].model.entry.object.name, "m");
        assert_eq!(pool.total.as_millis(), 1000, "{name}: its time limit is the model's");
    }
    assert_eq!(names(&snapshot), ["alias", "m", "m:poems", "m:sql", "r"], "one of weight 0 is for nobody");
}

#[test]
fn adapters_are_models_of_the_addresses_that_list_them() {
    let (backends, mut addresses) = (Backends::default(), Addresses::default());
    found(&mut addresses, "m", &[(1, &["sql"]), (2, &["sql", "poems", "unknown"]), (3, &[])]);
    let snapshot = compiled(vec![engine("m", &json!({}))], "k", &backends, &addresses);
    let at = |n: u8, model: &str| (format!("10.0.0.{n}:8000/v1/chat/completions"), model.to_owned());
    assert_eq!(asked(pool(&snapshot, "m:sql")), [at(1, "sql"), at(2, "sql")]);
    assert_eq!(asked(pool(&snapshot, "m:poems")), [at(2, "poems")]);
    assert_eq!(pool(&snapshot, "m").members.len(), 3);
    assert_eq!(names(&snapshot), ["m", "m:poems", "m:sql"]);
    // What a replica is doing is one thing, by whatever name it is asked.
    let (whole, adapter) = (&pool(&snapshot, "m").members[0].model, &pool(&snapshot, "m:sql").members[0].model);
    assert!(Arc::ptr_eq(&whole.live, &adapter.live));
    assert_eq!((&whole.id, whole.limits.len()), (&adapter.id, adapter.limits.len()));
}

#[test]
fn a_model_that_is_called_like_an_adapter_keeps_its_name() {
    let (backends, mut addresses) = (Backends::default(), Addresses::default());
    found(&mut addresses, "m", &[(1, &["sql"])]);
    let own = engine("own", &json!({"model_name": "m:sql"}));
    let snapshot = compiled(vec![engine("m", &json!({})), own], "k", &backends, &addresses);
    assert_eq!(pool(&snapshot, "m:sql").models[0].entry.object.name, "own");
}

#[test]
fn what_was_seen_of_an_address_stays_with_it_while_others_come_and_go() {
    let (backends, mut addresses) = (Backends::default(), Addresses::default());
    let live = |snapshot, n: u8| {
        let members = &pool(snapshot, "m").members;
        members
            .iter()
            .find(|member| member.model.address == Some(address(n)))
            .map(|member| Arc::clone(&member.model.live))
    };
    found(&mut addresses, "m", &[(1, &[]), (2, &[])]);
    let first = compiled(vec![engine("m", &json!({}))], "k", &backends, &addresses);
    found(&mut addresses, "m", &[(2, &["sql"]), (3, &[])]);
    let mut edited = engine("m", &json!({}));
    backend(&mut edited).engine.as_mut().unwrap().adapters.clear();
    let second = compiled(vec![edited], "k", &backends, &addresses);
    assert!(Arc::ptr_eq(&live(&first, 2).unwrap(), &live(&second, 2).unwrap()));
    assert!(live(&second, 1).is_none());
    let attempt = live(&second, 3).unwrap().begin(Moment(0), 0);
    assert_eq!(live(&first, 1).unwrap().deployment().in_flight(), 1, "they count for one deployment");
    drop(attempt);
}

#[test]
fn addresses_are_those_of_the_model_that_they_were_verified_for() {
    let (backends, mut addresses) = (Backends::default(), Addresses::default());
    found(&mut addresses, "m", &[(1, &[])]);
    let mut other = engine("m", &json!({}));
    backend(&mut other).model = "another".to_owned();
    assert!(pool(&compiled(vec![other], "k", &backends, &addresses), "m").is_cold());
}

#[test]
fn a_canary_has_its_share_however_many_addresses_each_has() {
    let (backends, mut addresses) = (Backends::default(), Addresses::default());
    found(&mut addresses, "stable", &[(1, &[]), (2, &[]), (3, &[])]);
    found(&mut addresses, "canary", &[(4, &[])]);
    let affine = json!({"strategy": "PrefixAffinity"});
    let models = vec![
        engine("stable", &json!({})),
        engine("canary", &json!({})),
        engine("affine", &affine),
        route("r", &[("stable", 90), ("canary", 10)]),
        route("outer", &[("r", 1), ("affine", 1)]),
    ];
    found(&mut addresses, "affine", &[(5, &[]), (6, &[])]);
    let snapshot = compiled(models, "k", &backends, &addresses);
    let counts = shares(&pool(&snapshot, "r").group);
    assert!(counts[3].abs_diff(1000) < 120, "{counts:?}");
    assert!(counts[..3].iter().all(|count| count.abs_diff(3000) < 250), "{counts:?}");
    let outer = &pool(&snapshot, "outer").group;
    let strategies: Vec<_> = outer.members.iter().map(|member| member.deployment.as_ref().unwrap().strategy).collect();
    assert_eq!(strategies[4..], [Strategy::PrefixAffinity; 2], "its own wish holds in a route");
    let counts = shares(outer);
    assert!(counts[4..].iter().sum::<u64>().abs_diff(5000) < 250, "{counts:?}");
}

/// Who gets how many of 10000 requests.
fn shares(group: &Group) -> Vec<u64> {
    let mut counts = vec![0; group.members.len()];
    let features = Features::default();
    for n in 0..10_000 {
        let turn = Turn { now: Moment(1), left: std::time::Duration::from_secs(9), draw: hash::both(n, 7) };
        let able = filter::candidates(group, &features, &Set::default(), turn.now).unwrap();
        counts[strategy::choose(group, &able, &features, turn).unwrap()] += 1;
    }
    counts
}

//! What is said of each object: its digest, and since when gateways must have what it is.

use std::{collections::BTreeMap, sync::Arc};

use kube::Resource;
use serde_json::{Value, json};
use turnpike_bundle::{
    Objects, Settings,
    entry::ObjectRef,
    layout::MANIFEST,
    objects::{Mode, object_ref},
    problem::{ObjectId, ObjectKind},
};
use turnpike_crds::{ModelDeployment, Reason, VirtualKey};
use turnpike_operator::{
    publish::{
        Compiled,
        compile::{Compilation, compile},
        previous::Previous,
    },
    world::World,
};

pub(crate) fn settings() -> Settings {
    Settings { release_namespace: "turnpike".to_owned(), mode: Mode::Cluster, ..Settings::default() }
}

pub(crate) fn object<T: serde::de::DeserializeOwned>(kind: &str, name: &str, spec: &Value) -> T {
    serde_json::from_value(json!({
        "apiVersion": "turnpike.dev/v1alpha1",
        "kind": kind,
        "metadata": {"namespace": "ml", "name": name, "generation": 3},
        "spec": spec,
    }))
    .unwrap()
}

fn model(name: &str, answer: &str) -> ModelDeployment {
    object("ModelDeployment", name, &json!({"mock": {"response": answer}}))
}

fn key(name: &str) -> VirtualKey {
    let hash = turnpike_crds::KeyHash::of(name.as_bytes()).to_string();
    object("VirtualKey", name, &json!({"keyHash": hash, "allowedModels": ["*"]}))
}

fn world(models: Vec<ModelDeployment>, keys: Vec<VirtualKey>) -> World {
    World {
        models: models.into_iter().map(|model| (object_ref(&model), Arc::new(model))).collect(),
        keys: keys.into_iter().map(|key| (object_ref(&key), Arc::new(key))).collect(),
        ..World::default()
    }
}

fn id(kind: ObjectKind, name: &str) -> ObjectId {
    ObjectId { kind, object: ObjectRef { namespace: "ml".to_owned(), name: name.to_owned() } }
}

fn of<'a>(compilation: &'a Compilation, name: &str) -> &'a Compiled {
    let ids = [ObjectKind::ModelDeployment, ObjectKind::VirtualKey].map(|kind| id(kind, name));
    ids.iter().find_map(|id| compilation.objects.get(id)).unwrap()
}

/// As the next leader reads it in the cluster.
pub(crate) fn restarted(compilation: &Compilation) -> Previous {
    let manifest = compilation.bundle.manifest.to_bytes();
    let shards = compilation.bundle.shards.iter().map(|shard| (shard.name.clone(), shard.bytes.clone()));
    Previous::read(Some(&manifest), &shards.collect(), 0)
}

#[test]
fn an_unchanged_entry_keeps_its_version_whatever_happens_beside_it() {
    let first =
        compile(&world(vec![model("a", "1"), model("b", "1")], vec![]), &settings(), &Previous::default(), 1000);
    let (a, b) = (of(&first, "a").clone(), of(&first, "b").clone());
    assert_eq!((a.since, b.since, a.generation), (1000, 1000, 3));
    assert_eq!(a.digest.as_ref().unwrap().len(), 16);
    assert_ne!(a.digest, b.digest);

    let (previous, _) = first.into_previous();
    let second = compile(&world(vec![model("a", "1"), model("b", "2")], vec![]), &settings(), &previous, 2000);
    assert_eq!(of(&second, "a"), &a, "its neighbour changed, and so did its shard");
    assert_eq!(of(&second, "b").since, 2000);
    assert_ne!(of(&second, "b").digest, b.digest);

    let (previous, _) = second.clone().into_previous();
    let third = compile(&world(vec![model("a", "1"), model("b", "2")], vec![]), &settings(), &previous, 3000);
    assert_eq!(third.bundle, second.bundle);
    assert_eq!(third.objects, second.objects);
}

#[test]
fn a_restart_changes_no_digest_and_asks_no_gateway_for_a_newer_version() {
    let first = compile(&world(vec![model("a", "1")], vec![key("k")]), &settings(), &Previous::default(), 1000);
    let (previous, _) = first.into_previous();
    let second = compile(&world(vec![model("a", "2")], vec![key("k")]), &settings(), &previous, 2000);
    let after = compile(&world(vec![model("a", "2")], vec![key("k")]), &settings(), &restarted(&second), 9000);
    assert_eq!(after.bundle, second.bundle);
    assert_eq!(after.objects, second.objects);
    assert_eq!((of(&after, "k").since, of(&after, "a").since), (1000, 2000));
}

#[test]
fn a_deleted_key_vanishes_in_the_version_that_no_longer_has_it() {
    let first = compile(&world(vec![], vec![key("gone"), key("stays")]), &settings(), &Previous::default(), 1000);
    let mut gone = key("gone");
    gone.meta_mut().deletion_timestamp = Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
    let (previous, _) = first.into_previous();
    let world = world(vec![], vec![gone, key("stays")]);
    let second = compile(&world, &settings(), &previous, 2000);
    assert_eq!((of(&second, "gone").digest.clone(), of(&second, "gone").since), (None, 2000));
    assert_eq!(of(&second, "stays").since, 1000);
    // It stays so, and a restart asks for no more than that either.
    let (previous, _) = second.clone().into_previous();
    assert_eq!(of(&compile(&world, &settings(), &previous, 3000), "gone").since, 2000);
    assert_eq!(of(&compile(&world, &settings(), &restarted(&second), 3000), "gone").since, 2000);
}

#[test]
fn a_version_that_is_asked_for_is_one_that_gateways_can_have() {
    // Every shard changes by growing and by joining again.
    let mut previous = Previous::default();
    for (round, count) in (1_u64..).zip([3_usize, 40, 3, 60, 1]) {
        let models = (0..count).map(|at| model(&format!("model-{at}"), &"x".repeat(20_000))).collect();
        let compilation = compile(&world(models, vec![key("k")]), &settings(), &previous, round * 1000);
        for (id, compiled) in &compilation.objects {
            let kind = turnpike_operator::publish::previous::kind_of(id.kind).unwrap();
            let shard = compilation.bundle.manifest.covering(kind, &id.object.to_string()).unwrap();
            assert!(compiled.since <= shard.version, "{id}");
        }
        previous = compilation.into_previous().0;
    }
}

#[test]
fn an_object_that_cannot_be_compiled_says_so_and_leaves_the_rest_alone() {
    let bad = object("ModelDeployment", "bad", &json!({"route": {"targets": [{"modelRef": {"name": "nowhere"}}]}}));
    let compilation = compile(&world(vec![model("a", "1"), bad], vec![]), &settings(), &Previous::default(), 1000);
    let problems: Vec<Reason> = of(&compilation, "bad").problems.iter().map(|problem| problem.reason).collect();
    assert!(problems.contains(&Reason::RefNotFound), "{problems:?}");
    assert_eq!(of(&compilation, "a").problems, []);
    assert!(of(&compilation, "a").digest.is_some());
}

#[test]
fn what_does_not_fit_is_left_out_and_says_so() {
    let monster = "x".repeat(turnpike_bundle::shard::MAX_BYTES);
    let compilation = compile(
        &world(vec![model("small", "1"), model("monster", &monster)], vec![]),
        &settings(),
        &Previous::default(),
        1000,
    );
    let monster = of(&compilation, "monster");
    assert_eq!(monster.digest, None);
    assert_eq!(monster.problems.iter().map(|problem| problem.reason).collect::<Vec<_>>(), [Reason::BundleFull]);
    assert!(of(&compilation, "small").digest.is_some());
    assert_eq!(compilation.left_out, 1);
}

#[test]
fn a_model_whose_credential_does_not_fit_is_left_out_with_it() {
    let spec = |key: &str| {
        json!({"provider": {"type": "OpenAI", "model": "gpt-4o",
            "credentials": {"secretRef": {"name": "secret", "key": key}}}})
    };
    let models = vec![
        object("ModelDeployment", "fits", &spec("small")),
        object("ModelDeployment", "does-not", &spec("monster")),
    ];
    let mut world = world(models, vec![]);
    let monster = vec![b'k'; turnpike_bundle::shard::MAX_BYTES];
    let data = BTreeMap::from([("small", b"sk-small".to_vec()), ("monster", monster)]);
    let secret = turnpike_bundle::Secret {
        labels: [("turnpike.dev/use".to_owned(), "provider".to_owned())].into(),
        data: data
            .into_iter()
            .map(|(key, value)| (key.to_owned(), turnpike_bundle::objects::Value::Plain(value)))
            .collect(),
        ..turnpike_bundle::Secret::default()
    };
    let object = ObjectRef { namespace: "ml".to_owned(), name: "secret".to_owned() };
    world.secrets.insert(object, Arc::new(secret));
    let compilation = compile(&world, &settings(), &Previous::default(), 1000);
    assert!(of(&compilation, "fits").digest.is_some());
    assert_eq!(of(&compilation, "fits").credential.as_ref(), compilation.credentials.first());
    assert_eq!(of(&compilation, "does-not").credential, None);
    assert_eq!(of(&compilation, "does-not").digest, None);
    assert_eq!(of(&compilation, "does-not").problems[0].reason, Reason::BundleFull);
    assert_eq!(compilation.left_out, 1);
    // The bundle can be loaded as a whole: no model in it waits for a credential that is not.
    let shards = compilation.bundle.shards.iter().map(|shard| (shard.name.clone(), shard.bytes.clone())).collect();
    let parsed =
        turnpike_bundle::parse(&compilation.bundle.manifest.to_bytes(), &shards, turnpike_bundle::State::default());
    assert!(parsed.rejections.is_empty() && parsed.state.hash().is_some());
}

#[test]
fn nothing_at_all_is_a_bundle_too() {
    let compilation = compile(&World::default(), &settings(), &Previous::default(), 1000);
    assert_eq!(compilation.bundle.shards.len(), 5);
    assert!(compilation.bundle.shards.iter().all(|shard| shard.name != MANIFEST));
    assert_eq!(compilation.objects, BTreeMap::new());
    assert!(Objects::default().models.is_empty());
}

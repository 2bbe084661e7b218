//! How contents are cut: small shards, stable ones, secrets apart.

use std::collections::BTreeMap;

use turnpike_bundle::{
    Bundle, Contents, Manifest, State,
    entry::{
        Backend, CredentialEntry, EndpointEntry, KeyEntry, KeyHash, ModelEntry, ModelLimits, ObjectRef, Timeouts,
        Visibility,
    },
    manifest::Kind,
    parse, shard,
    shard::{AIM_BYTES, MAX_BYTES},
};
use turnpike_llm::provider::Capabilities;

pub(crate) fn model(name: &str, answer: &str) -> ModelEntry {
    ModelEntry {
        object: ObjectRef { namespace: "ml".to_owned(), name: name.to_owned() },
        created: 5,
        model_name: name.to_owned(),
        aliases: Vec::new(),
        visibility: Visibility::Namespace,
        backend: Backend::Mock { response: answer.to_owned() },
        weight: 1,
        priority: 0,
        tags: Vec::new(),
        price: None,
        capabilities: Capabilities::default(),
        timeouts: Timeouts { connect: 1, first_byte: 2, idle: 3, total: 4 },
        limits: ModelLimits::default(),
        strategy: turnpike_crds::model_deployment::Strategy::default(),
        retry: None,
        fallbacks: Vec::new(),
        health: turnpike_bundle::entry::Health::default(),
        cache: None,
    }
}

pub(crate) fn key(name: &str, sha256: &str) -> KeyEntry {
    KeyEntry {
        object: ObjectRef { namespace: "ml".to_owned(), name: name.to_owned() },
        key_id: format!("vk_{name}"),
        hashes: vec![KeyHash { sha256: sha256.to_owned(), retires_at: Some(9) }],
        team: Some("ml".to_owned()),
        allowed_models: vec!["*".to_owned()],
        ..KeyEntry::default()
    }
}

pub(crate) fn credential(digest: &str, api_key: &str) -> CredentialEntry {
    CredentialEntry {
        digest: digest.to_owned(),
        api_key: Some(api_key.to_owned()),
        identity: None,
        headers: Vec::new(),
    }
}

pub(crate) fn endpoint(name: &str, addresses: &[&str]) -> EndpointEntry {
    EndpointEntry {
        object: ObjectRef { namespace: "ml".to_owned(), name: name.to_owned() },
        port: 8000,
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
    }
}

/// `count` models whose answers have `bytes` bytes, and a key, a credential and an engine's endpoint.
pub(crate) fn contents(count: usize, bytes: usize) -> Contents {
    let answer = "x".repeat(bytes);
    Contents {
        models: (0..count).map(|at| model(&format!("model-{at:05}"), &answer)).collect(),
        keys: vec![key("app", "feedface")],
        budgets: Vec::new(),
        credentials: [("d1".to_owned(), credential("d1", "sk-top-secret"))].into(),
        endpoints: vec![endpoint("engine", &["10.1.0.7"])],
    }
}

pub(crate) fn bytes(bundle: &Bundle) -> BTreeMap<String, Vec<u8>> {
    bundle.shards.iter().map(|shard| (shard.name.clone(), shard.bytes.clone())).collect()
}

fn versions(bundle: &Bundle) -> BTreeMap<String, u64> {
    bundle.shards.iter().map(|shard| (shard.name.clone(), shard.version)).collect()
}

#[test]
fn what_is_cut_reads_back_equal() {
    for (count, size) in [(0, 0), (1, 10), (300, 100), (2000, 400)] {
        let contents = contents(count, size);
        let bundle = shard(&contents, None, 1);
        let parsed = parse(&bundle.manifest.to_bytes(), &bytes(&bundle), State::default());
        assert_eq!(parsed.rejections, []);
        assert_eq!(parsed.state.contents(), &contents);
        assert_eq!(parsed.state.hash(), Some(bundle.manifest.hash.as_str()));
    }
}

#[test]
fn secrets_are_in_secret_shards_only() {
    let bundle = shard(&contents(3, 10), None, 1);
    let manifest = String::from_utf8(bundle.manifest.to_bytes()).unwrap();
    let mut seen = 0;
    for (kind, text) in bundle
        .shards
        .iter()
        .map(|shard| (Some(shard.kind), String::from_utf8(shard.bytes.clone()).unwrap()))
        .chain([(None, manifest)])
    {
        let secret = text.contains("feedface") || text.contains("sk-top-secret");
        assert!(!secret || kind.is_some_and(Kind::is_secret), "{text}");
        seen += usize::from(secret);
    }
    assert_eq!(seen, 2);
}

#[test]
fn nothing_changes_when_nothing_changed() {
    let contents = contents(500, 500);
    let first = shard(&contents, None, 1000);
    let second = shard(&contents, Some(&first.manifest), 2000);
    assert_eq!(first, second);
}

#[test]
fn one_change_changes_one_shard_and_the_version_never_goes_back() {
    let mut contents = contents(2000, 500);
    let first = shard(&contents, None, 1000);
    assert!(first.shards.len() > 8, "{} shards", first.shards.len());
    contents.models[7] = model("model-00007", "changed");
    let second = shard(&contents, Some(&first.manifest), 10);
    assert_eq!(second.manifest.version, 1001, "the clock went back");
    let (before, after) = (versions(&first), versions(&second));
    let changed: Vec<_> = after.iter().filter(|(name, version)| before.get(*name) != Some(version)).collect();
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert_eq!(shard(&contents, Some(&second.manifest), 5000), second);
}

#[test]
fn a_split_changes_one_shard_and_adds_one() {
    let mut before = contents(150, 500);
    let mut first = shard(&before, None, 1);
    // Grow until some shard is split.
    for at in 0..200 {
        before.models.push(model(&format!("more-{at:05}"), &"x".repeat(500)));
        before.models.sort_by(|a, b| a.object.cmp(&b.object));
        let next = shard(&before, Some(&first.manifest), 1);
        if next.shards.len() == first.shards.len() {
            first = next;
            continue;
        }
        let (old, new) = (versions(&first), versions(&next));
        let changed = new.iter().filter(|(name, version)| old.get(*name).is_some_and(|old| old != *version)).count();
        assert_eq!((new.len() - old.len(), changed), (1, 1));
        let parsed = parse(&next.manifest.to_bytes(), &bytes(&next), State::default());
        assert_eq!(parsed.state.contents(), &before);
        return;
    }
    panic!("no shard was ever split");
}

#[test]
fn shards_join_again_when_they_shrink() {
    let big = shard(&contents(2000, 500), None, 1);
    let small = shard(&contents(3, 5), Some(&big.manifest), 2);
    assert_eq!(small.shards.iter().filter(|shard| shard.kind == Kind::Models).count(), 1);
}

#[test]
fn shards_stay_small_while_there_are_names_and_below_the_limit_always() {
    let bundle = shard(&contents(3000, 1000), None, 1);
    assert!(bundle.shards.iter().all(|shard| shard.bytes.len() <= AIM_BYTES));
    let bundle = shard(&contents(14_000, 1000), None, 1);
    let models: Vec<_> = bundle.shards.iter().filter(|shard| shard.kind == Kind::Models).collect();
    assert_eq!(models.len(), usize::from(Kind::Models.max_shards()));
    assert!(models.iter().all(|shard| shard.bytes.len() <= MAX_BYTES));
    assert_eq!(bundle.left_out, Vec::<String>::new());
}

#[test]
fn an_entry_that_is_too_large_is_left_out_alone() {
    let mut contents = contents(10, 10);
    contents.models.push(model("monster", &"x".repeat(MAX_BYTES)));
    let bundle = shard(&contents, None, 1);
    assert_eq!(bundle.left_out, ["models ml/monster"]);
    let parsed = parse(&bundle.manifest.to_bytes(), &bytes(&bundle), State::default());
    assert_eq!(parsed.state.contents().models.len(), 10);
}

#[test]
fn the_manifest_survives_its_own_bytes() {
    let bundle = shard(&contents(3, 10), None, 1);
    assert_eq!(Manifest::from_bytes(&bundle.manifest.to_bytes()).unwrap(), bundle.manifest);
}

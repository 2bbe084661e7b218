//! Torn, missing, newer, older, tampered: what cannot be taken is told, and its last good content stays.

use std::collections::BTreeMap;

use turnpike_bundle::{
    Bundle, Contents, State,
    entry::{Backend, Egress, Params, ProviderBackend},
    manifest::ManifestError,
    parse,
    parse::Reason,
    shard,
};
use turnpike_llm::provider::ProviderKind;

use crate::sharding::{bytes, contents, credential, model};

fn taken(bundle: &Bundle) -> State {
    let parsed = parse(&bundle.manifest.to_bytes(), &bytes(bundle), State::default());
    assert_eq!(parsed.rejections, []);
    parsed.state
}

/// A first bundle with its state, and a second one in which a model and a key changed.
fn two() -> (Bundle, State, Contents, Bundle) {
    let mut contents = contents(3, 10);
    let first = shard(&contents, None, 1000);
    contents.models[1] = model("model-00001", "changed");
    contents.keys[0].suspended = true;
    let second = shard(&contents, Some(&first.manifest), 2000);
    let state = taken(&first);
    (first, state, contents, second)
}

#[test]
fn a_torn_shard_keeps_its_last_good_content_and_the_others_are_taken() {
    let (first, state, new, second) = two();
    let old = state.contents().clone();
    let mut shards = bytes(&second);
    let torn = shards.get_mut("models-00").unwrap();
    torn.truncate(torn.len() / 2);
    let parsed = parse(&second.manifest.to_bytes(), &shards, state);
    assert_eq!(parsed.rejections.len(), 1);
    assert_eq!((parsed.rejections[0].part.as_str(), &parsed.rejections[0].reason), ("models-00", &Reason::Torn));
    assert_eq!(parsed.state.contents().models, old.models);
    assert_eq!(parsed.state.contents().keys, new.keys);
    assert_eq!(parsed.state.hash(), None, "it must not be reported as loaded");
    // Once the rest arrives, all is taken.
    let parsed = parse(&second.manifest.to_bytes(), &bytes(&second), parsed.state);
    assert_eq!((parsed.rejections.len(), parsed.state.contents()), (0, &new));
    assert_eq!(parsed.state.hash(), Some(second.manifest.hash.as_str()));
    assert_ne!(first.manifest.hash, second.manifest.hash);
}

#[test]
fn a_tampered_shard_is_not_taken_even_when_it_reads_well() {
    let (_, state, new, second) = two();
    let mut shards = bytes(&second);
    let text = String::from_utf8(shards["keys-00"].clone()).unwrap();
    shards.insert("keys-00".to_owned(), text.replace("\"suspended\":true", "\"suspended\":false").into_bytes());
    let before = state.contents().keys.clone();
    let parsed = parse(&second.manifest.to_bytes(), &shards, state);
    assert_eq!(parsed.rejections[0].reason, Reason::Torn);
    assert_eq!(parsed.state.contents().keys, before);
    assert_eq!(parsed.state.contents().models, new.models);
}

#[test]
fn a_shard_that_has_not_arrived_is_told_from_a_torn_one() {
    let (first, state, _, second) = two();
    let mut shards = bytes(&second);
    shards.insert("models-00".to_owned(), bytes(&first)["models-00"].clone());
    shards.remove("keys-00");
    let parsed = parse(&second.manifest.to_bytes(), &shards, state);
    let reasons: BTreeMap<_, _> =
        parsed.rejections.iter().map(|rejection| (rejection.part.as_str(), &rejection.reason)).collect();
    assert_eq!(reasons["models-00"], &Reason::Stale { found: 1000, listed: 2000 });
    assert_eq!(reasons["keys-00"], &Reason::Missing);
    assert_eq!(parsed.state.contents().keys.len(), 1);
}

type Expected = fn(&Reason) -> bool;

#[test]
fn an_unreadable_manifest_changes_nothing() {
    let (_, state, _, second) = two();
    let good = second.manifest.to_bytes();
    let text = String::from_utf8(good.clone()).unwrap();
    let cases: [(Vec<u8>, Expected); 4] = [
        (Vec::new(), |reason| matches!(reason, Reason::Manifest(ManifestError::Unreadable(_)))),
        (good[..good.len() / 2].to_vec(), |reason| matches!(reason, Reason::Manifest(ManifestError::Unreadable(_)))),
        (text.replace("\"format\":2", "\"format\":3").into_bytes(), |reason| {
            *reason == Reason::Manifest(ManifestError::Format(3))
        }),
        (text.replace("\"version\":2000", "\"version\":3000").into_bytes(), |reason| {
            *reason == Reason::Manifest(ManifestError::Torn)
        }),
    ];
    for (bytes_of_manifest, expected) in cases {
        let parsed = parse(&bytes_of_manifest, &bytes(&second), state.clone());
        assert_eq!(parsed.state, state);
        assert_eq!(parsed.rejections.len(), 1);
        assert_eq!(parsed.rejections[0].part, "manifest");
        assert!(expected(&parsed.rejections[0].reason), "{}", parsed.rejections[0]);
    }
}

#[test]
fn a_newer_format_of_one_shard_is_left_alone() {
    let (_, state, new, mut second) = two();
    let at = second.shards.iter().position(|shard| shard.name == "models-00").unwrap();
    let text = String::from_utf8(second.shards[at].bytes.clone()).unwrap();
    second.shards[at].bytes = text.replace("\"format\":1", "\"format\":3").into_bytes();
    let manifest = with_hashes_of(&second);
    let before = state.contents().models.clone();
    let parsed = parse(&manifest, &bytes(&second), state);
    assert_eq!(parsed.rejections[0].reason, Reason::Format(3));
    assert_eq!(parsed.state.contents().models, before);
    assert_eq!(parsed.state.contents().keys, new.keys);
}

#[test]
fn a_bad_entry_costs_its_shard_only() {
    let (_, state, new, mut second) = two();
    let at = second.shards.iter().position(|shard| shard.name == "models-00").unwrap();
    let text = String::from_utf8(second.shards[at].bytes.clone()).unwrap();
    second.shards[at].bytes = text.replace("\"weight\":1", "\"weight\":\"one\"").into_bytes();
    let manifest = with_hashes_of(&second);
    let before = state.contents().models.clone();
    let parsed = parse(&manifest, &bytes(&second), state);
    assert!(matches!(parsed.rejections[0].reason, Reason::Unreadable(_)), "{}", parsed.rejections[0]);
    assert_eq!(parsed.state.contents().models, before);
    assert_eq!(parsed.state.contents().keys, new.keys);
}

#[test]
fn an_older_manifest_is_not_taken() {
    let (first, _, new, second) = two();
    let state = taken(&second);
    let parsed = parse(&first.manifest.to_bytes(), &bytes(&first), state.clone());
    assert_eq!(parsed.rejections[0].reason, Reason::Older { found: 1000, have: 2000 });
    assert_eq!(parsed.state, state);
    assert_eq!(parsed.state.contents(), &new);
}

#[test]
fn an_older_shard_under_a_newer_manifest_is_not_taken() {
    let (first, _, new, second) = two();
    let state = taken(&second);
    let mut forged = first.clone();
    forged.manifest.version = 3000;
    let manifest = with_hashes_of(&forged);
    let parsed = parse(&manifest, &bytes(&first), state);
    assert!(parsed.rejections.iter().any(|rejection| rejection.reason == Reason::Older { found: 1000, have: 2000 }));
    assert_eq!(parsed.state.contents(), &new);
}

#[test]
fn another_manifest_of_the_same_version_is_not_taken() {
    let state = taken(&shard(&contents(3, 10), None, 1000));
    let other = shard(&contents(2, 10), None, 1000);
    let parsed = parse(&other.manifest.to_bytes(), &bytes(&other), state.clone());
    assert_eq!(parsed.rejections[0].reason, Reason::Conflict(1000));
    assert_eq!(parsed.state, state);
}

#[test]
fn a_half_of_a_split_that_has_not_arrived_keeps_its_entries() {
    let small = contents(200, 500);
    let first = shard(&small, None, 1000);
    let big = contents(400, 500);
    let second = shard(&big, Some(&first.manifest), 2000);
    assert!(second.shards.len() > first.shards.len(), "nothing was split");
    let mut shards = bytes(&second);
    shards.remove("models-01").unwrap();
    let parsed = parse(&second.manifest.to_bytes(), &shards, taken(&first));
    let names = |contents: &Contents| contents.models.iter().map(|model| model.object.clone()).collect::<Vec<_>>();
    let now = names(parsed.state.contents());
    assert!(names(&small).iter().all(|name| now.contains(name)), "a model that still exists was lost");
    let parsed = parse(&second.manifest.to_bytes(), &bytes(&second), parsed.state);
    assert_eq!(parsed.state.contents(), &big);
}

fn with_credential(digest: &str) -> Contents {
    let mut contents = contents(1, 10);
    contents.credentials.clear();
    contents.credentials.insert(digest.to_owned(), credential(digest, &format!("sk-{digest}")));
    contents.models[0].backend = Backend::Provider(ProviderBackend {
        provider: ProviderKind::OpenAI,
        model: "gpt-4o".to_owned(),
        base_url: "https://api.openai.com/v1".to_owned(),
        api_version: None,
        region: None,
        project: None,
        credential: Some(digest.to_owned()),
        params: Params::default(),
        egress: Egress::default(),
        engine: None,
    });
    contents
}

#[test]
fn a_model_whose_credential_has_not_arrived_keeps_its_last_good_entry() {
    let (old, new) = (with_credential("d1"), with_credential("d2"));
    let first = shard(&old, None, 1000);
    let second = shard(&new, Some(&first.manifest), 2000);
    let mut shards = bytes(&second);
    shards.insert("credentials-00".to_owned(), bytes(&first)["credentials-00"].clone());
    let parsed = parse(&second.manifest.to_bytes(), &shards, taken(&first));
    assert_eq!(parsed.state.contents(), &old);
    let waiting = parsed.rejections.iter().find(|rejection| rejection.reason == Reason::CredentialMissing).unwrap();
    assert_eq!(waiting.part, "models ml/model-00000");
    let parsed = parse(&second.manifest.to_bytes(), &bytes(&second), parsed.state);
    assert_eq!((parsed.rejections.len(), parsed.state.contents()), (0, &new));
}

#[test]
fn a_credential_still_named_by_a_model_stays() {
    let (old, new) = (with_credential("d1"), with_credential("d2"));
    let first = shard(&old, None, 1000);
    let second = shard(&new, Some(&first.manifest), 2000);
    let mut shards = bytes(&second);
    shards.remove("models-00");
    let parsed = parse(&second.manifest.to_bytes(), &shards, taken(&first));
    assert_eq!(parsed.state.contents().models, old.models);
    assert!(parsed.state.contents().credentials.contains_key("d1"));
    let parsed = parse(&second.manifest.to_bytes(), &bytes(&second), parsed.state);
    assert_eq!((parsed.rejections.len(), parsed.state.contents()), (0, &new));
}

/// The manifest that a writer of these very shards would have made.
pub(crate) fn with_hashes_of(bundle: &Bundle) -> Vec<u8> {
    let mut manifest = bundle.manifest.clone();
    for shard in &mut manifest.shards {
        let written = bundle.shards.iter().find(|written| written.name == shard.name).unwrap();
        shard.hash = sha256(&written.bytes);
    }
    manifest.hash = String::new();
    let unhashed = serde_json::to_value(&manifest).unwrap().to_string();
    manifest.hash = sha256(unhashed.as_bytes());
    manifest.to_bytes()
}

fn sha256(bytes: &[u8]) -> String {
    turnpike_crds::KeyHash::of(bytes).to_string().replace("sha256:", "")
}

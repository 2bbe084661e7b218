//! Objects that cannot be read, belong to others, or are being deleted.

use kube::{Resource, ResourceExt, runtime::watcher::Event};
use serde_json::{Value, json};
use turnpike_bundle::problem::{ObjectId, ObjectKind};
use turnpike_operator::world::observer::{Observed, Observer};

use crate::given::{key, key_with, name, observer, observer_of};

fn good() -> Value {
    json!({"keyHash": format!("sha256:{:064}", 1)})
}

fn bad() -> Value {
    json!({"keyHash": 5})
}

fn id(key: &str) -> ObjectId {
    ObjectId { kind: ObjectKind::VirtualKey, object: name("a", key) }
}

#[test]
fn what_cannot_be_read_stays_as_it_was_and_says_why() {
    let mut observer = observer();
    observer.observe(Observed::Key(0, Event::Apply(key("one", 1, &good()))));
    let before = observer.picture().inputs;
    observer.observe(Observed::Key(0, Event::Apply(key("one", 2, &bad()))));
    assert!(observer.has_news());
    let world = observer.picture();
    assert_eq!(world.keys[&name("a", "one")].spec.key_hash, Some(format!("sha256:{:064}", 1)));
    assert_eq!(world.unreadable[&id("one")], "spec.keyHash: invalid type: integer `5`, expected a string");
    assert_eq!(world.inputs, before, "nothing of what is served has changed");
    observer.observe(Observed::Key(0, Event::Apply(key("one", 3, &good()))));
    let world = observer.picture();
    assert!(world.unreadable.is_empty());
    assert_eq!(world.keys[&name("a", "one")].resource_version().as_deref(), Some("3"));
}

#[test]
fn what_was_never_readable_is_told_and_not_served() {
    let mut observer = observer();
    observer.observe(Observed::Key(0, Event::Apply(key("one", 1, &bad()))));
    let world = observer.picture();
    assert!(world.keys.is_empty() && world.unreadable.contains_key(&id("one")));
    observer.observe(Observed::Key(0, Event::Delete(key("one", 2, &bad()))));
    assert!(observer.picture().unreadable.is_empty());
}

#[test]
fn another_object_of_the_name_does_not_inherit_what_was_good() {
    let mut observer = observer();
    observer.observe(Observed::Key(0, Event::Apply(key("one", 1, &good()))));
    observer.observe(Observed::Key(0, Event::Init));
    observer.observe(Observed::Key(0, Event::InitApply(key_with("one", 9, &bad(), &json!({"uid": "another"})))));
    observer.observe(Observed::Key(0, Event::InitDone));
    let world = observer.picture();
    assert!(world.keys.is_empty() && world.unreadable.len() == 1);
}

#[test]
fn a_key_that_cannot_be_read_can_still_be_revoked() {
    let mut observer = observer();
    let ending =
        json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["turnpike.turnpike.dev/revocation"]});
    observer.observe(Observed::Key(0, Event::Apply(key("one", 1, &good()))));
    assert_eq!(observer.picture().objects().keys.len(), 1);
    for known in ["one", "never-good"] {
        observer.observe(Observed::Key(0, Event::Apply(key_with(known, 2, &bad(), &ending))));
        let world = observer.picture();
        let key = &world.keys[&name("a", known)];
        assert!(key.meta().deletion_timestamp.is_some());
        assert_eq!(key.finalizers(), ["turnpike.turnpike.dev/revocation"]);
        assert!(world.objects().keys.is_empty(), "an object that is being deleted serves no more");
    }
}

#[test]
fn a_key_that_was_given_away_is_known_until_it_is_let_go() {
    let of = |version, instance: &str, finalizers: &[&str]| {
        let metadata = json!({"labels": {"turnpike.dev/instance": instance}, "finalizers": finalizers});
        key_with("one", version, &good(), &metadata)
    };
    let (ours, theirs) = ("turnpike.turnpike.dev/revocation", "another.turnpike.dev/revocation");
    let mut observer = observer_of("turnpike", true);
    observer.observe(Observed::Key(0, Event::Apply(of(1, "another", &[theirs, ours]))));
    let given_away = |observer: &mut Observer| {
        assert!(observer.has_news());
        let picture = observer.picture();
        (picture.keys.len(), picture.given_away.len())
    };
    assert_eq!(given_away(&mut observer), (0, 1));
    observer.observe(Observed::Key(0, Event::Apply(of(2, "another", &[theirs]))));
    assert_eq!(given_away(&mut observer), (0, 0));
    observer.observe(Observed::Key(0, Event::Apply(of(3, "turnpike", &[ours]))));
    assert_eq!(given_away(&mut observer), (1, 0));
    observer.observe(Observed::Key(0, Event::Apply(of(4, "another", &[ours]))));
    assert_eq!(given_away(&mut observer), (0, 1));
}

#[test]
fn objects_belong_to_the_instance_in_their_label() {
    let labelled = |version, instance: &str| {
        key_with("one", version, &good(), &json!({"labels": {"turnpike.dev/instance": instance}}))
    };
    let mut ours = observer();
    let mut others = observer_of("canary", true);
    for observer in [&mut ours, &mut others] {
        observer.observe(Observed::Key(0, Event::Apply(labelled(1, "canary"))));
        observer.observe(Observed::Key(0, Event::Apply(key("two", 1, &good()))));
    }
    let keys =
        |world: &turnpike_operator::world::World| world.keys.keys().map(|key| key.name.clone()).collect::<Vec<_>>();
    assert_eq!((keys(&ours.picture()), keys(&others.picture())), (vec!["two".to_owned()], vec!["one".to_owned()]));
    for observer in [&mut ours, &mut others] {
        observer.observe(Observed::Key(0, Event::Apply(labelled(2, "turnpike"))));
    }
    assert_eq!((keys(&ours.picture()).len(), keys(&others.picture()).len()), (2, 0), "a label moves an object");
    for observer in [&mut ours, &mut others] {
        observer.observe(Observed::Key(0, Event::Apply(labelled(3, "canary"))));
    }
    assert_eq!((keys(&ours.picture()), keys(&others.picture())), (vec!["two".to_owned()], vec!["one".to_owned()]));
}

#[test]
fn a_status_is_news_but_decides_nothing() {
    let mut observer = observer();
    observer.observe(Observed::Key(0, Event::Apply(key("one", 1, &good()))));
    let before = observer.picture();
    let written = key_with("one", 2, &good(), &json!({"generation": 1}));
    observer.observe(Observed::Key(0, Event::Apply(written)));
    assert!(observer.has_news());
    assert_eq!(observer.picture().inputs, before.inputs);
    let edited = key_with("one", 3, &good(), &json!({"generation": 2}));
    observer.observe(Observed::Key(0, Event::Apply(edited)));
    assert!(observer.picture().inputs > before.inputs);
}

#[test]
fn managed_fields_and_the_last_applied_manifest_are_not_kept() {
    let mut observer = observer();
    let annotations =
        json!({"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "turnpike.dev/rotate": "1"}});
    observer.observe(Observed::Key(0, Event::Apply(key_with("one", 1, &good(), &annotations))));
    let world = observer.picture();
    let key = &world.keys[&name("a", "one")];
    assert!(key.managed_fields().is_empty());
    assert_eq!(key.annotations().keys().collect::<Vec<_>>(), ["turnpike.dev/rotate"]);
}

//! A list that is told again takes nothing away before it is whole.

use kube::runtime::watcher::Event;
use serde_json::json;
use turnpike_operator::world::observer::{Observed, Observer};

use crate::given::{budgets, key, model_by, name, namespace, observer, others, secret, service};

#[test]
fn nothing_is_told_before_every_watch_has_told_its_list() {
    let mut observer = Observer::new("turnpike".to_owned(), 1, true);
    let spec = json!({"keyHash": format!("sha256:{:064}", 1)});
    observer.observe(Observed::Key(0, Event::Init));
    observer.observe(Observed::Key(0, Event::InitApply(key("one", 1, &spec))));
    observer.observe(Observed::Key(0, Event::InitDone));
    budgets(&mut observer);
    others(&mut observer);
    observer.observe(Observed::Model(0, Event::Init));
    observer.observe(Observed::Model(0, Event::InitApply(model_by("gpt", 1, "openai"))));
    assert_eq!(observer.orders(), [], "the lists of models and Secrets are not told yet");
    observer.observe(Observed::Model(0, Event::InitDone));
    observer.observe(Observed::Secret(0, Event::Init));
    observer.observe(Observed::Secret(0, Event::InitApply(secret("openai", 1, Some("provider")))));
    assert!(!observer.has_news());
    observer.observe(Observed::Secret(0, Event::InitDone));
    let orders = observer.orders();
    assert_eq!(orders.len(), 1);
    assert!(!observer.has_news(), "a picture without the Secret would drop what needs it");
    assert!(
        observer.answer(orders[0].clone(), crate::given::found(secret("openai", 1, Some("provider")), &[], &orders[0]))
    );
    assert_eq!(observer.orders(), []);
    assert!(observer.has_news());
    let world = observer.picture();
    assert_eq!((world.models.len(), world.keys.len(), world.secrets.len()), (1, 1, 1));
    assert!(world.inputs > 0);
}

#[test]
fn every_scope_has_to_tell_its_list_and_replaces_only_its_own() {
    let mut observer = Observer::new("turnpike".to_owned(), 2, true);
    let spec = json!({"keyHash": format!("sha256:{:064}", 1)});
    crate::given::listed(&mut observer);
    assert!(!observer.has_news(), "the second scope is missing");
    observer.observe(Observed::Model(1, Event::Init));
    observer.observe(Observed::Model(1, Event::InitDone));
    observer.observe(Observed::Key(1, Event::Init));
    observer.observe(Observed::Key(1, Event::InitApply(key("one", 1, &spec))));
    observer.observe(Observed::Key(1, Event::InitDone));
    observer.observe(Observed::Budget(1, Event::Init));
    observer.observe(Observed::Budget(1, Event::InitDone));
    observer.observe(Observed::Secret(1, Event::Init));
    observer.observe(Observed::Secret(1, Event::InitDone));
    observer.observe(Observed::Service(1, Event::Init));
    observer.observe(Observed::Service(1, Event::InitDone));
    observer.observe(Observed::Namespace(1, Event::Init));
    observer.observe(Observed::Namespace(1, Event::InitDone));
    observer.orders();
    assert!(observer.has_news());
    observer.observe(Observed::Key(0, Event::Init));
    observer.observe(Observed::Key(0, Event::InitDone));
    assert_eq!(observer.picture().keys.len(), 1, "an empty list of another scope takes nothing");
}

#[test]
fn a_list_told_again_replaces_the_old_one_only_when_it_is_whole() {
    let mut observer = observer();
    let spec = json!({"keyHash": format!("sha256:{:064}", 1)});
    for name in ["one", "two"] {
        observer.observe(Observed::Key(0, Event::Apply(key(name, 1, &spec))));
    }
    observer.observe(Observed::Key(0, Event::Init));
    observer.observe(Observed::Key(0, Event::InitApply(key("three", 1, &spec))));
    let names = |observer: &mut Observer| observer.picture().keys.keys().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(&mut observer), ["a/one", "a/two"], "half a list");
    // It breaks off and starts again.
    observer.observe(Observed::Key(0, Event::Init));
    observer.observe(Observed::Key(0, Event::InitApply(key("two", 1, &spec))));
    assert_eq!(names(&mut observer), ["a/one", "a/two"]);
    observer.observe(Observed::Key(0, Event::InitDone));
    assert_eq!(names(&mut observer), ["a/two"], "what the list that broke off held does not count");
}

#[test]
fn a_list_that_says_nothing_new_is_no_news() {
    let mut observer = observer();
    let spec = json!({"keyHash": format!("sha256:{:064}", 1)});
    observer.observe(Observed::Key(0, Event::Apply(key("one", 1, &spec))));
    let before = observer.picture();
    observer.observe(Observed::Key(0, Event::Init));
    observer.observe(Observed::Key(0, Event::InitApply(key("one", 1, &spec))));
    observer.observe(Observed::Key(0, Event::InitDone));
    observer.observe(Observed::Namespace(0, Event::Init));
    observer.observe(Observed::Namespace(0, Event::InitApply(namespace("a", None))));
    observer.observe(Observed::Namespace(0, Event::InitDone));
    assert!(!observer.has_news());
    assert_eq!(observer.picture().inputs, before.inputs);
}

#[test]
fn namespaces_and_services_are_reduced_to_what_rules_need() {
    let mut observer = observer();
    observer.observe(Observed::Namespace(0, Event::Apply(namespace("a", Some("red, blue,")))));
    observer.observe(Observed::Namespace(0, Event::Apply(namespace("closed", Some("")))));
    observer.observe(Observed::Service(0, Event::Apply(service("llama", "ClusterIP"))));
    observer.observe(Observed::Service(0, Event::Apply(service("alias", "ExternalName"))));
    let world = observer.picture();
    let teams =
        |name: &str| world.namespaces[name].teams.as_ref().map(|teams| teams.iter().cloned().collect::<Vec<_>>());
    assert_eq!(teams("a"), Some(vec!["blue".to_owned(), "red".to_owned()]));
    assert_eq!(teams("closed"), Some(Vec::new()), "an empty list allows no team");
    assert!(world.services.contains(&name("a", "llama")) && world.services.len() == 1);
    observer.observe(Observed::Service(0, Event::Apply(service("llama", "ExternalName"))));
    assert!(observer.picture().services.is_empty(), "a Service that becomes an alias opens nothing any more");
}

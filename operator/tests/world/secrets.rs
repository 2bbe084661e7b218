//! Secrets are read when something refers to them, never lost by a failure, and kept as digests where that is enough.

use std::collections::BTreeSet;

use kube::runtime::watcher::Event;
use serde_json::json;
use turnpike_bundle::{Secret, objects::Value};
use turnpike_operator::world::{
    observer::{Observed, Observer},
    secrets::{Answer, Order, Want},
};

use crate::given::{found, key, key_with, minted, model, model_by, name, observer, observer_of, secret};

fn by_secret(name: &str, secret: &str, version: u32) -> Observed {
    Observed::Key(0, Event::Apply(key(name, version, &json!({"secretRef": {"name": secret, "key": "k"}}))))
}

/// Carries out what is asked for with the newest version that the test gives.
fn reads(observer: &mut Observer, version: u32, used_for: Option<&str>, data: &[(&str, &str)]) -> Vec<Order> {
    let orders = observer.orders();
    for order in &orders {
        let metadata = secret(&order.secret.name, version, used_for);
        assert!(observer.answer(order.clone(), found(metadata, data, order)));
    }
    assert_eq!(observer.orders(), []);
    orders
}

fn kept(observer: &mut Observer, secret: &str) -> Option<Secret> {
    observer.picture().secrets.get(&name("a", secret)).map(|secret| secret.as_ref().clone())
}

fn text(secret: &Secret, key: &str) -> Option<String> {
    match &secret.data[key] {
        Value::Plain(bytes) => Some(String::from_utf8(bytes.clone()).unwrap()),
        Value::Digest(_) => None,
    }
}

#[test]
fn only_what_is_referred_to_is_read_and_only_what_is_sent_is_kept() {
    let mut observer = observer();
    for name in ["openai", "unused"] {
        observer.observe(Observed::Secret(0, Event::Apply(secret(name, 1, Some("provider")))));
    }
    observer.observe(Observed::Secret(0, Event::Apply(secret("client", 1, Some("key")))));
    assert_eq!(observer.orders(), []);
    observer.observe(Observed::Model(0, Event::Apply(model_by("gpt", 1, "openai"))));
    observer.observe(by_secret("key", "client", 1));
    let orders = reads(&mut observer, 1, Some("provider"), &[("api-key", "sk-1"), ("k", "client's"), ("other", "x")]);
    assert_eq!(orders.iter().map(|order| order.secret.name.as_str()).collect::<Vec<_>>(), ["client", "openai"]);
    let (openai, client) = (kept(&mut observer, "openai").unwrap(), kept(&mut observer, "client").unwrap());
    assert_eq!(text(&openai, "api-key").as_deref(), Some("sk-1"));
    assert_eq!(text(&openai, "other"), None, "nobody refers to it");
    assert!(client.data.values().all(|value| matches!(value, Value::Digest(_))));
    assert!(client.data["k"] == Value::digested(b"client's"));
    observer.observe(Observed::Model(0, Event::Delete(model_by("gpt", 2, "openai"))));
    observer.orders();
    assert!(kept(&mut observer, "openai").is_none(), "nothing is kept that nothing needs");
}

#[test]
fn every_part_of_a_cloud_credential_is_kept_as_it_is() {
    let of = |key: &str| json!({"secretRef": {"name": "cloud", "key": key}});
    let clouds = [
        (
            "Bedrock",
            json!({"aws": {"accessKeyId": of("id"), "secretAccessKey": of("key"), "sessionToken": of("token")}}),
        ),
        ("VertexAI", json!({"gcp": {"serviceAccountJson": of("json")}})),
        ("AzureOpenAI", json!({"azure": {"tenantId": "t", "clientId": "c", "clientSecret": of("secret")}})),
    ];
    let mut observer = observer();
    observer.observe(Observed::Secret(0, Event::Apply(secret("cloud", 1, Some("provider")))));
    for (kind, credentials) in clouds {
        let spec = json!({"provider": {"type": kind, "credentials": credentials}});
        observer.observe(Observed::Model(0, Event::Apply(model(&kind.to_lowercase(), 1, &spec))));
    }
    let data = [("id", "1"), ("key", "2"), ("token", "3"), ("json", "4"), ("secret", "5")];
    reads(&mut observer, 1, Some("provider"), &data);
    let kept = kept(&mut observer, "cloud").unwrap();
    for (key, value) in data {
        assert_eq!(text(&kept, key).as_deref(), Some(value), "{key}");
    }
}

#[test]
fn a_label_for_keys_keeps_values_out_of_reach_of_models() {
    let mut observer = observer();
    observer.observe(Observed::Secret(0, Event::Apply(secret("client", 1, Some("key")))));
    observer.observe(Observed::Model(0, Event::Apply(model_by("gpt", 1, "client"))));
    let orders = reads(&mut observer, 1, Some("key"), &[("api-key", "sk-1")]);
    assert!(matches!(&orders[0].want, Want::Values { plain, .. } if plain.is_empty()));
    assert_eq!(text(&kept(&mut observer, "client").unwrap(), "api-key"), None);
}

#[test]
fn a_changed_secret_is_read_again_and_its_last_content_stays_until_then() {
    let mut observer = observer();
    observer.observe(Observed::Secret(0, Event::Apply(secret("openai", 1, Some("provider")))));
    observer.observe(Observed::Model(0, Event::Apply(model_by("gpt", 1, "openai"))));
    reads(&mut observer, 1, Some("provider"), &[("api-key", "old")]);
    observer.observe(Observed::Secret(0, Event::Apply(secret("openai", 2, Some("provider")))));
    let orders = observer.orders();
    assert_eq!(orders.len(), 1);
    assert!(!observer.answer(orders[0].clone(), Answer::Failed), "to be tried again");
    assert_eq!(observer.orders(), [], "not at once");
    assert_eq!(text(&kept(&mut observer, "openai").unwrap(), "api-key").as_deref(), Some("old"));
    assert!(!observer.awaits_secrets(), "nothing is missing, so nothing else waits");
    observer.again(name("a", "openai"));
    // A third version comes while the second is read.
    let orders = observer.orders();
    observer.observe(Observed::Secret(0, Event::Apply(secret("openai", 3, Some("provider")))));
    assert_eq!(observer.orders(), [], "one read at a time");
    let second = found(secret("openai", 2, Some("provider")), &[("api-key", "new")], &orders[0]);
    assert!(observer.answer(orders[0].clone(), second));
    reads(&mut observer, 3, Some("provider"), &[("api-key", "newest")]);
    assert_eq!(text(&kept(&mut observer, "openai").unwrap(), "api-key").as_deref(), Some("newest"));
}

#[test]
fn what_was_read_ahead_of_the_watch_is_not_read_twice() {
    let mut observer = observer();
    observer.observe(Observed::Secret(0, Event::Apply(secret("openai", 1, Some("provider")))));
    observer.observe(Observed::Model(0, Event::Apply(model_by("gpt", 1, "openai"))));
    reads(&mut observer, 2, Some("provider"), &[("api-key", "new")]);
    observer.observe(Observed::Secret(0, Event::Apply(secret("openai", 2, Some("provider")))));
    assert_eq!(observer.orders(), []);
}

#[test]
fn the_first_picture_waits_for_secrets_that_cannot_be_read() {
    let mut observer = Observer::new("turnpike".to_owned(), 1, true);
    crate::given::listed(&mut observer);
    observer.observe(Observed::Secret(0, Event::Apply(secret("client", 1, Some("key")))));
    observer.observe(by_secret("key", "client", 1));
    let orders = observer.orders();
    observer.answer(orders[0].clone(), Answer::Failed);
    assert!(!observer.has_news() && !observer.awaits_secrets());
    observer.again(name("a", "client"));
    reads(&mut observer, 1, Some("key"), &[("k", "client's")]);
    assert!(observer.has_news());
}

#[test]
fn news_of_an_object_and_its_secret_is_one() {
    let mut observer = observer();
    observer.observe(Observed::Secret(0, Event::Apply(secret("openai", 1, Some("provider")))));
    observer.observe(Observed::Model(0, Event::Apply(model_by("gpt", 1, "openai"))));
    let orders = observer.orders();
    assert!(observer.has_news() && observer.awaits_secrets());
    observer.answer(orders[0].clone(), Answer::Failed);
    assert!(!observer.awaits_secrets(), "other news does not wait for what fails");
}

#[test]
fn a_secret_without_its_label_is_told_from_one_that_is_missing() {
    let mut observer = observer();
    observer.observe(by_secret("one", "plain", 1));
    observer.observe(by_secret("two", "missing", 1));
    let orders = observer.orders();
    assert!(orders.iter().all(|order| order.want == Want::Metadata), "no value is read of what is not labelled");
    assert_eq!(orders.len(), 2);
    for order in orders {
        let answer = match order.secret.name.as_str() {
            "plain" => found(secret("plain", 1, None), &[], &order),
            _ => Answer::Missing,
        };
        assert!(observer.answer(order, answer));
    }
    assert_eq!(observer.orders(), []);
    assert!(kept(&mut observer, "plain").unwrap().data.is_empty());
    assert!(kept(&mut observer, "missing").is_none());
    observer.observe(Observed::Secret(0, Event::Apply(secret("plain", 2, Some("key")))));
    reads(&mut observer, 2, Some("key"), &[("k", "client's")]);
    assert!(kept(&mut observer, "plain").unwrap().data.contains_key("k"));
    // The label is taken away: the watch tells that as an end.
    observer.observe(Observed::Secret(0, Event::Delete(secret("plain", 3, None))));
    let orders = observer.orders();
    assert_eq!(orders[0].want, Want::Metadata);
    assert!(kept(&mut observer, "plain").is_none(), "its values go at once");
}

#[test]
fn a_minted_secret_belongs_to_the_key_that_lives() {
    let mut observer = observer();
    let spec = json!({"generate": {"secretName": "bot"}});
    observer.observe(Observed::Secret(0, Event::Apply(minted("bot", 1, "uid-bot"))));
    observer.observe(Observed::Key(0, Event::Apply(key("bot", 1, &spec))));
    for order in observer.orders() {
        let answer = found(minted("bot", 1, "uid-bot"), &[("api-key", "sk-tp-1")], &order);
        observer.answer(order, answer);
    }
    observer.orders();
    let secret = kept(&mut observer, "bot").unwrap();
    assert_eq!(secret.minted_for, Some(name("a", "bot")));
    assert!(matches!(secret.data["api-key"], Value::Digest(_)));
    // The key is made anew; the Secret of its predecessor is not its own.
    observer.observe(Observed::Key(0, Event::Apply(key_with("bot", 2, &spec, &json!({"uid": "another"})))));
    observer.orders();
    assert_eq!(kept(&mut observer, "bot").unwrap().minted_for, None);
}

#[test]
fn a_secret_that_is_gone_and_back_is_read_anew() {
    let mut observer = observer();
    observer.observe(Observed::Secret(0, Event::Apply(secret("client", 1, Some("key")))));
    observer.observe(by_secret("key", "client", 1));
    reads(&mut observer, 1, Some("key"), &[("k", "old")]);
    observer.observe(Observed::Secret(0, Event::Delete(secret("client", 2, Some("key")))));
    let probes = observer.orders();
    assert!(kept(&mut observer, "client").is_none());
    let mut again = secret("client", 3, Some("key"));
    again.metadata.uid = Some("another".to_owned());
    observer.observe(Observed::Secret(0, Event::Apply(again.clone())));
    // The probe of the time in between says nothing now.
    assert!(observer.answer(probes[0].clone(), Answer::Missing));
    let orders = observer.orders();
    assert!(observer.answer(orders[0].clone(), found(again, &[("k", "new")], &orders[0])));
    observer.orders();
    assert!(kept(&mut observer, "client").unwrap().data["k"] == Value::digested(b"new"));
}

#[test]
fn without_labels_only_what_is_referred_to_is_read() {
    let mut observer = observer_of("turnpike", false);
    for name in ["openai", "somebody-elses"] {
        observer.observe(Observed::Secret(0, Event::Apply(secret(name, 1, None))));
    }
    observer.observe(Observed::Model(0, Event::Apply(model_by("gpt", 1, "openai"))));
    observer.observe(by_secret("key", "missing", 1));
    let orders = reads(&mut observer, 1, None, &[("api-key", "sk-1")]);
    assert_eq!(orders.len(), 1, "the watch covers every Secret, so what it does not tell of does not exist");
    assert_eq!(text(&kept(&mut observer, "openai").unwrap(), "api-key").as_deref(), Some("sk-1"));
    observer.observe(Observed::Secret(0, Event::Apply(secret("somebody-elses", 2, None))));
    observer.orders();
    assert!(!observer.has_news(), "Secrets that nothing refers to are no news");
}

#[test]
fn annotations_that_may_hold_values_are_not_kept() {
    let mut observer = observer();
    let mut annotated = secret("client", 1, Some("key"));
    annotated.metadata.annotations = Some(
        [("kubectl.kubernetes.io/last-applied-configuration", "c2stMQ=="), ("turnpike.dev/retires-at", "x")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    );
    observer.observe(Observed::Secret(0, Event::Apply(annotated.clone())));
    observer.observe(by_secret("key", "client", 1));
    let order = observer.orders().remove(0);
    let answer = found(annotated, &[("k", "client's")], &order);
    observer.answer(order, answer);
    observer.orders();
    let names: BTreeSet<String> = kept(&mut observer, "client").unwrap().annotations.into_keys().collect();
    assert_eq!(names, BTreeSet::from(["turnpike.dev/retires-at".to_owned()]));
}

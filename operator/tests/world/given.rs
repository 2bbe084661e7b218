//! Events as watches tell them.

use k8s_openapi::{ByteString, api::core::v1};
use kube::{core::PartialObjectMeta, runtime::watcher::Event};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use turnpike_bundle::entry::ObjectRef;
use turnpike_crds::{Budget, ModelDeployment, VirtualKey};
use turnpike_operator::world::{
    guard::Guard,
    observer::{Observed, Observer},
    secrets::{Answer, Content, Order, Want},
};

pub(crate) fn name(namespace: &str, name: &str) -> ObjectRef {
    ObjectRef { namespace: namespace.to_owned(), name: name.to_owned() }
}

/// An object in namespace `a` with a uid made of its name.
fn manifest(kind: &str, name: &str, version: u32, spec: &Value) -> Value {
    json!({
        "apiVersion": "turnpike.dev/v1alpha1", "kind": kind,
        "metadata": {"name": name, "namespace": "a", "uid": format!("uid-{name}"), "resourceVersion": version.to_string(),
            "generation": version, "managedFields": [{"manager": "kubectl"}]},
        "spec": spec,
    })
}

fn parse<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

pub(crate) fn key(name: &str, version: u32, spec: &Value) -> Guard<VirtualKey> {
    parse(manifest("VirtualKey", name, version, spec))
}

/// As [`key`], with members of `metadata` replaced.
pub(crate) fn key_with(name: &str, version: u32, spec: &Value, metadata: &Value) -> Guard<VirtualKey> {
    let mut manifest = manifest("VirtualKey", name, version, spec);
    for (member, value) in metadata.as_object().unwrap() {
        manifest["metadata"][member] = value.clone();
    }
    parse(manifest)
}

pub(crate) fn model(name: &str, version: u32, spec: &Value) -> Guard<ModelDeployment> {
    parse(manifest("ModelDeployment", name, version, spec))
}

/// A model that calls a provider with the key `api-key` of a Secret.
pub(crate) fn model_by(name: &str, version: u32, secret: &str) -> Guard<ModelDeployment> {
    let credentials = json!({"secretRef": {"name": secret, "key": "api-key"}});
    model(name, version, &json!({"provider": {"type": "OpenAI", "credentials": credentials}}))
}

pub(crate) fn secret(name: &str, version: u32, used_for: Option<&str>) -> PartialObjectMeta<v1::Secret> {
    let labels = used_for.map(|used_for| json!({"turnpike.dev/use": used_for}));
    parse(json!({"metadata": {"name": name, "namespace": "a", "uid": format!("uid-{name}"),
        "resourceVersion": version.to_string(), "labels": labels}}))
}

/// A Secret minted for the key of the same name and this uid.
pub(crate) fn minted(name: &str, version: u32, uid: &str) -> PartialObjectMeta<v1::Secret> {
    let mut secret = secret(name, version, Some("minted"));
    secret.metadata.owner_references = parse(json!([
        {"apiVersion": "turnpike.dev/v1alpha1", "kind": "VirtualKey", "name": name, "uid": uid}
    ]));
    secret
}

pub(crate) fn namespace(name: &str, teams: Option<&str>) -> PartialObjectMeta<v1::Namespace> {
    let annotations = teams.map(|teams| json!({"turnpike.dev/teams": teams}));
    parse(json!({"metadata": {"name": name, "uid": name, "resourceVersion": "1", "annotations": annotations}}))
}

pub(crate) fn service(name: &str, kind: &str) -> v1::Service {
    parse(json!({"metadata": {"name": name, "namespace": "a", "resourceVersion": "1"}, "spec": {"type": kind}}))
}

/// What a GET of a Secret gives.
pub(crate) fn found(metadata: PartialObjectMeta<v1::Secret>, data: &[(&str, &str)], order: &Order) -> Answer {
    let data = data.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())));
    let object = v1::Secret { metadata: metadata.metadata, data: Some(data.collect()), ..v1::Secret::default() };
    Answer::Found(match &order.want {
        Want::Metadata => Content::without_values(object.metadata),
        Want::Values { plain, .. } => Content::of(object, plain),
    })
}

/// Ends the first lists of everything that has not been listed by `events`.
pub(crate) fn listed(observer: &mut Observer) {
    for end in [Event::Init, Event::InitDone] {
        observer.observe(Observed::Model(0, end.clone()));
    }
    for end in [Event::Init, Event::InitDone] {
        observer.observe(Observed::Key(0, end.clone()));
    }
    budgets(observer);
    for end in [Event::Init, Event::InitDone] {
        observer.observe(Observed::Secret(0, end.clone()));
    }
    others(observer);
}

pub(crate) fn budgets(observer: &mut Observer) {
    observer.observe(Observed::Budget(0, Event::<Guard<Budget>>::Init));
    observer.observe(Observed::Budget(0, Event::InitDone));
}

/// Lists one namespace and no Service.
pub(crate) fn others(observer: &mut Observer) {
    observer.observe(Observed::Service(0, Event::Init));
    observer.observe(Observed::Service(0, Event::InitDone));
    observer.observe(Observed::Namespace(0, Event::Init));
    observer.observe(Observed::Namespace(0, Event::InitApply(namespace("a", None))));
    observer.observe(Observed::Namespace(0, Event::InitDone));
}

/// An observer of a cluster with tenants that has told its first, empty picture.
pub(crate) fn observer() -> Observer {
    observer_of("turnpike", true)
}

pub(crate) fn observer_of(instance: &str, needs_label: bool) -> Observer {
    let mut observer = Observer::new(instance.to_owned(), 1, needs_label);
    listed(&mut observer);
    assert_eq!(observer.orders(), []);
    assert!(observer.has_news());
    observer.picture();
    observer
}

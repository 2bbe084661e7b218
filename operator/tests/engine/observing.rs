//! What watches and tasks tell becomes one picture of all engines.

use k8s_openapi::api::core::v1::Pod;
use kube::{core::DynamicObject, runtime::watcher::Event};
use serde_json::{Value, json};
use turnpike_bundle::entry::ObjectRef;
use turnpike_operator::engine::{
    Report,
    kind::Kind,
    observer::{Observer, Seen},
};

fn model(name: &str) -> ObjectRef {
    ObjectRef { namespace: "ml".to_owned(), name: name.to_owned() }
}

fn object(kind: &str, name: &str, model: &str, uid: &str) -> Value {
    json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "ml", "uid": uid,
        "labels": {"turnpike.dev/model": model}, "managedFields": [{"manager": "kubelet"}]}})
}

fn child(kind: &str, name: &str, model: &str) -> DynamicObject {
    serde_json::from_value(object(kind, name, model, "1")).unwrap()
}

fn pod(name: &str, model: &str, uid: &str) -> Pod {
    serde_json::from_value(object("Pod", name, model, uid)).unwrap()
}

/// All lists told; those of `listed` with these objects.
fn observer(listed: Vec<Seen>) -> Observer {
    let mut observer = Observer::new(Kind::ALL.to_vec(), 1);
    observer.observe(Seen::Pod(0, Event::Init));
    for kind in Kind::ALL {
        observer.observe(Seen::Child(0, kind, Event::Init));
    }
    for seen in listed {
        observer.observe(seen);
    }
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::PodMonitor) {
        assert!(observer.news().is_none(), "before {kind:?} is listed it is not known");
        observer.observe(Seen::Child(0, kind, Event::InitDone));
    }
    assert!(observer.news().is_none());
    observer.observe(Seen::Pod(0, Event::InitDone));
    observer
}

#[test]
fn no_engine_is_news_once_and_a_cluster_may_lack_pod_monitors() {
    let mut observer = observer(Vec::new());
    assert_eq!(observer.news().unwrap().iter().count(), 0);
    assert!(observer.news().is_none());
}

#[test]
fn parts_are_put_together_by_the_model_that_their_labels_name() {
    let mut observer = observer(vec![
        Seen::Child(0, Kind::Deployment, Event::InitApply(child("Deployment", "llama-engine", "llama"))),
        Seen::Child(0, Kind::Claim, Event::InitApply(child("PersistentVolumeClaim", "llama-engine", "llama"))),
        Seen::Child(0, Kind::Deployment, Event::InitApply(child("Deployment", "of-a-user", "llama"))),
        Seen::Pod(0, Event::InitApply(pod("llama-engine-x", "llama", "1"))),
        Seen::Pod(0, Event::InitApply(pod("qwen-engine-x", "qwen", "2"))),
    ]);
    let engines = observer.news().unwrap();
    let llama = engines.get(&model("llama")).unwrap();
    assert_eq!(llama.deployment.as_ref().unwrap().metadata.name.as_deref(), Some("llama-engine"));
    assert!(llama.claim.is_some());
    assert_eq!(llama.pods.keys().collect::<Vec<_>>(), ["llama-engine-x"]);
    assert!(llama.pods["llama-engine-x"].metadata.managed_fields.is_none());
    assert_eq!(engines.get(&model("qwen")).unwrap().pods.len(), 1);
    let kinds: Vec<Kind> = engines.children(&model("llama")).map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [Kind::Claim, Kind::Deployment]);

    observer.observe(Seen::Child(0, Kind::Deployment, Event::Delete(child("Deployment", "llama-engine", "llama"))));
    observer.observe(Seen::Pod(0, Event::Delete(pod("qwen-engine-x", "qwen", "2"))));
    let engines = observer.news().unwrap();
    assert!(engines.get(&model("llama")).unwrap().deployment.is_none());
    assert!(engines.get(&model("qwen")).is_none());
}

#[test]
fn what_tasks_find_out_stays_with_the_pod_that_it_is_about() {
    let mut observer = observer(vec![Seen::Pod(0, Event::InitApply(pod("a", "llama", "1")))]);
    observer.news();
    observer.take(&model("llama"), Report::Fetched("a".to_owned(), Some(42)));
    observer.take(&model("llama"), Report::Adapters("a".to_owned(), Some(["sql".to_owned()].into())));
    for pod in ["a", "gone"] {
        observer.take(&model("llama"), Report::Unmounted(pod.to_owned(), Some("not a directory".to_owned())));
    }
    observer.take(&model("llama"), Report::Adapters("gone".to_owned(), Some(["sql".to_owned()].into())));
    observer.take(&model("llama"), Report::Refused(Some("exceeded quota".to_owned())));
    let engines = observer.news().unwrap();
    let llama = engines.get(&model("llama")).unwrap();
    assert_eq!((llama.fetched["a"], llama.adapters.len()), (42, 1));
    assert_eq!(llama.unmounted, [("a".to_owned(), "not a directory".to_owned())].into());
    assert_eq!(llama.refused.as_deref(), Some("exceeded quota"));
    observer.take(&model("llama"), Report::Fetched("a".to_owned(), Some(42)));
    assert!(observer.news().is_none(), "the same again is no news");

    observer.observe(Seen::Pod(0, Event::Apply(pod("a", "llama", "2"))));
    let engines = observer.news().unwrap();
    let llama = engines.get(&model("llama")).unwrap();
    assert!(
        llama.fetched.is_empty() && llama.adapters.is_empty() && llama.unmounted.is_empty(),
        "another pod of that name"
    );

    observer.observe(Seen::Pod(0, Event::Delete(pod("a", "llama", "2"))));
    observer.take(&model("llama"), Report::Refused(None));
    assert!(observer.news().unwrap().get(&model("llama")).is_none());
}

#[test]
fn a_list_told_anew_takes_away_what_it_lacks() {
    let mut observer =
        observer(vec![Seen::Child(0, Kind::Service, Event::InitApply(child("Service", "llama-engine", "llama")))]);
    assert_eq!(observer.news().unwrap().made().collect::<Vec<_>>(), [&model("llama")]);
    observer.observe(Seen::Child(0, Kind::Service, Event::Init));
    assert!(observer.news().is_none(), "nothing is gone while the list is being told");
    observer.observe(Seen::Child(0, Kind::Service, Event::InitDone));
    assert_eq!(observer.news().unwrap().made().count(), 0);
}

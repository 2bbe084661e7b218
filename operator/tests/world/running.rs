//! The watches at work on an apiserver that fails, forgets and restarts.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Frame};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};
use turnpike_operator::{
    context::Context,
    world::{self, World},
};

use crate::given::name;

/// What the apiserver does.
#[derive(Default)]
struct Script {
    /// Objects of each plural.
    objects: BTreeMap<&'static str, Vec<Value>>,
    /// Requests that fail from now on, by the end of their path.
    failures: BTreeMap<&'static str, usize>,
    /// Watches that are open.
    watches: BTreeMap<String, mpsc::UnboundedSender<String>>,
    /// Lists told so far.
    lists: BTreeMap<String, usize>,
}

type Shared = Arc<Mutex<Script>>;
type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

fn whole(status: u16, body: &Value) -> Answer {
    let body = Full::new(Bytes::from(serde_json::to_vec(body).unwrap())).boxed_unsync();
    Response::builder().status(status).body(body).unwrap()
}

fn answer(script: &Shared, request: &Request<Body>) -> Answer {
    let mut script = script.lock().unwrap();
    let (path, query) = (request.uri().path().to_owned(), request.uri().query().unwrap_or_default().to_owned());
    let last = path.rsplit('/').next().unwrap().to_owned();
    if query.contains("watch=true") {
        let (sender, lines) = mpsc::unbounded_channel::<String>();
        script.watches.insert(last, sender);
        let frames = stream::unfold(lines, async |mut lines| {
            let line = lines.recv().await?;
            Some((Ok(Frame::data(Bytes::from(line + "\n"))), lines))
        });
        return Response::new(StreamBody::new(frames.boxed()).boxed_unsync());
    }
    if let Some(left) = script.failures.get_mut(last.as_str()).filter(|left| **left > 0) {
        *left -= 1;
        return whole(500, &json!({"kind": "Status", "code": 500, "reason": "InternalError", "message": "no"}));
    }
    if path.contains("/secrets/") {
        let found = script.objects["secrets"].iter().find(|object| object["metadata"]["name"] == last.as_str());
        let gone = json!({"kind": "Status", "code": 404, "reason": "NotFound", "message": "no"});
        return found.map_or_else(|| whole(404, &gone), |found| whole(200, found));
    }
    *script.lists.entry(last.clone()).or_default() += 1;
    let items = script.objects.get(last.as_str()).cloned().unwrap_or_default();
    whole(200, &json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items}))
}

fn tell(script: &Shared, plural: &str, kind: &str, object: &Value) {
    let line = json!({"type": kind, "object": object}).to_string();
    script.lock().unwrap().watches[plural].send(line).unwrap();
}

struct Running {
    world: watch::Receiver<Arc<World>>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    fn start(script: &Shared) -> Self {
        let script = Arc::clone(script);
        let service = tower::service_fn(move |request: Request<Body>| {
            let answer = answer(&script, &request);
            async move { Ok::<_, Infallible>(answer) }
        });
        let client = Client::new(service, "default");
        let (sender, world) = watch::channel(Arc::<World>::default());
        let (context, _) = crate::context::context(client, "turnpike", "llm");
        let context = Context { world: world.clone(), ..context };
        Self { world, task: tokio::spawn(world::run(context, sender)) }
    }

    async fn next(&mut self) -> Arc<World> {
        timeout(Duration::from_mins(5), self.world.changed()).await.unwrap().unwrap();
        Arc::clone(&self.world.borrow_and_update())
    }
}

fn key(name: &str, version: &str) -> Value {
    json!({"apiVersion": "turnpike.dev/v1alpha1", "kind": "VirtualKey",
        "metadata": {"name": name, "namespace": "a", "uid": name, "resourceVersion": version, "generation": 1},
        "spec": {"secretRef": {"name": "client", "key": "k"}}})
}

fn script() -> Shared {
    let secret = json!({"metadata": {"name": "client", "namespace": "a", "uid": "client", "resourceVersion": "1",
        "labels": {"turnpike.dev/use": "key"}}, "data": {"k": STANDARD.encode("client's")}});
    Arc::new(Mutex::new(Script {
        objects: BTreeMap::from([("virtualkeys", vec![key("one", "1")]), ("secrets", vec![secret])]),
        ..Script::default()
    }))
}

#[tokio::test(start_paused = true)]
async fn the_first_picture_waits_for_lists_and_secrets_that_fail() {
    let script = script();
    script.lock().unwrap().failures = BTreeMap::from([("budgets", 3), ("client", 3)]);
    let mut running = Running::start(&script);
    let world = running.next().await;
    assert!(world.keys.contains_key(&name("a", "one")) && world.secrets.contains_key(&name("a", "client")));
    assert!(script.lock().unwrap().failures.values().all(|left| *left == 0), "all failures have been lived through");
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_version_and_lists_that_fail_take_nothing_away() {
    let script = script();
    let mut running = Running::start(&script);
    running.next().await;
    while !script.lock().unwrap().watches.contains_key("virtualkeys") {
        tokio::task::yield_now().await;
    }
    tell(&script, "virtualkeys", "ADDED", &key("two", "2"));
    assert_eq!(running.next().await.keys.len(), 2);
    {
        // While the watch is away, one key goes and one comes; the apiserver has forgotten the version, and fails at first.
        let mut script = script.lock().unwrap();
        script.objects.insert("virtualkeys", vec![key("one", "1"), key("three", "3")]);
        script.failures.insert("virtualkeys", 4);
    }
    let gone = json!({"kind": "Status", "code": 410, "reason": "Expired", "message": "too old", "status": "Failure"});
    tell(&script, "virtualkeys", "ERROR", &gone);
    let world = running.next().await;
    let keys: Vec<&str> = world.keys.keys().map(|key| key.name.as_str()).collect();
    assert_eq!(keys, ["one", "three"], "the next picture after the old one is that of the whole new list");
    let script = script.lock().unwrap();
    assert_eq!((script.failures["virtualkeys"], script.lists["virtualkeys"]), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_broken_watch_goes_on_where_it_was() {
    let script = script();
    let mut running = Running::start(&script);
    running.next().await;
    while !script.lock().unwrap().watches.contains_key("virtualkeys") {
        tokio::task::yield_now().await;
    }
    // The connection ends; the next one is a watch again, not a list.
    script.lock().unwrap().watches.remove("virtualkeys");
    while !script.lock().unwrap().watches.contains_key("virtualkeys") {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tell(&script, "virtualkeys", "DELETED", &key("one", "2"));
    let world = running.next().await;
    assert!(world.keys.is_empty());
    assert_eq!(script.lock().unwrap().lists["virtualkeys"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_no_watch_tells_of_is_found_and_missed_all_the_same() {
    let script = script();
    let unlabelled = {
        let mut script = script.lock().unwrap();
        let mut secret = script.objects.remove("secrets").unwrap().remove(0);
        secret["metadata"]["labels"] = json!({});
        script.objects.insert("secrets", Vec::new());
        secret
    };
    let mut running = Running::start(&script);
    assert!(running.next().await.secrets.is_empty());
    for _ in 0..2 {
        script.lock().unwrap().objects.insert("secrets", vec![unlabelled.clone()]);
        let world = running.next().await;
        assert!(world.secrets[&name("a", "client")].labels.is_empty(), "so that its author can be told what it lacks");
        script.lock().unwrap().objects.insert("secrets", Vec::new());
        assert!(running.next().await.secrets.is_empty(), "nor is it taken to be there once it is gone");
    }
}

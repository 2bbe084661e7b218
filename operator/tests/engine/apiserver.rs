//! An apiserver in memory that knows server-side apply as far as engines need it, and watchers that tell of all it holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use http::{Request, Response};
use http_body_util::BodyExt;
use kube::{Client, client::Body, runtime::watcher::Event};
use serde_json::{Value, json};
use tokio::sync::watch;
use turnpike_bundle::{
    Secret,
    entry::ObjectRef,
    objects,
    problem::{ObjectId, ObjectKind},
};
use turnpike_operator::{
    context::Context,
    engine::{
        Engines, Reports,
        kind::Kind,
        observer::{Observer, Seen},
        reports::Incoming,
    },
    publish::{Compiled, Published},
    settings::Settings,
    world::World,
};

/// Plural and name.
type Place = (String, String);

/// Everything that the apiserver keeps, all of namespace `ml`.
pub(crate) struct State {
    pub(crate) objects: BTreeMap<Place, Value>,
    /// Models that are not compiled.
    pub(crate) unserved: BTreeSet<String>,
    /// Plurals of which writes are refused, with the code and the words.
    pub(crate) refused: BTreeMap<&'static str, (u16, &'static str)>,
    /// Reason and note of each event.
    pub(crate) events: Vec<(String, String)>,
    /// Method, plural, name and manager of each write.
    pub(crate) writes: Vec<String>,
    /// Each other request.
    pub(crate) reads: Vec<String>,
    version: u64,
    observer: Observer,
    told: BTreeMap<Place, Value>,
    reports: Incoming,
}

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) state: Arc<Mutex<State>>,
    reports: Reports,
    world: watch::Sender<Arc<World>>,
    published: watch::Sender<Arc<Published>>,
    pub(crate) engines: watch::Sender<Arc<Engines>>,
}

pub(crate) fn at(name: &str) -> ObjectRef {
    ObjectRef { namespace: "ml".to_owned(), name: name.to_owned() }
}

impl Server {
    pub(crate) fn new() -> Self {
        let (reports, incoming) = Reports::new();
        let mut observer = Observer::new(Kind::ALL.to_vec(), 1);
        for event in [Event::Init, Event::InitDone] {
            observer.observe(Seen::Pod(0, event));
        }
        for kind in Kind::ALL {
            for event in [Event::Init, Event::InitDone] {
                observer.observe(Seen::Child(0, kind, event));
            }
        }
        let state = State {
            objects: BTreeMap::new(),
            unserved: BTreeSet::new(),
            refused: BTreeMap::new(),
            events: Vec::new(),
            writes: Vec::new(),
            reads: Vec::new(),
            version: 0,
            observer,
            told: BTreeMap::new(),
            reports: incoming,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            reports,
            world: watch::channel(Arc::default()).0,
            published: watch::channel(Arc::default()).0,
            engines: watch::channel(Arc::default()).0,
        }
    }

    /// Changes what there is, and has the watchers tell of it.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let (changed, world, published, engines) = {
            let mut state = self.state.lock().unwrap();
            let changed = change(&mut state);
            let engines = state.observe();
            (changed, state.world(&self.world.borrow()), state.published(), engines)
        };
        self.world.send_if_modified(|known| {
            let differs = known.inputs == 0 || known.models != world.models || known.secrets != world.secrets;
            if differs {
                *known = Arc::new(world);
            }
            differs
        });
        self.published.send_if_modified(|known| {
            let differs = **known != published;
            if differs {
                *known = Arc::new(published);
            }
            differs
        });
        if let Some(engines) = engines {
            self.engines.send_replace(engines);
        }
        changed
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.lock().unwrap())
    }

    fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (parts, body) = request.into_parts();
                let bytes = body.collect().await.unwrap().to_bytes();
                let body = serde_json::from_slice(&bytes).unwrap_or_default();
                let query = parts.uri.query().unwrap_or_default();
                let (status, body) =
                    server.change(|state| state.answer(parts.method.as_str(), parts.uri.path(), query, body));
                let body = Body::from(serde_json::to_vec(&body).unwrap());
                Ok::<_, std::convert::Infallible>(Response::builder().status(status).body(body).unwrap())
            }
        });
        Client::new(service, "default")
    }

    pub(crate) fn context(&self) -> (Context, impl Future<Output = ()> + use<>) {
        let (context, writer) = crate::context::context(self.client(), "turnpike", "turnpike");
        let engine = turnpike_engine::Settings { pod_monitor: true, ..turnpike_engine::Settings::default() };
        let context = Context {
            settings: Arc::new(Settings { engine, ..(*context.settings).clone() }),
            world: self.world.subscribe(),
            published: self.published.subscribe(),
            engines: self.engines.subscribe(),
            engine_reports: self.reports.clone(),
            ..context
        };
        (context, writer)
    }
}

impl State {
    /// `kubectl apply` of a model: a further edit keeps what it was otherwise.
    pub(crate) fn model(&mut self, name: &str, spec: &Value) {
        let place = ("modeldeployments".to_owned(), name.to_owned());
        let before = self.objects.get(&place).cloned().unwrap_or_default();
        let generation = before["metadata"]["generation"].as_i64().unwrap_or_default() + 1;
        let uid = before["metadata"]["uid"].as_str().map_or_else(|| format!("uid-{}", self.version + 1), str::to_owned);
        let object = json!({"apiVersion": "turnpike.dev/v1alpha1", "kind": "ModelDeployment",
            "metadata": {"name": name, "namespace": "ml", "uid": uid, "generation": generation}, "spec": spec});
        self.put(place, object);
    }

    /// Puts an object there as it is.
    pub(crate) fn put(&mut self, place: Place, mut object: Value) -> Value {
        let before = self.objects.get(&place).cloned().unwrap_or_default();
        object["metadata"]["uid"] = match (&before["metadata"]["uid"], &object["metadata"]["uid"]) {
            (Value::Null, Value::Null) => format!("uid-{}", self.version + 1).into(),
            (Value::Null, uid) | (uid, _) => uid.clone(),
        };
        object["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
        // What changes nothing is no change.
        if object != before {
            self.version += 1;
            object["metadata"]["resourceVersion"] = self.version.to_string().into();
            self.objects.insert(place, object.clone());
        }
        object
    }

    /// An object that must be there.
    pub(crate) fn get(&self, plural: &str, name: &str) -> &Value {
        &self.objects[&(plural.to_owned(), name.to_owned())]
    }

    /// Changes an object by hand.
    pub(crate) fn edit(&mut self, plural: &str, name: &str, edit: impl FnOnce(&mut Value)) {
        let mut object = self.get(plural, name).clone();
        edit(&mut object);
        self.put((plural.to_owned(), name.to_owned()), object);
    }

    /// Deletes by hand.
    pub(crate) fn delete(&mut self, plural: &str, name: &str) {
        self.objects.remove(&(plural.to_owned(), name.to_owned())).unwrap();
    }

    /// Plurals of what there is beside models.
    pub(crate) fn made(&self) -> Vec<&str> {
        self.objects.keys().map(|(plural, _)| plural.as_str()).filter(|plural| *plural != "modeldeployments").collect()
    }

    fn answer(&mut self, method: &str, path: &str, query: &str, body: Value) -> (u16, Value) {
        if path.contains("/events") {
            let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
            self.events.push((text("reason"), text("note")));
            return (201, body);
        }
        let mut parts = path.split("/namespaces/ml/").nth(1).unwrap().split('/').map(str::to_owned);
        let plural = parts.next().unwrap();
        let name = parts.next().or_else(|| body["metadata"]["name"].as_str().map(str::to_owned)).unwrap();
        let place = (plural.clone(), name.clone());
        if method == "GET" {
            self.reads.push(format!("{plural}/{name}"));
            return self.objects.get(&place).map_or_else(|| refusal(404, "not found"), |object| (200, object.clone()));
        }
        let manager = query.split('&').find_map(|pair| pair.strip_prefix("fieldManager=")).unwrap_or_default();
        self.writes.push(format!("{method} {plural}/{name} {manager}"));
        if let Some((code, words)) = self.refused.get(plural.as_str()) {
            return refusal(*code, words);
        }
        match method {
            "POST" if self.objects.contains_key(&place) => refusal(409, "AlreadyExists"),
            "POST" | "PUT" => (201, self.put(place, body)),
            "PATCH" => self.apply(place, body, manager),
            "DELETE" => {
                let uid = self.objects.get(&place).map(|object| object["metadata"]["uid"].clone());
                if uid.as_ref() != Some(&body["preconditions"]["uid"]) {
                    return refusal(409, "another uid");
                }
                self.objects.remove(&place);
                (200, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}))
            }
            other => panic!("{other}"),
        }
    }

    /// Fields of others stay; who owns the replicas is kept as the apiserver does.
    fn apply(&mut self, place: Place, sent: Value, manager: &str) -> (u16, Value) {
        let before = self.objects.get(&place).cloned().unwrap_or_default();
        let (known, wanted) = (&before["metadata"]["uid"], &sent["metadata"]["uid"]);
        if !wanted.is_null() && wanted != known {
            return refusal(409, "another uid");
        }
        let replicas = sent["spec"].get("replicas").cloned();
        let mut object = merged(before.clone(), sent);
        if place.0 == "deployments" {
            object["spec"]["template"]["spec"]["restartPolicy"] = "Always".into();
            let owners = before["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
            let mut owners: BTreeSet<String> =
                owners.iter().map(|entry| entry["manager"].as_str().unwrap().to_owned()).collect();
            if let Some(replicas) = replicas {
                if before["spec"]["replicas"] != replicas {
                    owners.clear();
                }
                owners.insert(manager.to_owned());
            } else {
                let released = owners.remove(manager) && owners.is_empty();
                if released || before.is_null() {
                    object["spec"]["replicas"] = 1.into();
                }
            }
            let entry = |manager: String| {
                json!({"manager": manager, "operation": "Apply", "fieldsType": "FieldsV1", "apiVersion": "apps/v1",
                    "fieldsV1": {"f:spec": {"f:replicas": {}}}})
            };
            object["metadata"]["managedFields"] = owners.into_iter().map(entry).collect();
        }
        (200, self.put(place, object))
    }

    fn observe(&mut self) -> Option<Arc<Engines>> {
        while let Ok((model, report)) = self.reports.try_recv() {
            self.observer.take(&model, report);
        }
        let gone: Vec<Place> = self.told.keys().filter(|place| !self.objects.contains_key(*place)).cloned().collect();
        for place in gone {
            let object = self.told.remove(&place).unwrap();
            self.tell(&place.0, object, Event::Delete);
        }
        for (place, object) in self.objects.clone() {
            if self.told.get(&place) != Some(&object) {
                self.told.insert(place.clone(), object.clone());
                self.tell(&place.0, object, Event::Apply);
            }
        }
        self.observer.news()
    }

    fn tell(
        &mut self,
        plural: &str,
        object: Value,
        event: fn(kube::core::DynamicObject) -> Event<kube::core::DynamicObject>,
    ) {
        let kind = Kind::ALL.into_iter().find(|kind| kind.resource().plural == plural);
        let labels = &object["metadata"]["labels"];
        if let (Some(kind), Some("engine")) = (kind, labels["app.kubernetes.io/component"].as_str()) {
            let object = serde_json::from_value(object).unwrap();
            self.observer.observe(Seen::Child(0, kind, event(object)));
        }
    }

    fn of(&self, plural: &str) -> impl Iterator<Item = (&str, &Value)> {
        self.objects.iter().filter(move |((of, _), _)| of == plural).map(|((_, name), object)| (name.as_str(), object))
    }

    fn world(&self, before: &World) -> World {
        let models = self.of("modeldeployments").map(|(name, value)| {
            let known = before.models.get(&at(name)).filter(|known| {
                known.metadata.resource_version.as_deref() == value["metadata"]["resourceVersion"].as_str()
            });
            (at(name), known.cloned().unwrap_or_else(|| Arc::new(serde_json::from_value(value.clone()).unwrap())))
        });
        let secrets = self.of("secrets").map(|(name, value)| {
            let secret: k8s_openapi::api::core::v1::Secret = serde_json::from_value(value.clone()).unwrap();
            let data = secret.data.unwrap_or_default();
            let secret = Secret {
                labels: secret.metadata.labels.unwrap_or_default(),
                data: data.into_iter().map(|(key, value)| (key, objects::Value::Plain(value.0))).collect(),
                ..Secret::default()
            };
            (at(name), Arc::new(secret))
        });
        World { inputs: 1, models: models.collect(), secrets: secrets.collect(), ..World::default() }
    }

    fn published(&self) -> Published {
        let compiled = self.of("modeldeployments").map(|(name, value)| {
            let has_key = self.objects.contains_key(&("secrets".to_owned(), format!("{name}-engine-key")));
            let is_served = has_key && !self.unserved.contains(name);
            let compiled = Compiled {
                generation: value["metadata"]["generation"].as_i64().unwrap(),
                digest: is_served.then(|| "entry".to_owned()),
                credential: is_served.then(|| "credential".to_owned()),
                ..Compiled::default()
            };
            (ObjectId { kind: ObjectKind::ModelDeployment, object: at(name) }, compiled)
        });
        Published { manifest: None, objects: compiled.collect() }
    }
}

fn merged(onto: Value, from: Value) -> Value {
    match (onto, from) {
        (Value::Object(mut onto), Value::Object(from)) => {
            for (key, value) in from {
                let old = onto.remove(&key).unwrap_or_default();
                onto.insert(key, merged(old, value));
            }
            Value::Object(onto)
        }
        (_, from) => from,
    }
}

fn refusal(code: u16, words: &str) -> (u16, Value) {
    let reason = match (code, words) {
        (404, _) => "NotFound",
        (409, "AlreadyExists") => "AlreadyExists",
        (409, _) => "Conflict",
        _ => "Forbidden",
    };
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": words,
    });
    (code, body)
}

//! An apiserver with Secrets, `VirtualKey`s and events in memory, whose answers can be lost, and a world as the watchers
//! would see it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use http::{Request, Response};
use http_body_util::BodyExt;
use kube::{Client, ResourceExt, client::Body};
use serde_json::{Value, json};
use tokio::sync::watch;
use turnpike_bundle::{Secret, entry::ObjectRef, objects};
use turnpike_crds::VirtualKey;
use turnpike_operator::{context::Context, world::World};

/// What goes wrong with a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not done.
    Refused,
    /// It is done, and the answer is lost.
    Unheard,
}

/// Everything that the apiserver keeps.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) secrets: BTreeMap<String, Value>,
    pub(crate) keys: BTreeMap<String, Value>,
    /// Reason and note of each event.
    pub(crate) events: Vec<(String, String)>,
    /// Method and path of each request that is not about events.
    pub(crate) requests: Vec<String>,
    /// Goes wrong with the write of this number, from 0.
    pub(crate) fault: Option<(usize, Fault)>,
    /// The watchers fall behind: they tell of users' changes, not of the operator's.
    pub(crate) slow: bool,
    writes: usize,
    version: u64,
}

/// The apiserver and what the watchers tell of it.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) state: Arc<Mutex<State>>,
    world: watch::Sender<Arc<World>>,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self { state: Arc::default(), world: watch::channel(Arc::default()).0 }
    }

    /// Changes what there is, as users do, and tells the watchers.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let (changed, world) = {
            let mut state = self.state.lock().unwrap();
            let changed = change(&mut state);
            (changed, world(&state, &self.world.borrow()))
        };
        self.world.send_replace(Arc::new(world));
        changed
    }

    /// What there is.
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
                let answer = |state: &mut State| state.answer(parts.method.as_str(), parts.uri.path(), body);
                let slow = server.look(|state| state.slow);
                let (status, body) =
                    if slow { answer(&mut server.state.lock().unwrap()) } else { server.change(answer) };
                let body = Body::from(serde_json::to_vec(&body).unwrap());
                Ok::<_, std::convert::Infallible>(Response::builder().status(status).body(body).unwrap())
            }
        });
        Client::new(service, "default")
    }

    /// A context whose world follows this server; `published` and `gateways` as given.
    pub(crate) fn context(
        &self,
        published: watch::Receiver<Arc<turnpike_operator::publish::Published>>,
        gateways: watch::Receiver<Arc<turnpike_operator::gateways::Gateways>>,
    ) -> (Context, impl Future<Output = ()> + use<>) {
        let (context, writer) = crate::context::context(self.client(), "turnpike", "turnpike");
        let context = Context { world: self.world.subscribe(), published, gateways, ..context };
        (context, writer)
    }
}

impl State {
    /// Puts a key there, as `kubectl apply` does.
    pub(crate) fn create_key(&mut self, name: &str, spec: &Value) {
        self.version += 1;
        let metadata = json!({
            "name": name, "namespace": "ml", "uid": format!("uid-{}", self.version),
            "resourceVersion": self.version.to_string(), "generation": 1,
        });
        let key =
            json!({"apiVersion": "turnpike.dev/v1alpha1", "kind": "VirtualKey", "metadata": metadata, "spec": spec});
        self.keys.insert(name.to_owned(), key);
    }

    /// `kubectl delete`: with a finalizer it only begins.
    pub(crate) fn delete_key(&mut self, name: &str) {
        let version = self.next_version();
        let metadata = &mut self.keys.get_mut(name).unwrap()["metadata"];
        metadata["deletionTimestamp"] = "2026-05-01T00:00:00Z".into();
        metadata["resourceVersion"] = version.into();
        self.collect();
    }

    /// `kubectl edit`.
    pub(crate) fn edit(&mut self, name: &str, spec: Value) {
        let version = self.next_version();
        let key = self.keys.get_mut(name).unwrap();
        key["spec"] = spec;
        key["metadata"]["resourceVersion"] = version.into();
    }

    /// `kubectl annotate`.
    pub(crate) fn annotate(&mut self, name: &str, annotation: &str, value: &str) {
        let version = self.next_version();
        let metadata = &mut self.keys.get_mut(name).unwrap()["metadata"];
        metadata["annotations"][annotation] = value.into();
        metadata["resourceVersion"] = version.into();
    }

    /// `kubectl label` with the name of another instance.
    pub(crate) fn give_away(&mut self, name: &str) {
        let version = self.next_version();
        let metadata = &mut self.keys.get_mut(name).unwrap()["metadata"];
        metadata["labels"]["turnpike.dev/instance"] = "another".into();
        metadata["resourceVersion"] = version.into();
    }

    /// Deleted keys without finalizers go, and with them the Secrets that they own.
    fn collect(&mut self) {
        let gone = |key: &Value| {
            let finalizers = key["metadata"]["finalizers"].as_array().map_or(0, Vec::len);
            !key["metadata"]["deletionTimestamp"].is_null() && finalizers == 0
        };
        self.keys.retain(|_, key| !gone(key));
        let uids: Vec<Value> = self.keys.values().map(|key| key["metadata"]["uid"].clone()).collect();
        let orphan = |secret: &Value| {
            let owner = &secret["metadata"]["ownerReferences"][0]["uid"];
            !owner.is_null() && !uids.contains(owner)
        };
        self.secrets.retain(|_, secret| !orphan(secret));
    }

    fn next_version(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    fn answer(&mut self, method: &str, path: &str, body: Value) -> (u16, Value) {
        if path.contains("/events") {
            let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
            self.events.push((text("reason"), text("note")));
            return (201, body);
        }
        self.requests.push(format!("{method} {path}"));
        if method == "GET" {
            return self.get(path);
        }
        let fault = self.fault.filter(|(number, _)| *number == self.writes).map(|(_, fault)| fault);
        self.writes += 1;
        if fault == Some(Fault::Refused) {
            return refusal(500, "InternalError");
        }
        let answer = match method {
            "POST" => self.create(body),
            "PUT" => self.replace(path, body),
            "PATCH" => self.patch(path, &body),
            "DELETE" => self.delete(path, &body),
            other => panic!("{other}"),
        };
        if fault.is_some() { refusal(500, "InternalError") } else { answer }
    }

    fn get(&self, path: &str) -> (u16, Value) {
        let objects = if path.contains("/secrets/") { &self.secrets } else { &self.keys };
        objects.get(last(path)).map_or_else(|| refusal(404, "NotFound"), |object| (200, object.clone()))
    }

    fn create(&mut self, mut body: Value) -> (u16, Value) {
        let name = body["metadata"]["name"].as_str().unwrap().to_owned();
        if self.secrets.contains_key(&name) {
            return refusal(409, "AlreadyExists");
        }
        let version = self.next_version();
        body["metadata"]["uid"] = format!("uid-{version}").into();
        body["metadata"]["resourceVersion"] = version.into();
        self.secrets.insert(name, body.clone());
        (201, body)
    }

    fn replace(&mut self, path: &str, mut body: Value) -> (u16, Value) {
        let version = self.next_version();
        let Some(secret) = self.secrets.get_mut(last(path)) else { return refusal(404, "NotFound") };
        if secret["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"] {
            return refusal(409, "Conflict");
        }
        body["metadata"]["resourceVersion"] = version.into();
        *secret = body.clone();
        (200, body)
    }

    fn delete(&mut self, path: &str, body: &Value) -> (u16, Value) {
        let Some(secret) = self.secrets.get(last(path)) else { return refusal(404, "NotFound") };
        let (metadata, wanted) = (&secret["metadata"], &body["preconditions"]);
        if metadata["uid"] != wanted["uid"] || metadata["resourceVersion"] != wanted["resourceVersion"] {
            return refusal(409, "Conflict");
        }
        self.secrets.remove(last(path));
        (200, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}))
    }

    fn patch(&mut self, path: &str, body: &Value) -> (u16, Value) {
        let version = self.next_version();
        let Some(key) = self.keys.get(last(path)) else { return refusal(404, "NotFound") };
        let mut patched = key.clone();
        for operation in body.as_array().unwrap() {
            let at = operation["path"].as_str().unwrap();
            let (parent, child) = at.rsplit_once('/').unwrap();
            match operation["op"].as_str().unwrap() {
                "test" if patched.pointer(at) != Some(&operation["value"]) => return refusal(422, "Invalid"),
                "test" => {}
                "add" => match patched.pointer_mut(parent).unwrap() {
                    Value::Array(items) => items.push(operation["value"].clone()),
                    object => object[child] = operation["value"].clone(),
                },
                "remove" => {
                    patched.pointer_mut(parent).unwrap().as_array_mut().unwrap().remove(child.parse().unwrap());
                }
                other => panic!("{other}"),
            }
        }
        patched["metadata"]["resourceVersion"] = version.into();
        self.keys.insert(last(path).to_owned(), patched.clone());
        if !patched["metadata"]["deletionTimestamp"].is_null() {
            self.collect();
        }
        (200, patched)
    }
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

fn refusal(code: u16, reason: &str) -> (u16, Value) {
    (
        code,
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": "no"}),
    )
}

/// What has the same resourceVersion stays the same thing, as with the watchers.
fn world(state: &State, before: &World) -> World {
    let at = |name: &str| ObjectRef { namespace: "ml".to_owned(), name: name.to_owned() };
    let keys = state.keys.iter().map(|(name, value)| {
        let version = value["metadata"]["resourceVersion"].as_str().map(str::to_owned);
        let known = before.keys.get(&at(name)).filter(|known| known.metadata.resource_version == version);
        let key = known.cloned().unwrap_or_else(|| Arc::new(serde_json::from_value(value.clone()).unwrap()));
        (at(name), key)
    });
    let secrets = state.secrets.iter().map(|(name, value)| {
        let secret: k8s_openapi::api::core::v1::Secret = serde_json::from_value(value.clone()).unwrap();
        let owner = value["metadata"]["ownerReferences"][0]["uid"].as_str();
        let owner = state.keys.iter().find(|(_, key)| key["metadata"]["uid"].as_str() == owner);
        let data = secret.data.unwrap_or_default();
        let secret = Secret {
            labels: secret.metadata.labels.unwrap_or_default(),
            annotations: secret.metadata.annotations.unwrap_or_default(),
            data: data.into_iter().map(|(key, value)| (key, objects::Value::digested(&value.0))).collect(),
            absent: BTreeMap::new(),
            minted_for: owner.map(|(name, _)| at(name)),
        };
        let known = before.secrets.get(&at(name)).filter(|known| ***known == secret);
        (at(name), known.cloned().unwrap_or_else(|| Arc::new(secret)))
    });
    let (given_away, keys): (Vec<_>, Vec<_>) = keys.partition(|(_, key): &(ObjectRef, Arc<VirtualKey>)| {
        key.labels().get("turnpike.dev/instance").is_some_and(|instance| instance != "turnpike")
    });
    let given_away = given_away
        .into_iter()
        .filter(|(_, key)| !key.finalizers().is_empty())
        .map(|(at, key)| (at, Arc::new(key.metadata.clone())));
    World {
        keys: keys.into_iter().collect(),
        given_away: given_away.collect(),
        secrets: secrets.collect(),
        ..World::default()
    }
}

//! An apiserver in memory: `ConfigMaps` and Secrets with resourceVersions, conflicts and watches, and with faults on demand.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use futures_util::{StreamExt, stream};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Frame};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::sync::watch;

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is done.
    Done,
    /// It is refused before anything is done.
    Refused,
    /// It is done, and the answer is lost.
    AnswerLost,
}

type Decide = Box<dyn FnMut(usize) -> Fate + Send>;

/// Objects by plural and name, and all that happened to them.
pub(crate) struct Objects {
    stored: BTreeMap<(String, String), Value>,
    version: u64,
    /// Every write of the bundle's objects that was tried, as `PATCH configmaps/turnpike-bundle-models-00`.
    pub(crate) writes: Vec<String>,
    /// All events so far: plural, resourceVersion, event.
    history: Vec<(String, u64, Value)>,
    /// Length of the history.
    happened: watch::Sender<usize>,
    /// Decides the fate of the n-th write.
    pub(crate) fate: Decide,
    /// Notes of events for people.
    pub(crate) notes: Vec<String>,
}

/// The apiserver. Clones share everything.
#[derive(Clone)]
pub(crate) struct Apiserver(Arc<Mutex<Objects>>);

type Answer = (u16, Value);

impl Apiserver {
    pub(crate) fn new() -> Self {
        let objects = Objects {
            stored: BTreeMap::new(),
            version: 1,
            writes: Vec::new(),
            history: Vec::new(),
            happened: watch::Sender::new(0),
            fate: Box::new(|_| Fate::Done),
            notes: Vec::new(),
        };
        Self(Arc::new(Mutex::new(objects)))
    }

    pub(crate) fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let query = parts.uri.query().unwrap_or_default().to_owned();
                // What comes after `namespaces/<namespace>/`: a plural, and perhaps a name.
                let path = parts.uri.path().split("/namespaces/").nth(1).unwrap_or_default();
                let mut path = path.split('/').skip(1).map(str::to_owned);
                let (plural, name) = (path.next().unwrap_or_default(), path.next());
                if query.contains("watch=true") {
                    return Ok::<_, Infallible>(server.watch(plural, query));
                }
                let body = serde_json::from_slice(&body).unwrap_or_default();
                let (status, body) = server.answer(&parts.method, (plural, name), &query, body);
                let body = Full::new(Bytes::from(body.to_string())).boxed_unsync();
                Ok(Response::builder().status(status).body(body).unwrap())
            }
        });
        Client::new(service, "default")
    }

    /// Looks at, or changes, what the server holds.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Objects) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    /// All events after the resourceVersion that is asked for, for ever.
    fn watch(&self, plural: String, query: String) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
        let after: u64 = parameter(&query, "resourceVersion=").and_then(|text| text.parse().ok()).unwrap_or_default();
        let (server, happened) = (self.clone(), self.with(|objects| objects.happened.subscribe()));
        let events = stream::unfold((0, happened), move |(at, mut happened)| {
            let server = server.clone();
            async move {
                let length = *happened.wait_for(|length| *length > at).await.ok()?;
                let new = server.with(|objects| objects.history.get(at..length).unwrap_or_default().to_vec());
                Some((stream::iter(new), (length, happened)))
            }
        });
        let frames = events.flatten().filter_map(move |(of, version, event)| {
            let name = event["object"]["metadata"]["name"].as_str().unwrap_or_default();
            let shown = of == plural && version > after && selected(&query, name);
            std::future::ready(shown.then(|| Ok(Frame::data(Bytes::from(format!("{event}\n"))))))
        });
        Response::new(StreamBody::new(frames).boxed_unsync())
    }

    fn answer(&self, method: &Method, (plural, name): (String, Option<String>), query: &str, body: Value) -> Answer {
        self.with(|objects| {
            if plural == "events" {
                objects.notes.push(body["note"].as_str().unwrap_or_default().to_owned());
                return (201, body);
            }
            let name = name.or_else(|| body["metadata"]["name"].as_str().map(str::to_owned));
            let Some(name) = name.filter(|_| *method != Method::GET || !query.contains("limit=")) else {
                return objects.list(&plural, query);
            };
            if *method == Method::GET {
                return objects.stored.get(&(plural, name)).map_or_else(missing, |object| (200, object.clone()));
            }
            if !name.contains("-bundle-") {
                return objects.write(method, (plural, name), body);
            }
            objects.writes.push(format!("{method} {plural}/{name}"));
            let number = objects.writes.len();
            match (objects.fate)(number) {
                Fate::Done => objects.write(method, (plural, name), body),
                Fate::Refused => refusal(503, "ServiceUnavailable"),
                Fate::AnswerLost => {
                    objects.write(method, (plural, name), body);
                    refusal(504, "Timeout")
                }
            }
        })
    }
}

impl Objects {
    fn list(&self, plural: &str, query: &str) -> Answer {
        let items = self.stored.iter().filter(|((of, name), _)| of == plural && selected(query, name));
        let items: Vec<&Value> = items.map(|(_, object)| object).collect();
        let body = json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList",
            "metadata": {"resourceVersion": self.version.to_string()}, "items": items,
        });
        (200, body)
    }

    fn write(&mut self, method: &Method, key: (String, String), mut body: Value) -> Answer {
        let before = self.stored.get(&key).cloned();
        let wanted = match *method {
            Method::DELETE => body["preconditions"]["resourceVersion"].as_str().map(str::to_owned),
            _ => body["metadata"]["resourceVersion"].as_str().map(str::to_owned),
        };
        let has = before.as_ref().and_then(|object| object["metadata"]["resourceVersion"].as_str().map(str::to_owned));
        if *method == Method::POST && before.is_some() {
            return refusal(409, "AlreadyExists");
        }
        if wanted.is_some() && wanted != has {
            return refusal(409, "Conflict");
        }
        if *method == Method::DELETE {
            return self.delete(&key).map_or_else(missing, |object| (200, object));
        }
        if let (&Method::PATCH, Some(before)) = (method, &before) {
            body = merged(before.clone(), body);
        }
        (200, self.put(key, body))
    }

    /// Puts an object there, as somebody would by hand.
    pub(crate) fn put(&mut self, key: (String, String), mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = json!(format!("uid-{}", self.version));
        }
        let kind = if self.stored.contains_key(&key) { "MODIFIED" } else { "ADDED" };
        self.tell(&key.0, json!({"type": kind, "object": object}));
        self.stored.insert(key, object.clone());
        object
    }

    /// Deletes an object, as somebody would by hand.
    pub(crate) fn delete(&mut self, key: &(String, String)) -> Option<Value> {
        let object = self.stored.remove(key)?;
        self.version += 1;
        self.tell(&key.0, json!({"type": "DELETED", "object": object}));
        Some(object)
    }

    fn tell(&mut self, plural: &str, event: Value) {
        self.history.push((plural.to_owned(), self.version, event));
        self.happened.send_replace(self.history.len());
    }

    /// An object as it lies there.
    pub(crate) fn get(&self, plural: &str, name: &str) -> Option<&Value> {
        self.stored.get(&(plural.to_owned(), name.to_owned()))
    }

    /// The bundle's parts with their bytes, as a gateway's volume shows them.
    pub(crate) fn parts(&self) -> BTreeMap<String, Vec<u8>> {
        use base64::Engine as _;
        let part = |((plural, name), object): (&(String, String), &Value)| {
            let part = name.strip_prefix("turnpike-bundle-")?;
            let text = object["data"][part].as_str()?;
            let bytes = match plural.as_str() {
                "secrets" => base64::engine::general_purpose::STANDARD.decode(text).unwrap(),
                _ => text.as_bytes().to_vec(),
            };
            Some((part.to_owned(), bytes))
        };
        self.stored.iter().filter_map(part).collect()
    }
}

/// Field selectors for a name are the only ones that matter here.
fn selected(query: &str, name: &str) -> bool {
    parameter(query, "metadata.name%3D").is_none_or(|wanted| wanted == name)
}

fn parameter<'a>(query: &'a str, before: &str) -> Option<&'a str> {
    query.split(before).nth(1)?.split('&').next()
}

fn merged(mut onto: Value, from: Value) -> Value {
    match (&mut onto, from) {
        (Value::Object(onto), Value::Object(from)) => {
            for (key, value) in from {
                let old = onto.remove(&key).unwrap_or_default();
                onto.insert(key, merged(old, value));
            }
        }
        (onto, from) => *onto = from,
    }
    onto
}

fn missing() -> Answer {
    refusal(404, "NotFound")
}

fn refusal(code: u16, reason: &str) -> Answer {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": "no",
    });
    (code, body)
}

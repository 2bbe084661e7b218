//! When statuses are written: once, in good time, and never again while nothing changes. Time is paused, so that minutes pass at once.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{sync::watch, time::sleep};
use turnpike_operator::{
    engine::Engines,
    gateways::Gateways,
    publish::Published,
    spend::{Spend, Store},
    status,
    world::World,
};

use crate::{
    engine,
    place::{Place, at, now},
    server::{self, Log, Seen},
    spent::{one, read},
};

/// An operator's status task with an apiserver whose watch shows a write a little later.
struct Scene {
    place: Arc<Mutex<Place>>,
    world: watch::Sender<Arc<World>>,
    published: watch::Sender<Arc<Published>>,
    gateways: watch::Sender<Arc<Gateways>>,
    spend: watch::Sender<Arc<Spend>>,
    engines: watch::Sender<Arc<Engines>>,
    log: Log,
}

/// How long a watch takes to show a write.
const LAG: Duration = Duration::from_millis(50);

impl Scene {
    /// Starts the task; `answer` may refuse a request before it is done.
    fn new(place: Place, answer: impl Fn(&Seen) -> Option<(u16, Value)> + Clone + Send + 'static) -> Self {
        let version = Arc::new(Mutex::new(1_u64));
        let place = Arc::new(Mutex::new(place));
        let (shown, store) = (watch::Sender::new(Arc::default()), Arc::clone(&place));
        let (show, versions) = (shown.clone(), Arc::clone(&version));
        let (client, log) = server::client(move |seen| {
            if let Some(refused) = answer(seen) {
                return refused;
            }
            if !seen.line.starts_with("PATCH") {
                return (201, seen.body.clone());
            }
            let mut next = versions.lock().unwrap();
            *next += 1;
            let mut object = seen.body.clone();
            object["metadata"]["resourceVersion"] = json!(next.to_string());
            let (store, show) = (Arc::clone(&store), show.clone());
            let written = object.clone();
            tokio::spawn(async move {
                sleep(LAG).await;
                let mut place = store.lock().unwrap();
                take(&mut place, &written);
                show.send_replace(Arc::new(place.world.clone()));
            });
            (200, full(object))
        });
        let (mut context, events) = server::context(client);
        let (published, gateways) = (watch::Sender::new(Arc::default()), watch::Sender::new(Arc::default()));
        (context.world, context.published) = (shown.subscribe(), published.subscribe());
        context.gateways = gateways.subscribe();
        let spend = watch::Sender::new(Arc::default());
        context.spend = spend.subscribe();
        let engines = watch::Sender::new(Arc::default());
        context.engines = engines.subscribe();
        tokio::spawn(events);
        tokio::spawn(status::run(context));
        let scene = Self { place, world: shown, published, gateways, spend, engines, log };
        scene.change(|_| {});
        scene
    }

    /// Changes the place and shows all of it.
    fn change(&self, change: impl FnOnce(&mut Place)) {
        let mut place = self.place.lock().unwrap();
        change(&mut place);
        self.world.send_replace(Arc::new(place.world.clone()));
        self.published.send_replace(Arc::new(place.published()));
        self.gateways.send_replace(Arc::new(place.gateways.clone()));
        self.spend.send_replace(Arc::new(place.spend.clone()));
        self.engines.send_replace(Arc::new(place.engines.clone()));
    }

    /// Names of the objects whose status was written since the last call, in order.
    fn written(&self) -> Vec<String> {
        let mut log = self.log.lock().unwrap();
        let seen = std::mem::take(&mut *log);
        let (writes, others): (Vec<Seen>, Vec<Seen>) =
            seen.into_iter().partition(|seen| seen.line.contains("/status?"));
        *log = others;
        writes.iter().map(|seen| seen.body["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Notes of events so far.
    fn notes(&self) -> Vec<String> {
        let log = self.log.lock().unwrap();
        let notes = log.iter().filter(|seen| seen.line.contains("/events"));
        notes.map(|seen| format!("{} {}", seen.body["regarding"]["name"], seen.body["note"])).collect()
    }
}

/// The object with a spec, so that it can be read.
fn full(mut object: Value) -> Value {
    object["spec"] = json!({"limits": []});
    object
}

/// A written status comes back by the watch.
fn take(place: &mut Place, written: &Value) {
    let name = at(written["metadata"]["name"].as_str().unwrap());
    let version = written["metadata"]["resourceVersion"].as_str().map(str::to_owned);
    let status = written["status"].clone();
    match written["kind"].as_str().unwrap() {
        "ModelDeployment" => {
            let Some(model) = place.world.models.get_mut(&name) else { return };
            let model = Arc::make_mut(model);
            (model.status, model.metadata.resource_version) = (Some(serde_json::from_value(status).unwrap()), version);
        }
        "VirtualKey" => {
            let Some(key) = place.world.keys.get_mut(&name) else { return };
            let key = Arc::make_mut(key);
            (key.status, key.metadata.resource_version) = (Some(serde_json::from_value(status).unwrap()), version);
        }
        "Budget" => {
            let Some(budget) = place.world.budgets.get_mut(&name) else { return };
            let budget = Arc::make_mut(budget);
            (budget.status, budget.metadata.resource_version) =
                (Some(serde_json::from_value(status).unwrap()), version);
        }
        kind => unreachable!("{kind}"),
    }
}

fn mock() -> Value {
    json!({"mock": {"response": "hi"}})
}

fn edit(place: &mut Place, name: &str) {
    let model = Arc::make_mut(place.world.models.get_mut(&at(name)).unwrap());
    model.metadata.generation = model.metadata.generation.map(|generation| generation + 1);
    model.spec.weight = 3;
}

fn programmed(scene: &Scene, name: &str) -> Value {
    let place = scene.place.lock().unwrap();
    let status = serde_json::to_value(place.world.models[&at(name)].status.as_ref().unwrap()).unwrap();
    let conditions = status["conditions"].as_array().unwrap();
    let found = conditions.iter().find(|condition| condition["type"] == "Programmed").unwrap();
    json!([found["status"], found["message"], found["observedGeneration"]])
}

#[tokio::test(start_paused = true)]
async fn everything_is_written_once_and_then_nothing_for_an_hour() {
    let mut place = Place::new().gateways(&[Some(10)]);
    for number in 0..40 {
        place = place.model(&format!("model-{number}"), &mock());
    }
    let scene = Scene::new(place, |_| None);
    sleep(Duration::from_secs(1)).await;
    let mut written = scene.written();
    written.sort();
    written.dedup();
    assert_eq!(written.len(), 40);
    sleep(Duration::from_hours(1)).await;
    assert_eq!(scene.written(), [""; 0]);
    // Neither does looking again because of something else.
    scene.change(|place| {
        place.world.services.insert(at("web"));
    });
    sleep(Duration::from_secs(5)).await;
    assert_eq!(scene.written(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn figures_trickle_and_budgets_go_first() {
    let mut place = Place::new().gateways(&[Some(10)]);
    for number in 0..60 {
        place = place.key(&format!("key-{number}"), &json!({"keyHash": format!("sha256:{number:064}")}));
    }
    place =
        place.budget("team", &json!({"scope": {"namespace": true}, "limits": [{"window": "Month", "usd": "5.00"}]}));
    place.spend.store = Store::Waiting;
    let scene = Scene::new(place, |_| None);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(scene.written().len(), 61);
    scene.change(|place| place.spend = read(place, &[one(10_000_000, 0)], &[], &[], now()));
    sleep(Duration::from_millis(1010)).await;
    let written = scene.written();
    assert_eq!(written[0], "team");
    assert!((20..=22).contains(&written.len()), "{} in a second", written.len());
    sleep(Duration::from_secs(3)).await;
    assert_eq!(written.len() + scene.written().len(), 61);
    sleep(Duration::from_hours(1)).await;
    assert_eq!(scene.written(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_edit_is_one_write_when_gateways_follow_soon_and_says_so_when_they_do_not() {
    let place = Place::new().gateways(&[Some(10), Some(10)]).model("model", &mock());
    let scene = Scene::new(place, |_| None);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(scene.written(), ["model"]);
    let gateways = |versions: &[Option<u64>]| {
        let versions = versions.to_vec();
        move |place: &mut Place| *place = std::mem::take(place).gateways(&versions)
    };
    // Gateways that have not got the edit: the helper's version of every entry is 10.
    scene.change(|place| {
        edit(place, "model");
        gateways(&[Some(9), Some(9)])(place);
    });
    sleep(Duration::from_millis(300)).await;
    scene.change(gateways(&[Some(10), Some(9)]));
    sleep(Duration::from_millis(300)).await;
    assert_eq!(scene.written(), [""; 0]);
    scene.change(gateways(&[Some(10), Some(10)]));
    sleep(Duration::from_millis(300)).await;
    assert_eq!(scene.written(), ["model"]);
    assert_eq!(programmed(&scene, "model"), json!(["True", "Every ready gateway serves it", 2]));
    scene.change(|place| {
        edit(place, "model");
        gateways(&[Some(10), Some(9)])(place);
    });
    sleep(Duration::from_millis(2900)).await;
    assert_eq!(scene.written(), [""; 0]);
    sleep(Duration::from_millis(300)).await;
    assert_eq!(scene.written(), ["model"]);
    assert_eq!(programmed(&scene, "model"), json!(["False", "1 of 2 gateways serve it", 3]));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_lags_behind_causes_no_second_write() {
    let scene = Scene::new(Place::new().gateways(&[Some(10)]).model("model", &mock()), |_| None);
    for number in 0..20 {
        sleep(Duration::from_millis(11)).await;
        scene.change(|place| {
            place.world.services.insert(at(&number.to_string()));
        });
    }
    assert_eq!(scene.written(), ["model"]);
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_tried_again_and_what_is_gone_rarely() {
    let tries: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    let counted = Arc::clone(&tries);
    let place = Place::new().gateways(&[Some(10)]).model("gone", &mock()).model("busy", &mock()).model("fine", &mock());
    let _scene = Scene::new(place, move |seen| {
        let name = seen.body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let mut tries = counted.lock().unwrap();
        let count = tries.entry(name.clone()).or_default();
        *count += 1;
        match (name.as_str(), *count) {
            ("gone", _) => Some(server::refusal(404, "NotFound")),
            ("busy", 1) => Some(server::refusal(409, "Conflict")),
            ("busy", 2..5) => Some(server::refusal(500, "InternalError")),
            _ => None,
        }
    });
    sleep(Duration::from_millis(200)).await;
    assert!(tries.lock().unwrap()["busy"] >= 2, "a conflict is tried again soon");
    sleep(Duration::from_secs(5)).await;
    assert_eq!(tries.lock().unwrap()["busy"], 5);
    assert_eq!(tries.lock().unwrap()["fine"], 1);
    // The watch is about to say that it is gone.
    let asked = tries.lock().unwrap()["gone"];
    assert!(asked <= 7, "asked {asked} times for what is gone");
}

#[tokio::test(start_paused = true)]
async fn one_persons_edit_does_not_wait_for_a_mass() {
    let mut place = Place::new().gateways(&[Some(10)]);
    for number in 0..300 {
        let hash = format!("sha256:{number:064x}");
        place = place.key(&format!("key-{number}"), &json!({"keyHash": hash}));
    }
    place = place.model("model", &mock());
    let scene = Scene::new(place, |_| None);
    sleep(Duration::from_secs(1)).await;
    let mut all = scene.written();
    assert!((50..=101).contains(&all.len()), "{} statuses in the first second", all.len());
    scene.change(|place| edit(place, "model"));
    sleep(Duration::from_millis(100)).await;
    let soon = scene.written();
    assert!(soon.len() < 20 && soon.contains(&"model".to_owned()), "{soon:?}");
    sleep(Duration::from_secs(4)).await;
    all.extend(soon);
    all.extend(scene.written());
    all.sort();
    let count = all.len();
    all.dedup();
    assert_eq!((all.len(), count - all.len() <= 1), (301, true), "{count} writes; only the model may have two");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_told_once() {
    let place = Place::new().gateways(&[Some(10)]).model("model", &mock());
    let scene = Scene::new(place, |_| None);
    scene.change(|place| {
        let id = turnpike_bundle::problem::ObjectId {
            kind: turnpike_bundle::problem::ObjectKind::ModelDeployment,
            object: at("model"),
        };
        place.world.unreadable.insert(id, "spec.weight: invalid type".to_owned());
    });
    sleep(Duration::from_secs(2)).await;
    scene.change(|_| {});
    sleep(Duration::from_secs(2)).await;
    let notes = scene.notes();
    let told = "The object cannot be read: spec.weight: invalid type; correct it, what was last read of it is in use until then";
    assert_eq!(notes, [format!("\"model\" \"{told}\"")]);
    assert_eq!(scene.written(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_download_is_told_every_five_seconds_and_its_end_at_once() {
    let mut place = engine::place(&json!({}));
    place.engines = engine::at_percent(0);
    let scene = Scene::new(place, |_| None);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(scene.written(), ["qwen"]);
    let mut writes = 0;
    for percent in 1..=100 {
        scene.change(|place| place.engines = engine::at_percent(percent));
        sleep(Duration::from_millis(300)).await;
        writes += scene.written().len();
    }
    assert!((5..=6).contains(&writes), "{writes} in 30 s");
    scene.change(|place| place.engines = engine::engines(turnpike_engine::Observed::default()));
    sleep(Duration::from_millis(200)).await;
    assert_eq!(scene.written(), ["qwen"]);
    sleep(Duration::from_hours(1)).await;
    assert_eq!(scene.written(), [""; 0]);
}

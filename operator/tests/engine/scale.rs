//! Which engines get how many replicas, and what people are told: decisions on pictures of a cluster, second by second.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use k8s_openapi::api::apps::v1::Deployment;
use serde_json::{Value, json};
use tokio::time::Instant;
use turnpike_bundle::{
    entry::ObjectRef,
    report::{Demand, Demands},
};
use turnpike_crds::ModelDeployment;
use turnpike_engine::Observed;
use turnpike_operator::{
    engine::{
        Engines,
        scale::{
            demand::Heard,
            load::Loads,
            plan::{AGAIN, CALM, SILENT, Scaling, Steps, View},
        },
    },
    gateways::{Gateway, Gateways},
    kit::events::EventType,
    world::World,
};

/// A cluster with one engine and some gateways.
struct Scene {
    began: Instant,
    second: u64,
    world: World,
    replicas: i32,
    /// What each gateway said last, and at which second.
    gateways: BTreeMap<&'static str, Option<(u64, Demand)>>,
    /// What the engine's pods say, each time that they are asked.
    says: Option<Demand>,
    scaling: Scaling,
}

pub(super) fn model() -> ObjectRef {
    ObjectRef { namespace: "ml".to_owned(), name: "qwen".to_owned() }
}

pub(super) fn deployment(replicas: i32) -> Deployment {
    let spec = json!({"replicas": replicas, "selector": {}, "template": {}});
    serde_json::from_value(json!({"metadata": {"name": "qwen-engine", "namespace": "ml"}, "spec": spec})).unwrap()
}

pub(super) fn engine(autoscaling: &Value) -> ModelDeployment {
    let source = json!({"huggingFace": {"repo": "Qwen/Qwen2.5-7B-Instruct"}});
    let spec = json!({"vllm": {"source": source, "autoscaling": autoscaling}});
    let metadata = json!({"name": "qwen", "namespace": "ml", "uid": "u-1"});
    serde_json::from_value(json!({
        "apiVersion": "turnpike.dev/v1alpha1", "kind": "ModelDeployment", "metadata": metadata, "spec": spec,
    }))
    .unwrap()
}

fn load(in_flight: u64) -> Demand {
    Demand { in_flight, ..Demand::default() }
}

impl Scene {
    fn new(replicas: i32) -> Self {
        let mut world = World::default();
        let autoscaling = json!({"minReplicas": 0, "maxReplicas": 4, "targetInFlight": 10, "scaleDownDelay": "60s"});
        world.models.insert(model(), Arc::new(engine(&autoscaling)));
        let began = Instant::now();
        let scaling = Scaling::new(began);
        Self { began, second: 0, world, replicas, gateways: BTreeMap::from([("a", None)]), says: None, scaling }
    }

    /// The gateway says this now.
    fn says(&mut self, gateway: &'static str, demand: Demand) {
        self.gateways.insert(gateway, Some((self.second, demand)));
    }

    fn now(&self) -> Instant {
        self.began + Duration::from_secs(self.second)
    }

    fn decide(&mut self) -> Steps {
        let deployment = Some(Arc::new(deployment(self.replicas)));
        let engines: Engines = [(model(), Observed { deployment, ..Observed::default() })].into_iter().collect();
        let uid = |name: &&str| format!("uid-{name}");
        let gateway = |name| Gateway { uid: uid(name), running: true, ready: true, ..Gateway::default() };
        let gateways: Gateways = self.gateways.keys().map(|name| ((*name).to_owned(), gateway(name))).collect();
        let heard = self.gateways.iter().filter_map(|(name, said)| {
            let (second, demand) = (*said)?;
            let demands = Demands { engines: BTreeMap::from([("ml/qwen".to_owned(), demand)]) };
            let at = self.began + Duration::from_secs(second);
            Some((uid(name), Heard { at, demands: Arc::new(demands) }))
        });
        let heard = heard.collect();
        let now = self.now();
        let loads: Loads = self.says.map(|said| (model(), (now, said))).into_iter().collect();
        let view =
            View { now, world: &self.world, engines: &engines, gateways: &gateways, heard: &heard, loads: &loads };
        self.scaling.decide(view)
    }

    /// A second passes in which every gateway says the same as before; the change, if any, is made.
    fn pass(&mut self) -> Steps {
        self.second += 1;
        for said in self.gateways.values_mut().flatten() {
            said.0 = self.second;
        }
        self.step()
    }

    /// A second passes in which nobody says anything.
    fn silence(&mut self) -> Steps {
        self.second += 1;
        self.step()
    }

    fn step(&mut self) -> Steps {
        let steps = self.decide();
        for change in &steps.changes {
            self.replicas = i32::try_from(change.to).unwrap();
            let now = self.now();
            self.scaling.set(&change.model, None, now);
        }
        steps
    }

    fn passes(&mut self, seconds: u64) -> Vec<Steps> {
        (0..seconds).map(|_| self.pass()).collect()
    }
}

/// From how many to how many.
fn changes(steps: &[Steps]) -> Vec<(u32, u32)> {
    steps.iter().flat_map(|steps| &steps.changes).map(|change| (change.from, change.to)).collect()
}

#[test]
fn demand_of_all_gateways_is_added_up() {
    let mut scene = Scene::new(1);
    scene.says("a", load(9));
    scene.says("b", Demand { in_flight: 8, waiting: 8, wanted: true });
    let steps = scene.decide();
    assert_eq!((changes(std::slice::from_ref(&steps)), steps.load, steps.wanted), (vec![(1, 3)], 25, 3));
    assert_eq!(steps.changes[0].deployment, "qwen-engine");
    assert_eq!((steps.changes[0].note.clone(), steps.notes), (None, Vec::new()));
}

#[test]
fn an_engine_that_others_than_gateways_call_gets_replicas_by_its_own_word() {
    let mut scene = Scene::new(1);
    scene.says("a", load(5));
    scene.says = Some(Demand { in_flight: 14, waiting: 11, wanted: false });
    let steps = scene.decide();
    assert_eq!((changes(std::slice::from_ref(&steps)), steps.load, steps.wanted), (vec![(1, 3)], 25, 3));
    scene.says("a", load(31));
    assert_eq!(scene.decide().load, 31, "gateways know of more: of what they hold until there are replicas");
}

#[test]
fn without_gateways_an_engine_that_is_busy_still_gets_replicas_and_loses_none() {
    let mut scene = Scene::new(1);
    scene.gateways.clear();
    scene.says = Some(load(25));
    assert_eq!(changes(&scene.passes(3)), [(1, 3)]);
    scene.says = Some(load(0));
    assert_eq!(changes(&scene.passes(300)), []);
}

#[test]
fn the_first_replica_is_told_once_it_is_set() {
    let mut scene = Scene::new(0);
    scene.says("a", Demand { waiting: 1, wanted: true, ..Demand::default() });
    let steps = scene.pass();
    let note = steps.changes[0].note.clone().unwrap();
    assert_eq!((note.kind, note.reason), (EventType::Normal, "ScaledFromZero"));
    assert_eq!((note.regarding.name.as_deref(), note.regarding.uid.as_deref()), (Some("qwen"), Some("u-1")));
    assert_eq!(note.text, "requests came while no replica ran; one is starting");
    assert_eq!(changes(&scene.passes(30)), []);
}

#[test]
fn replicas_go_after_a_whole_delay_and_a_restart_begins_it_anew() {
    let mut scene = Scene::new(1);
    scene.says("a", load(25));
    assert_eq!(changes(&scene.passes(10)), [(1, 3)]);
    scene.says("a", load(0));
    assert_eq!(changes(&scene.passes(55)), []);
    scene.scaling = Scaling::new(scene.now());
    assert_eq!(changes(&scene.passes(60)), [], "the new process does not know since when");
    assert_eq!(changes(&scene.passes(5)), [(3, 0)]);
}

#[test]
fn while_a_gateway_is_silent_nothing_goes_and_soon_it_is_said() {
    let mut scene = Scene::new(2);
    scene.says("a", load(0));
    scene.says("b", load(0));
    scene.passes(5);
    let steps: Vec<Steps> = (0..200)
        .map(|_| {
            let said = (scene.second + 1, load(0));
            scene.gateways.insert("a", Some(said));
            scene.silence()
        })
        .collect();
    assert_eq!(changes(&steps), []);
    let reports: Vec<_> = steps.iter().enumerate().filter(|(_, steps)| !steps.reports.is_empty()).collect();
    assert_eq!(reports.len(), 1, "{reports:?}");
    let (second, said) = (reports[0].0 as u64, reports[0].1.reports[0].1.clone().unwrap());
    assert!((SILENT.as_secs()..SILENT.as_secs() + 10).contains(&second), "{second}");
    assert!(said.contains("gateway pod b does not tell") && said.contains("4001"), "{said}");
    // It is heard again.
    let steps = scene.pass();
    assert_eq!(steps.reports, [(model(), None)]);
    assert_eq!(changes(&scene.passes(70)), [(2, 0)]);
}

#[test]
fn without_gateways_replicas_stay() {
    let mut scene = Scene::new(2);
    scene.gateways.clear();
    let steps = scene.passes(300);
    assert_eq!(changes(&steps), []);
    let said: Vec<_> = steps.iter().flat_map(|steps| &steps.reports).filter_map(|(_, why)| why.clone()).collect();
    assert_eq!(said, ["no gateway runs, so nobody tells what clients want; replicas do not fall"]);
}

#[test]
fn a_gateway_that_does_not_know_the_engine_has_no_requests_for_it() {
    let mut scene = Scene::new(1);
    scene.says("a", load(5));
    let other = Heard { at: scene.now(), demands: Arc::default() };
    let heard = BTreeMap::from([("uid-a".to_owned(), other)]);
    let gateway = Gateway { uid: "uid-a".to_owned(), running: true, ..Gateway::default() };
    let gateways = Gateways::from([("a".to_owned(), gateway)]);
    let observed = Observed { deployment: Some(Arc::new(deployment(1))), ..Observed::default() };
    let engines: Engines = [(model(), observed)].into_iter().collect();
    let (now, loads) = (scene.now(), Loads::new());
    let view = View { now, world: &scene.world, engines: &engines, gateways: &gateways, heard: &heard, loads: &loads };
    let steps = scene.scaling.decide(view);
    assert_eq!((steps.load, steps.reports), (0, Vec::new()));
}

#[test]
fn what_is_refused_is_said_and_tried_again_now_and_then() {
    let mut scene = Scene::new(1);
    scene.says("a", load(25));
    let mut tries = Vec::new();
    let mut reports = Vec::new();
    for _ in 0..25 {
        scene.second += 1;
        scene.says("a", load(25));
        let steps = scene.decide();
        for change in &steps.changes {
            tries.push(scene.second);
            let now = scene.now();
            scene.scaling.set(&change.model, Some("not now".to_owned()), now);
        }
        reports.extend(steps.reports);
    }
    let again = AGAIN.as_secs();
    assert_eq!(tries, [1, 1 + again, 1 + 2 * again]);
    assert_eq!(reports, [(model(), Some("not now".to_owned()))]);
    let steps = scene.passes(again);
    assert_eq!(changes(&steps), [(1, 3)]);
    let told: Vec<_> = steps.into_iter().chain([scene.pass()]).flat_map(|steps| steps.reports).collect();
    assert_eq!(told, [(model(), None)]);
}

#[test]
fn too_few_replicas_are_told_once_until_there_were_enough_for_a_while() {
    let mut scene = Scene::new(4);
    let notes = |scene: &mut Scene, in_flight, seconds| -> Vec<_> {
        scene.says("a", load(in_flight));
        scene.passes(seconds).into_iter().flat_map(|steps| steps.notes).collect()
    };
    let told = notes(&mut scene, 90, 100);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].kind, told[0].reason), (EventType::Warning, "MaxReplicasReached"));
    assert!(
        told[0].text.starts_with("90 requests are in flight or waiting, enough for 9 replicas, and maxReplicas is 4;")
    );
    // Demand that goes up and down is one shortage.
    for _ in 0..5 {
        assert_eq!(notes(&mut scene, 35, 100), []);
        assert_eq!(notes(&mut scene, 90, 5), []);
    }
    assert_eq!(notes(&mut scene, 35, CALM.as_secs() + 1), []);
    assert_eq!(notes(&mut scene, 90, 5).len(), 1);
}

#[test]
fn only_engines_with_autoscaling_that_are_there_are_scaled() {
    let mut scene = Scene::new(1);
    scene.says("a", load(25));
    let mut fixed = engine(&Value::Null);
    scene.world.models.insert(model(), Arc::new(fixed.clone()));
    assert_eq!(scene.pass(), Steps::default());
    fixed = engine(&json!({"maxReplicas": 4}));
    fixed.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    scene.world.models.insert(model(), Arc::new(fixed));
    assert_eq!(scene.pass(), Steps::default());
}

#[test]
fn nothing_is_left_of_what_was_said_of_an_engine_that_is_scaled_no_more() {
    let mut scene = Scene::new(1);
    scene.gateways.clear();
    assert!(scene.passes(40).iter().any(|steps| !steps.reports.is_empty()));
    scene.world.models.clear();
    assert_eq!(scene.pass().reports, [(model(), None)]);
    assert_eq!(scene.pass().reports, []);
}

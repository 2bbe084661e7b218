//! The publisher at work on an apiserver that fails, is edited by others, or belongs to another leader.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};
use turnpike_bundle::{Manifest, State, entry::ObjectRef, layout::MANIFEST, parse};
use turnpike_crds::ModelDeployment;
use turnpike_operator::{
    context::Context,
    engine::Engines,
    gateways::Gateways,
    publish::{Published, run},
    world::World,
};

use crate::apiserver::{Apiserver, Fate};

/// A leader at work.
pub(crate) struct Leader {
    world: watch::Sender<Arc<World>>,
    pub(crate) gateways: watch::Sender<Arc<Gateways>>,
    pub(crate) engines: watch::Sender<Arc<Engines>>,
    published: watch::Receiver<Arc<Published>>,
    task: JoinHandle<()>,
}

impl Leader {
    pub(crate) fn start(server: &Apiserver) -> Self {
        let (world, watched) = watch::channel(Arc::<World>::default());
        let (gateways, polled) = watch::channel(Arc::<Gateways>::default());
        let (engines, observed) = watch::channel(Arc::<Engines>::default());
        let (sender, published) = watch::channel(Arc::<Published>::default());
        let (context, writer) = crate::context::context(server.client(), "turnpike", "llm");
        tokio::spawn(writer);
        let context =
            Context { world: watched, gateways: polled, engines: observed, published: published.clone(), ..context };
        Self { world, gateways, engines, published, task: tokio::spawn(run(context, sender)) }
    }

    pub(crate) fn show(&self, answers: &[(&str, &str)]) {
        let model = |(name, answer): &(&str, &str)| {
            let model: ModelDeployment = serde_json::from_value(json!({
                "apiVersion": "turnpike.dev/v1alpha1", "kind": "ModelDeployment",
                "metadata": {"namespace": "ml", "name": name, "generation": 1},
                "spec": {"mock": {"response": answer}},
            }))
            .unwrap();
            (ObjectRef { namespace: "ml".to_owned(), name: (*name).to_owned() }, Arc::new(model))
        };
        let inputs = self.world.borrow().inputs + 1;
        let models = answers.iter().map(model).collect();
        self.world.send_replace(Arc::new(World { inputs, models, ..World::default() }));
    }

    /// What is published now.
    pub(crate) fn latest(&mut self) -> Arc<Published> {
        Arc::clone(&self.published.borrow_and_update())
    }

    /// What is published next.
    pub(crate) async fn published(&mut self) -> Arc<Published> {
        timeout(Duration::from_mins(5), self.published.changed()).await.unwrap().unwrap();
        self.latest()
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The answers of the models that a gateway with nothing serves from what lies there; `None` = it cannot load all of it.
fn served(server: &Apiserver) -> Option<BTreeMap<String, Value>> {
    let mut parts = server.with(|objects| objects.parts());
    let state = parse(&parts.remove(MANIFEST)?, &parts, State::default()).state;
    state.hash()?;
    Some(answers(&state))
}

fn answers(state: &State) -> BTreeMap<String, Value> {
    let answer = |model: &turnpike_bundle::entry::ModelEntry| {
        let model = serde_json::to_value(model).unwrap();
        (model["name"].as_str().unwrap().to_owned(), model["backend"]["response"].clone())
    };
    state.contents().models.iter().map(answer).collect()
}

fn expected(answers: &[(&str, &str)]) -> BTreeMap<String, Value> {
    answers.iter().map(|(name, answer)| ((*name).to_owned(), json!(answer))).collect()
}

pub(crate) fn writes(server: &Apiserver) -> Vec<String> {
    server.with(|objects| std::mem::take(&mut objects.writes))
}

fn key(plural: &str, part: &str) -> (String, String) {
    (plural.to_owned(), format!("turnpike-bundle-{part}"))
}

#[tokio::test(start_paused = true)]
async fn an_empty_world_is_published_and_then_nothing_is_written_any_more() {
    let server = Apiserver::new();
    let mut leader = Leader::start(&server);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(writes(&server), Vec::<String>::new(), "there is no picture yet");
    leader.show(&[]);
    let published = leader.published().await;
    assert_eq!(
        writes(&server),
        [
            "POST secrets/turnpike-bundle-keys-00",
            "POST configmaps/turnpike-bundle-budgets-00",
            "POST configmaps/turnpike-bundle-models-00",
            "POST configmaps/turnpike-bundle-endpoints-00",
            "POST secrets/turnpike-bundle-credentials-00",
            "POST configmaps/turnpike-bundle-manifest",
        ]
    );
    assert_eq!(served(&server).unwrap(), expected(&[]));
    assert!(published.manifest.is_some());
    sleep(Duration::from_hours(2)).await;
    assert_eq!(writes(&server), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn one_change_is_one_shard_and_the_manifest_and_a_new_leader_writes_nothing() {
    let server = Apiserver::new();
    let mut leader = Leader::start(&server);
    leader.show(&[("a", "1"), ("b", "1")]);
    let first = leader.published().await;
    writes(&server);
    leader.show(&[("a", "1"), ("b", "2")]);
    let second = leader.published().await;
    assert_eq!(
        writes(&server),
        ["PATCH configmaps/turnpike-bundle-models-00", "PATCH configmaps/turnpike-bundle-manifest"]
    );
    assert_eq!(served(&server).unwrap(), expected(&[("a", "1"), ("b", "2")]));
    let changed: Vec<_> = second.objects.iter().filter(|(id, object)| first.objects.get(id) != Some(object)).collect();
    assert_eq!(changed.len(), 1);
    drop(leader);
    let mut leader = Leader::start(&server);
    leader.show(&[("a", "1"), ("b", "2")]);
    let third = leader.published().await;
    assert_eq!(third.manifest, second.manifest);
    let digests = |published: &Published| -> Vec<_> {
        published.objects.iter().map(|(id, object)| (id.clone(), object.digest.clone())).collect()
    };
    assert_eq!(digests(&third), digests(&second));
    sleep(Duration::from_mins(10)).await;
    assert_eq!(writes(&server), Vec::<String>::new());
}

type Edit = fn(&mut Value);

#[tokio::test(start_paused = true)]
async fn what_others_edit_or_delete_is_written_again_with_an_event() {
    let server = Apiserver::new();
    let mut leader = Leader::start(&server);
    leader.show(&[("a", "1")]);
    leader.published().await;
    // Until the watches have begun.
    sleep(Duration::from_secs(5)).await;
    let edits: [(&str, &str, Edit); 3] = [
        ("configmaps", "models-00", |object| object["data"]["models-00"] = json!("mine")),
        ("configmaps", "manifest", |object| object["data"]["manifest"] = json!("{}")),
        ("secrets", "keys-00", |object| object["metadata"]["labels"] = json!({})),
    ];
    for (plural, part, edit) in edits {
        writes(&server);
        server.with(|objects| {
            let mut object = objects.get(plural, &key(plural, part).1).unwrap().clone();
            edit(&mut object);
            objects.put(key(plural, part), object);
        });
        sleep(Duration::from_secs(5)).await;
        assert_eq!(writes(&server), [format!("PATCH {plural}/turnpike-bundle-{part}")]);
        assert_eq!(served(&server).unwrap(), expected(&[("a", "1")]));
    }
    server.with(|objects| objects.delete(&key("secrets", "credentials-00")));
    sleep(Duration::from_secs(5)).await;
    assert_eq!(served(&server).unwrap(), expected(&[("a", "1")]));
    let notes = server.with(|objects| objects.notes.join("\n"));
    for told in ["models-00 was edited", "manifest was edited", "keys-00 was edited", "credentials-00 was deleted"] {
        assert!(notes.contains(told), "{notes}");
    }
    // What others add is none of ours.
    writes(&server);
    server.with(|objects| {
        let mut object = objects.get("configmaps", "turnpike-bundle-models-00").unwrap().clone();
        object["metadata"]["annotations"] = json!({"note": "hello"});
        objects.put(key("configmaps", "models-00"), object);
    });
    sleep(Duration::from_secs(5)).await;
    assert_eq!(writes(&server), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_write_that_fails_or_whose_answer_is_lost_is_made_up_for() {
    for fate in [Fate::Refused, Fate::AnswerLost] {
        for failing in 1..8 {
            let server = Apiserver::new();
            server.with(|objects| {
                objects.fate = Box::new(move |number| if number == failing { fate } else { Fate::Done });
            });
            let mut leader = Leader::start(&server);
            leader.show(&[("a", "1")]);
            leader.published().await;
            leader.show(&[("a", "2")]);
            while served(&server) != Some(expected(&[("a", "2")])) {
                leader.published().await;
            }
            let published = Arc::clone(&leader.published.borrow());
            let manifest = server.with(|objects| objects.parts()).remove(MANIFEST).unwrap();
            let manifest = Manifest::from_bytes(&manifest).unwrap();
            assert_eq!(published.manifest.as_ref(), Some(&manifest), "{fate:?} {failing}");
            // Nothing was written that was there already: six parts, two for the change, and the failed one at most once more.
            assert!(server.with(|objects| objects.writes.len()) <= 9, "{fate:?} {failing}");
            assert!(!leader.task.is_finished());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_dies_between_any_two_writes_leaves_what_gateways_can_serve_and_the_next_goes_on() {
    for survives in 0..7 {
        let server = Apiserver::new();
        let mut leader = Leader::start(&server);
        leader.show(&[("a", "1"), ("b", "1")]);
        leader.published().await;
        let mut parts = server.with(|objects| objects.parts());
        let manifest = parts.remove(MANIFEST).unwrap();
        let gateway = parse(&manifest, &parts, State::default()).state;
        // From here on only so many writes are done; then nothing that this leader does arrives.
        server.with(|objects| {
            objects.writes.clear();
            objects.fate = Box::new(move |number| if number <= survives { Fate::Done } else { Fate::Refused });
        });
        leader.show(&[("a", "2"), ("c", "1")]);
        sleep(Duration::from_millis(500)).await;
        drop(leader);
        let mut parts = server.with(|objects| objects.parts());
        let manifest = parts.remove(MANIFEST).unwrap();
        let gateway = parse(&manifest, &parts, gateway).state;
        let old = expected(&[("a", "1"), ("b", "1")]);
        let new = expected(&[("a", "2"), ("c", "1")]);
        let serves = answers(&gateway);
        assert!(serves == old || serves == new, "after {survives} writes: {serves:?}");
        server.with(|objects| objects.fate = Box::new(|_| Fate::Done));
        let mut leader = Leader::start(&server);
        leader.show(&[("a", "3")]);
        leader.published().await;
        let mut parts = server.with(|objects| objects.parts());
        let manifest = parts.remove(MANIFEST).unwrap();
        let parsed = parse(&manifest, &parts, gateway);
        assert_eq!(parsed.rejections, vec![]);
        assert_eq!(answers(&parsed.state), expected(&[("a", "3")]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_manifest_of_another_leader_ends_this_one_before_it_writes_over_it() {
    let server = Apiserver::new();
    let mut old = Leader::start(&server);
    old.show(&[("a", "old")]);
    old.published().await;
    let mut new = Leader::start(&server);
    new.show(&[("a", "new")]);
    new.published().await;
    let manifest = server.with(|objects| objects.parts()).remove(MANIFEST);
    // It ends even if its watch has shown it nothing.
    old.show(&[("a", "older")]);
    timeout(Duration::from_mins(1), &mut old.task).await.unwrap().unwrap();
    sleep(Duration::from_secs(20)).await;
    // Whatever it did to shards until then is mended; the manifest it never touched.
    assert_eq!(server.with(|objects| objects.parts()).remove(MANIFEST), manifest);
    assert_eq!(served(&server).unwrap(), expected(&[("a", "new")]));
    assert!(!new.task.is_finished());
}

#[tokio::test(start_paused = true)]
async fn tokens_are_there_before_the_bundle_and_follow_the_admin_s_key() {
    let server = Apiserver::new();
    let leader = Leader::start(&server);
    sleep(Duration::from_secs(1)).await;
    let data =
        |name: &str, key: &str| server.with(|objects| objects.get("secrets", name).unwrap()["data"][key].clone());
    let (token, admin) = (data("turnpike-gateway-auth", "token"), data("turnpike-gateway-auth", "admin-sha256"));
    assert!(token.is_string() && admin.is_string());
    assert!(server.with(|objects| objects.parts().is_empty()));
    leader.show(&[]);
    sleep(Duration::from_secs(5)).await;
    let mut secret = server.with(|objects| objects.get("secrets", "turnpike-admin").unwrap().clone());
    secret["data"]["key"] = json!("bWluZQ==");
    server.with(|objects| objects.put(("secrets".to_owned(), "turnpike-admin".to_owned()), secret));
    sleep(Duration::from_secs(5)).await;
    assert_eq!(data("turnpike-gateway-auth", "token"), token);
    assert_ne!(data("turnpike-gateway-auth", "admin-sha256"), admin);
    server.with(|objects| objects.delete(&("secrets".to_owned(), "turnpike-gateway-auth".to_owned())));
    sleep(Duration::from_secs(5)).await;
    assert_ne!(data("turnpike-gateway-auth", "token"), token, "what was lost is made anew");
}

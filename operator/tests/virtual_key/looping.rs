//! The whole loop against an apiserver in memory, on paused time.

use std::{cell::OnceCell, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep},
};
use turnpike_bundle::entry::ObjectRef;
use turnpike_operator::{gateways::Gateways, publish::Published, virtual_key::run_by};

use crate::{
    apiserver::{Fault, Server},
    revoking::{gateway, published},
};

thread_local! {
    static START: OnceCell<Instant> = const { OnceCell::new() };
}

/// The paused time as a wall clock that starts at noon.
fn clock() -> Timestamp {
    let start = START.with(|start| *start.get_or_init(Instant::now));
    let elapsed = SignedDuration::try_from(start.elapsed()).unwrap();
    "2026-05-01T12:00:00Z".parse::<Timestamp>().unwrap() + elapsed
}

/// An operator at work, and what the publisher and the pollers tell it.
struct Operator {
    server: Server,
    published: watch::Sender<Arc<Published>>,
    gateways: watch::Sender<Arc<Gateways>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Operator {
    fn start() -> Self {
        clock();
        let (published, gateways) = (watch::channel(Arc::default()).0, watch::channel(Arc::default()).0);
        let mut operator = Self { server: Server::new(), published, gateways, tasks: Vec::new() };
        operator.restart();
        operator
    }

    /// Another process takes over; the one before ends between two of its steps.
    fn restart(&mut self) {
        for task in self.tasks.drain(..) {
            task.abort();
        }
        let (context, events) = self.server.context(self.published.subscribe(), self.gateways.subscribe());
        self.tasks.push(tokio::spawn(events));
        self.tasks.push(tokio::spawn(run_by(context, clock)));
        let (gateways, server) = (self.gateways.clone(), self.server.clone());
        // The watchers have their first picture a little later.
        self.tasks.push(tokio::spawn(async move {
            sleep(Duration::from_millis(1)).await;
            gateways.send_modify(|_| {});
            server.change(|_| ());
        }));
    }

    /// The hash of a Secret's key.
    fn hash(&self, name: &str) -> Option<String> {
        let value = self.server.look(|state| state.secrets.get(name).cloned())?;
        let key = value["data"].as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned();
        Some(turnpike_bundle::minted::sha256(&STANDARD.decode(key).unwrap()))
    }

    fn annotation(&self, name: &str, annotation: &str) -> String {
        let value = self.server.look(|state| state.secrets[name]["metadata"]["annotations"][annotation].clone());
        value.as_str().unwrap_or_default().to_owned()
    }

    fn reasons(&self) -> Vec<String> {
        self.server.look(|state| state.events.iter().map(|(reason, _)| reason.clone()).collect())
    }

    fn requests(&self) -> Vec<String> {
        self.server.change(|state| std::mem::take(&mut state.requests))
    }

    async fn settled(&self) {
        sleep(Duration::from_secs(5)).await;
    }
}

fn bot() -> ObjectRef {
    ObjectRef { namespace: "ml".to_owned(), name: "bot".to_owned() }
}

const SECRETS: &str = "/api/v1/namespaces/ml/secrets";
const BOT: &str = "/apis/turnpike.dev/v1alpha1/namespaces/ml/virtualkeys/bot";

#[tokio::test(start_paused = true)]
async fn a_key_is_held_made_and_then_left_alone() {
    let operator = Operator::start();
    operator.server.change(|state| state.create_key("bot", &json!({"generate": {"secretName": "bot-key"}})));
    operator.settled().await;
    assert_eq!(
        operator.requests(),
        [format!("PATCH {BOT}"), format!("GET {SECRETS}/bot-key"), format!("GET {BOT}"), format!("POST {SECRETS}"),]
    );
    let secret = operator.server.look(|state| state.secrets["bot-key"].clone());
    let key = STANDARD.decode(secret["data"]["api-key"].as_str().unwrap()).unwrap();
    let key = String::from_utf8(key).unwrap();
    assert!(key.starts_with("sk-") && key.len() == 46 && key[3..].chars().all(|letter| letter.is_ascii_alphanumeric()));
    assert_eq!(secret["metadata"]["labels"]["turnpike.dev/use"], "minted");
    assert_eq!(secret["metadata"]["labels"]["turnpike.dev/instance"], "turnpike");
    let owner = &secret["metadata"]["ownerReferences"][0];
    let uid = operator.server.look(|state| state.keys["bot"]["metadata"]["uid"].clone());
    assert_eq!((&owner["uid"], &owner["kind"], &owner["controller"]), (&uid, &json!("VirtualKey"), &json!(true)));
    assert_eq!(operator.reasons(), ["KeyMinted"]);
    let told = operator.server.look(|state| format!("{:?} {:?}", state.events, state.keys));
    assert!(!told.contains(&key) && !told.contains(&operator.hash("bot-key").unwrap()));
    sleep(Duration::from_hours(48)).await;
    operator.server.change(|_| ());
    operator.settled().await;
    assert_eq!(operator.requests(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_brought_are_only_held() {
    let operator = Operator::start();
    operator.server.change(|state| {
        state.create_key("hash", &json!({"keyHash": format!("sha256:{}", "0".repeat(64))}));
        state.create_key("own", &json!({"secretRef": {"name": "own", "key": "k"}}));
    });
    operator.settled().await;
    let mut requests = operator.requests();
    requests.sort();
    assert_eq!(requests, ["hash", "own"].map(|name| format!("PATCH {}", BOT.replace("bot", name))));
    let finalizers = operator.server.look(|state| state.keys["own"]["metadata"]["finalizers"].clone());
    assert_eq!(finalizers, json!(["turnpike.turnpike.dev/revocation"]));
}

#[tokio::test(start_paused = true)]
async fn a_key_is_replaced_in_time_and_on_demand_across_restarts() {
    let mut operator = Operator::start();
    let spec = json!({"generate": {}, "rotation": {"interval": "48h", "overlap": "12h"}});
    operator.server.change(|state| state.create_key("bot", &spec));
    operator.settled().await;
    let first = operator.hash("bot").unwrap();
    sleep(Duration::from_hours(47)).await;
    operator.restart();
    operator.settled().await;
    assert_eq!(operator.hash("bot").unwrap(), first);
    sleep(Duration::from_hours(1)).await;
    operator.settled().await;
    let second = operator.hash("bot").unwrap();
    assert_ne!(second, first);
    assert_eq!(operator.annotation("bot", "turnpike.dev/previous-sha256"), first);
    assert!(operator.annotation("bot", "turnpike.dev/retires-at").starts_with("2026-05-04T00:00:"));
    operator.server.change(|state| state.annotate("bot", "turnpike.dev/rotate", "1"));
    operator.settled().await;
    operator.restart();
    operator.settled().await;
    let third = operator.hash("bot").unwrap();
    assert_ne!(third, second);
    let replaced = operator.annotation("bot", "turnpike.dev/previous-sha256");
    assert_eq!(replaced, format!("{second},{first}"));
    assert_eq!(operator.annotation("bot", "turnpike.dev/rotate-handled"), "1");
    assert_eq!(operator.reasons(), ["KeyMinted", "KeyRotated", "KeyRotated"]);
}

#[tokio::test(start_paused = true)]
async fn a_secret_deleted_by_hand_is_made_anew_with_another_key() {
    let operator = Operator::start();
    operator.server.change(|state| state.create_key("bot", &json!({"generate": {}})));
    operator.settled().await;
    let first = operator.hash("bot").unwrap();
    operator.server.change(|state| state.annotate("bot", "turnpike.dev/rotate", "1"));
    operator.settled().await;
    operator.server.change(|state| state.secrets.clear());
    operator.settled().await;
    assert_ne!(operator.hash("bot").unwrap(), first);
    assert_eq!(operator.annotation("bot", "turnpike.dev/previous-sha256"), "");
    assert_eq!(operator.annotation("bot", "turnpike.dev/rotate-handled"), "1");
    assert_eq!(operator.reasons(), ["KeyMinted", "KeyRotated", "KeyReplaced"]);
}

#[tokio::test(start_paused = true)]
async fn a_secret_of_others_is_never_written() {
    let operator = Operator::start();
    let foreign = json!({"metadata": {"name": "bot", "uid": "f", "resourceVersion": "1"}, "data": {"api-key": "eA=="}});
    operator.server.change(|state| {
        state.secrets.insert("bot".to_owned(), foreign.clone());
        state.create_key("bot", &json!({"generate": {}}));
        state.annotate("bot", "turnpike.dev/rotate", "1");
    });
    sleep(Duration::from_mins(10)).await;
    assert_eq!(operator.server.look(|state| state.secrets["bot"].clone()), foreign);
    assert_eq!(operator.reasons(), ["SecretExists"]);
    assert!(operator.requests().iter().all(|request| request.starts_with("GET ") || request.starts_with("PATCH ")));
    operator.server.change(|state| state.secrets.clear());
    operator.settled().await;
    assert_eq!(operator.reasons(), ["SecretExists", "KeyMinted"]);
}

#[tokio::test(start_paused = true)]
async fn a_key_keeps_its_value_when_its_secret_is_renamed() {
    let operator = Operator::start();
    operator.server.change(|state| state.create_key("bot", &json!({"generate": {}})));
    operator.settled().await;
    let hash = operator.hash("bot").unwrap();
    operator.server.change(|state| {
        state.edit("bot", json!({"generate": {"secretName": "new", "secretKey": "token"}}));
    });
    operator.settled().await;
    assert_eq!(operator.hash("new").unwrap(), hash);
    let data = operator.server.look(|state| state.secrets["new"]["data"].clone());
    assert_eq!(data.as_object().unwrap().keys().collect::<Vec<_>>(), ["token"]);
    assert_eq!(operator.hash("bot"), None);
    assert_eq!(operator.reasons(), ["KeyMinted", "KeyMoved"]);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_key_goes_once_every_gateway_refuses_it() {
    let operator = Operator::start();
    operator.gateways.send_replace(Arc::new([("g".to_owned(), gateway(false, true, Some(4)))].into()));
    operator.server.change(|state| state.create_key("bot", &json!({"generate": {}})));
    operator.published.send_replace(Arc::new(published(&bot(), Some("ab12"), 4)));
    operator.settled().await;
    operator.server.change(|state| state.delete_key("bot"));
    // Its Secret is deleted meanwhile, as in a foreground deletion; none is made again.
    operator.server.change(|state| state.secrets.clear());
    operator.settled().await;
    operator.published.send_replace(Arc::new(published(&bot(), None, 5)));
    operator.settled().await;
    assert!(operator.server.look(|state| state.keys.contains_key("bot") && state.secrets.is_empty()));
    operator.gateways.send_replace(Arc::new([("g".to_owned(), gateway(false, true, Some(5)))].into()));
    operator.settled().await;
    assert!(operator.server.look(|state| state.keys.is_empty()));
    assert_eq!(operator.reasons(), ["KeyMinted"]);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_key_goes_with_a_warning_when_a_gateway_stays_silent() {
    let mut operator = Operator::start();
    operator.gateways.send_replace(Arc::new([("g".to_owned(), gateway(true, true, None))].into()));
    operator.server.change(|state| state.create_key("bot", &json!({"keyHash": format!("sha256:{}", "0".repeat(64))})));
    operator.settled().await;
    operator.server.change(|state| state.delete_key("bot"));
    operator.published.send_replace(Arc::new(published(&bot(), None, 5)));
    sleep(Duration::from_secs(54)).await;
    assert!(operator.server.look(|state| state.keys.contains_key("bot")));
    // A new process gives itself the time to publish.
    operator.restart();
    sleep(Duration::from_secs(54)).await;
    assert!(operator.server.look(|state| state.keys.contains_key("bot")));
    sleep(Duration::from_secs(12)).await;
    assert!(operator.server.look(|state| state.keys.is_empty()));
    assert_eq!(operator.reasons(), ["RevocationUnconfirmed"]);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_given_to_another_instance_is_let_go() {
    let mut operator = Operator::start();
    operator.server.change(|state| state.create_key("bot", &json!({"generate": {}})));
    operator.settled().await;
    for task in operator.tasks.drain(..) {
        task.abort();
    }
    // While no operator is there, and somebody else's finalizer comes too.
    operator.server.change(|state| {
        state.give_away("bot");
        let finalizers = &mut state.keys.get_mut("bot").unwrap()["metadata"]["finalizers"];
        finalizers.as_array_mut().unwrap().insert(0, "another.turnpike.dev/revocation".into());
    });
    operator.restart();
    operator.settled().await;
    let finalizers = operator.server.look(|state| state.keys["bot"]["metadata"]["finalizers"].clone());
    assert_eq!(finalizers, json!(["another.turnpike.dev/revocation"]));
}

/// Every write once fails, once is done without being heard of, and once the process dies with it.
#[tokio::test(start_paused = true)]
async fn a_fault_at_any_write_changes_nothing_in_the_end() {
    for fault in [Fault::Refused, Fault::Unheard] {
        for restart in [false, true] {
            for number in 0..5 {
                let mut operator = Operator::start();
                operator.server.change(|state| {
                    state.fault = Some((number, fault));
                    state.create_key("bot", &json!({"generate": {}}));
                });
                again(&mut operator, restart).await;
                let first = operator.hash("bot").unwrap();
                operator.server.change(|state| state.annotate("bot", "turnpike.dev/rotate", "1"));
                again(&mut operator, restart).await;
                let second = operator.hash("bot").unwrap();
                assert_eq!(operator.annotation("bot", "turnpike.dev/previous-sha256"), first, "{fault:?} {number}");
                assert_ne!(first, second);
                operator.server.change(|state| state.edit("bot", json!({"generate": {"secretName": "new"}})));
                again(&mut operator, restart).await;
                assert_eq!(operator.hash("new").as_ref(), Some(&second), "{fault:?} {number}");
                assert_eq!(operator.hash("bot"), None);
                operator.published.send_replace(Arc::new(published(&bot(), None, 5)));
                operator.server.change(|state| state.delete_key("bot"));
                again(&mut operator, restart).await;
                let left = operator.server.look(|state| (state.keys.len(), state.secrets.len()));
                assert_eq!(left, (0, 0), "{fault:?} {number}");
                for task in &operator.tasks {
                    task.abort();
                }
            }
        }
    }
}

async fn again(operator: &mut Operator, restart: bool) {
    if restart {
        // Just long enough for the first answer.
        sleep(Duration::from_millis(3)).await;
        operator.restart();
    }
    operator.settled().await;
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_keys_are_held_within_minutes_and_one_change_costs_one_look() {
    let operator = Operator::start();
    let hash = |number: usize| json!({"keyHash": format!("sha256:{number:064x}")});
    operator.server.change(|state| {
        state.slow = true;
        (0..10_000).for_each(|number| state.create_key(&format!("k{number}"), &hash(number)));
    });
    let start = Instant::now();
    let held = |value: &Value| !value["metadata"]["finalizers"].is_null();
    loop {
        sleep(Duration::from_secs(10)).await;
        if operator.server.look(|state| state.keys.values().all(held)) {
            break;
        }
        assert!(start.elapsed() < Duration::from_mins(5));
    }
    operator.settled().await;
    assert_eq!(operator.server.look(|state| state.requests.len()), 10_000);
    operator.server.change(|state| (state.slow, state.requests) = (false, Vec::new()));
    operator.server.change(|state| state.create_key("one-more", &hash(10_000)));
    operator.settled().await;
    assert_eq!(operator.requests(), [format!("PATCH {}", BOT.replace("bot", "one-more"))]);
}

//! The whole loop against an apiserver in memory, on paused time.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::sleep};
use turnpike_operator::engine::keep;

use crate::apiserver::{Server, at};

pub(crate) const ENGINE: &str = "llama-engine";
const ALL: [&str; 7] =
    ["deployments", "networkpolicies", "poddisruptionbudgets", "podmonitors", "secrets", "serviceaccounts", "services"];

pub(crate) struct Running {
    pub(crate) server: Server,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Running {
    /// An operator that has just begun to lead, and time for it to do what it does.
    pub(crate) async fn start(server: &Server) -> Self {
        let (context, writer) = server.context();
        let running = Self { server: server.clone(), tasks: [tokio::spawn(keep::run(context)), tokio::spawn(writer)] };
        server.change(|_| ());
        running.settle().await;
        running
    }

    pub(crate) async fn settle(&self) {
        sleep(Duration::from_secs(5)).await;
        // What tasks have told is told on.
        self.server.change(|_| ());
        sleep(Duration::from_secs(5)).await;
    }

    /// The writes since the last look.
    pub(crate) fn writes(&self) -> Vec<String> {
        self.server.change(|state| std::mem::take(&mut state.writes))
    }

    fn replicas(&self) -> Value {
        self.server.look(|state| state.get("deployments", ENGINE)["spec"]["replicas"].clone())
    }

    fn refused(&self) -> Option<String> {
        self.server.engines.borrow().get(&at("llama")).and_then(|engine| engine.refused.clone())
    }
}

fn spec() -> Value {
    json!({"vllm": {"source": {"huggingFace": {"repo": "a/llama"}}}})
}

fn scaled() -> Value {
    json!({"vllm": {"source": {"huggingFace": {"repo": "a/llama"}}, "autoscaling": {"minReplicas": 0, "maxReplicas": 4}}})
}

pub(crate) async fn with(spec: &Value) -> Running {
    let server = Server::new();
    server.change(|state| state.model("llama", spec));
    Running::start(&server).await
}

#[tokio::test(start_paused = true)]
async fn an_engine_is_made_once_and_then_nothing_is_written() {
    let running = with(&spec()).await;
    assert_eq!(running.server.look(|state| state.made().join(" ")), ALL.join(" "));
    let writes = running.writes();
    assert_eq!(writes.len(), 7, "{writes:?}");
    assert_eq!(writes[0], "POST secrets/llama-engine-key turnpike-operator");
    running.server.look(|state| {
        for plural in ALL.into_iter().filter(|plural| *plural != "secrets") {
            let metadata = &state.get(plural, ENGINE)["metadata"];
            assert_eq!(
                metadata["ownerReferences"][0]["uid"],
                state.get("modeldeployments", "llama")["metadata"]["uid"]
            );
        }
        let secret = state.get("secrets", "llama-engine-key");
        assert_eq!(secret["metadata"]["labels"]["turnpike.dev/use"], "engine");
        assert!(secret["data"]["api-key"].as_str().unwrap().len() > 40);
    });
    // Status of all kinds comes and goes.
    for ready in 0..3 {
        running.server.change(|state| {
            state.edit("deployments", ENGINE, |object| object["status"]["readyReplicas"] = ready.into());
            state.edit("modeldeployments", "llama", |object| object["status"]["endpoint"] = ready.to_string().into());
        });
        running.settle().await;
    }
    assert_eq!(running.writes(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_begins_to_lead_writes_each_child_once_and_changes_nothing() {
    let running = with(&spec()).await;
    let before = running.server.look(|state| state.objects.clone());
    let server = running.server.clone();
    drop(running);
    let running = Running::start(&server).await;
    running.settle().await;
    assert_eq!(running.server.look(|state| state.objects.clone()), before);
    assert_eq!(running.writes().len(), 7 + 6);
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_or_edited_by_hand_comes_back() {
    let running = with(&spec()).await;
    running.writes();
    for plural in ALL.into_iter().filter(|plural| *plural != "secrets") {
        running.server.change(|state| state.delete(plural, ENGINE));
        running.settle().await;
        assert_eq!(running.writes(), [format!("PATCH {plural}/{ENGINE} turnpike-operator")]);
    }
    running.server.change(|state| state.edit("deployments", ENGINE, |object| object["spec"]["replicas"] = 7.into()));
    running.settle().await;
    assert_eq!(running.replicas(), 1);
    assert_eq!(running.writes().len(), 1);
    // What is not ours is left alone.
    running.server.change(|state| {
        state.edit("deployments", ENGINE, |object| object["metadata"]["annotations"]["of"] = "somebody".into());
    });
    running.settle().await;
    assert_eq!(running.writes(), Vec::<String>::new());
    running.server.change(|state| state.delete("secrets", "llama-engine-key"));
    running.settle().await;
    assert_eq!(running.writes()[0], "POST secrets/llama-engine-key turnpike-operator");
}

#[tokio::test(start_paused = true)]
async fn who_insists_on_something_else_is_not_answered_for_ever() {
    let running = with(&spec()).await;
    running.writes();
    for _ in 0..100 {
        running
            .server
            .change(|state| state.edit("services", ENGINE, |object| object["spec"]["clusterIP"] = "1.2.3.4".into()));
        sleep(Duration::from_millis(200)).await;
    }
    let writes = running.writes().len();
    assert!((3..12).contains(&writes), "{writes} writes in 20 s");
    sleep(Duration::from_mins(1)).await;
    assert_eq!(running.server.look(|state| state.get("services", ENGINE)["spec"]["clusterIP"].clone()), "None");
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_served_is_not_run_and_what_runs_stays_as_it_is() {
    let server = Server::new();
    server.change(|state| {
        state.model("llama", &spec());
        state.unserved.insert("llama".to_owned());
    });
    let running = Running::start(&server).await;
    assert_eq!(running.server.look(|state| state.made().join(" ")), "secrets");
    running.server.change(|state| state.unserved.remove("llama"));
    running.settle().await;
    running.writes();
    running.server.change(|state| {
        state.unserved.insert("llama".to_owned());
        state.model("llama", &json!({"vllm": {"source": {"huggingFace": {"repo": "a/llama"}}, "replicas": 3}}));
    });
    running.settle().await;
    assert_eq!((running.writes(), running.replicas()), (Vec::new(), json!(1)));
    running.server.change(|state| state.unserved.remove("llama"));
    running.settle().await;
    assert_eq!(running.replicas(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_in_its_words_and_forgotten_once_it_is_none() {
    let server = Server::new();
    server.change(|state| {
        state.model("llama", &spec());
        state.refused.insert("deployments", (403, "exceeded quota: gpus"));
    });
    let running = Running::start(&server).await;
    assert!(running.refused().unwrap().contains("exceeded quota: gpus"), "{:?}", running.refused());
    let told = running.server.look(|state| state.events.clone());
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].0, "EngineRefused");
    assert!(running.server.look(|state| state.made().contains(&"services")), "the others are made all the same");
    running.writes();
    sleep(Duration::from_mins(10)).await;
    let tries = running.writes().len();
    assert!((8..30).contains(&tries), "{tries} tries in 10 minutes");
    running.server.change(|state| state.refused.remove("deployments"));
    sleep(Duration::from_mins(2)).await;
    running.settle().await;
    assert_eq!((running.refused(), running.replicas()), (None, json!(1)));
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_made_is_left_alone() {
    let server = Server::new();
    server.change(|state| {
        state.model("llama", &spec());
        let foreign = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": ENGINE, "namespace": "ml"}});
        state.put(("services".to_owned(), ENGINE.to_owned()), foreign);
    });
    let running = Running::start(&server).await;
    assert!(running.refused().unwrap().contains("was not made for this model"));
    let before = running.server.look(|state| state.get("services", ENGINE).clone());
    assert!(before["spec"].is_null());
    running.server.change(|state| state.delete("services", ENGINE));
    sleep(Duration::from_mins(2)).await;
    running.settle().await;
    assert_eq!(running.refused(), None);
    assert_eq!(running.server.look(|state| state.get("services", ENGINE)["spec"]["clusterIP"].clone()), "None");
}

#[tokio::test(start_paused = true)]
async fn a_foreign_secret_of_the_keys_name_is_never_written() {
    let server = Server::new();
    server.change(|state| {
        state.model("llama", &spec());
        let foreign = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "llama-engine-key",
            "namespace": "ml"}, "data": {"api-key": "eA=="}});
        state.put(("secrets".to_owned(), "llama-engine-key".to_owned()), foreign);
        state.unserved.insert("llama".to_owned());
    });
    let running = Running::start(&server).await;
    assert!(running.refused().unwrap().contains("llama-engine-key"));
    assert!(running.writes().iter().all(|write| write.starts_with("POST secrets/")));
    assert_eq!(
        running.server.look(|state| state.get("secrets", "llama-engine-key")["data"]["api-key"].clone()),
        "eA=="
    );
}

#[tokio::test(start_paused = true)]
async fn replicas_by_demand_start_at_the_fewest_and_are_nobodys_but_the_scalers() {
    let running = with(&scaled()).await;
    assert_eq!(running.replicas(), 0);
    let deployments: Vec<String> = running.writes().into_iter().filter(|write| write.contains("deployments")).collect();
    let write = |manager: &str| format!("PATCH deployments/{ENGINE} {manager}");
    let (ours, scaler) = (write("turnpike-operator"), write("turnpike-replicas"));
    assert_eq!(deployments, [ours.clone(), scaler.clone(), ours.clone()]);
    running.server.change(|state| state.edit("deployments", ENGINE, |object| object["spec"]["replicas"] = 3.into()));
    running.settle().await;
    assert_eq!((running.replicas(), running.writes()), (json!(3), Vec::new()));
    // An edit of anything else leaves them alone, too.
    let mut edited = scaled();
    edited["vllm"]["maxModelLen"] = 4096.into();
    running.server.change(|state| state.model("llama", &edited));
    running.settle().await;
    assert_eq!((running.replicas(), running.writes()), (json!(3), vec![ours]));
}

#[tokio::test(start_paused = true)]
async fn replicas_stay_as_they_are_when_demand_takes_over() {
    let running = with(&json!({"vllm": {"source": {"huggingFace": {"repo": "a/llama"}}, "replicas": 3}})).await;
    running.writes();
    running.server.change(|state| state.model("llama", &scaled()));
    running.settle().await;
    assert_eq!(running.replicas(), 3);
    running.server.change(|state| state.model("llama", &spec()));
    running.settle().await;
    assert_eq!(running.replicas(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_is_no_engine_any_more_keeps_only_a_claim_with_data() {
    let cached = json!({"vllm": {"source": {"huggingFace": {"repo": "a/llama"}}, "cache": {"size": "1Gi"}}});
    let running = with(&cached).await;
    running.server.change(|state| {
        state.edit("persistentvolumeclaims", ENGINE, |object| object["status"]["phase"] = "Bound".into());
        state.model("llama", &json!({"mock": {"text": "hello"}}));
    });
    running.settle().await;
    assert_eq!(running.server.look(|state| state.made().join(" ")), "persistentvolumeclaims secrets");
    running.writes();
    running.settle().await;
    assert_eq!(running.writes(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_once_the_model_is_being_deleted() {
    let running = with(&spec()).await;
    running.writes();
    running.server.change(|state| {
        state.edit("modeldeployments", "llama", |object| {
            object["metadata"]["deletionTimestamp"] = "2026-05-01T00:00:00Z".into();
        });
        for plural in ALL.into_iter().filter(|plural| *plural != "secrets") {
            state.delete(plural, ENGINE);
        }
        state.delete("secrets", "llama-engine-key");
    });
    running.settle().await;
    running.server.change(|state| state.delete("modeldeployments", "llama"));
    running.settle().await;
    assert_eq!(running.writes(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn children_of_an_earlier_model_of_the_name_go_before_new_ones_come() {
    let running = with(&spec()).await;
    running.server.change(|state| {
        state.edit("deployments", ENGINE, |object| object["metadata"]["ownerReferences"][0]["uid"] = "earlier".into());
    });
    running.writes();
    running.settle().await;
    assert_eq!(running.writes(), Vec::<String>::new(), "the garbage collector is about to delete it");
    running.server.change(|state| state.delete("deployments", ENGINE));
    running.settle().await;
    assert_eq!(running.replicas(), 1);
}

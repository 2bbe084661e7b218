//! Adapters of running engines: what has to change, and a pod that is brought to it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use turnpike_operator::{
    engine::{
        adapters::{Adapters, Change, bring, changes, loaded},
        ask::{Question, ask},
    },
    kit::ask::{AskError, MAX_BODY},
};

fn adapters(of: &[(&str, &str)]) -> Adapters {
    of.iter().map(|(name, path)| ((*name).to_owned(), (*path).to_owned())).collect()
}

#[test]
fn what_lies_elsewhere_now_goes_before_it_comes() {
    let wanted = adapters(&[("kept", "a/kept"), ("moved", "a/moved"), ("new", "a/new")]);
    let has = adapters(&[("kept", "a/kept"), ("moved", "b/moved"), ("old", "a/old")]);
    let load = |name: &str| Change::Load(name.to_owned(), format!("a/{name}"));
    let unload = |name: &str| Change::Unload(name.to_owned());
    assert_eq!(changes(&wanted, &has), [unload("moved"), unload("old"), load("moved"), load("new")]);
    assert_eq!(changes(&wanted, &wanted), []);
}

#[test]
fn adapters_are_the_models_with_a_parent() {
    let list = json!({"object": "list", "data": [
        {"id": "llama", "root": "a/llama", "parent": null, "max_model_len": 4096},
        {"id": "sql", "root": "a/sql", "parent": "llama"},
    ]});
    assert_eq!(loaded(list.to_string().as_bytes()).unwrap(), adapters(&[("sql", "a/sql")]));
    assert!(loaded(b"<html>").is_err());
}

type Loaded = Arc<Mutex<BTreeMap<String, String>>>;

/// An engine that has no adapter `broken`, and asks for a key.
async fn engine(has: &[(&str, &str)]) -> (SocketAddr, Loaded) {
    let state: Loaded = Arc::new(Mutex::new(adapters(has)));
    let app = Router::new()
        .route("/v1/models", get(models))
        .route("/v1/load_lora_adapter", post(load))
        .route("/v1/unload_lora_adapter", post(unload))
        .with_state(Arc::clone(&state));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, app).await });
    (address, state)
}

async fn models(State(state): State<Loaded>, headers: HeaderMap) -> impl IntoResponse {
    if headers["authorization"] != "Bearer sesame" {
        return (StatusCode::UNAUTHORIZED, Json(json!({"error": "Unauthorized"})));
    }
    let adapters = state.lock().unwrap().clone().into_iter();
    let adapters = adapters.map(|(id, root)| json!({"id": id, "root": root, "parent": "llama"}));
    let all: Vec<Value> = std::iter::once(json!({"id": "llama"})).chain(adapters).collect();
    (StatusCode::OK, Json(json!({ "data": all })))
}

async fn load(State(state): State<Loaded>, Json(body): Json<Value>) -> impl IntoResponse {
    let text = |name: &str| body[name].as_str().unwrap().to_owned();
    if text("lora_name") == "broken" {
        return (StatusCode::NOT_FOUND, json!({"error": {"message": "No adapter found for a/broken"}}).to_string());
    }
    state.lock().unwrap().insert(text("lora_name"), text("lora_path"));
    (StatusCode::OK, "Success".to_owned())
}

async fn unload(State(state): State<Loaded>, Json(body): Json<Value>) -> impl IntoResponse {
    state.lock().unwrap().remove(body["lora_name"].as_str().unwrap());
    StatusCode::OK
}

#[tokio::test]
async fn a_pod_is_brought_to_what_it_should_have_but_for_what_fails() {
    let (address, state) = engine(&[("old", "a/old")]).await;
    let wanted = adapters(&[("broken", "a/broken"), ("sql", "a/sql")]);
    let brought = bring(address, "sesame", &wanted).await;
    assert_eq!(brought.has.unwrap(), adapters(&[("sql", "a/sql")]));
    assert_eq!(*state.lock().unwrap(), adapters(&[("sql", "a/sql")]));
    let (adapter, error) = brought.failed.unwrap();
    assert_eq!(adapter.as_deref(), Some("broken"));
    assert_eq!(error.to_string(), "it answered 404 Not Found: No adapter found for a/broken");
}

#[tokio::test]
async fn who_refuses_the_key_says_nothing_of_its_adapters() {
    let (address, _) = engine(&[]).await;
    let brought = bring(address, "wrong", &adapters(&[("sql", "a/sql")])).await;
    assert!(brought.has.is_none());
    assert!(matches!(brought.failed, Some((None, _))));
}

#[tokio::test]
async fn answers_are_bounded_in_size_and_time() {
    let huge = || async { "x".repeat(MAX_BODY + 1) };
    let never = || std::future::pending::<String>();
    let app = Router::new().route("/huge", get(huge)).route("/never", get(never));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, app).await });
    let question = |path, patience| Question { address, body: None, path, key: None, patience };
    let huge = ask(question("/huge", Duration::from_mins(1))).await;
    assert!(matches!(huge, Err(AskError::Body(_))), "{huge:?}");
    let never = ask(question("/never", Duration::from_millis(50))).await;
    assert!(matches!(never, Err(AskError::Timeout)), "{never:?}");
}

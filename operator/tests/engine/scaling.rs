//! The task that scales, against a gateway and an apiserver that note what they are asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use axum::{Router, routing::get};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use k8s_openapi::api::core::v1::Pod;
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    time::timeout,
};
use turnpike_bundle::{Secret, entry::ObjectRef, objects::Value as SecretValue};
use turnpike_engine::{Observed, names::PORT};
use turnpike_operator::{
    context::Context,
    engine::{Engines, Report, Reports, reports::Incoming, scale},
    gateways::{Gateway, Gateways, INTERNAL_PORT, Tokens},
    kit::events::Events,
    metrics::Metrics,
    names::Names,
    settings::Settings,
    world::World,
};

use super::scale::{deployment, engine, model};

/// An address of its own, as ports are the same for all.
fn ip(block: u8) -> IpAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, block, high, low))
}

async fn gateway(block: u8, demand: Value) -> Gateway {
    let ip = ip(block);
    let listener = TcpListener::bind((ip, INTERNAL_PORT)).await.unwrap();
    let answer = move |headers: HeaderMap| async move {
        let is_known = headers.get("authorization").is_some_and(|token| token == "Bearer sesame");
        if is_known { (StatusCode::OK, demand.to_string()) } else { (StatusCode::UNAUTHORIZED, String::new()) }
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/demand", get(answer))).await });
    Gateway { uid: "uid-a".to_owned(), ip: Some(ip), ready: true, running: true, report: None }
}

/// The key that engines ask for.
fn key() -> Secret {
    Secret { data: [("api-key".to_owned(), SecretValue::Plain(b"engine".to_vec()))].into(), ..Secret::default() }
}

/// An engine's pod that answers with these metrics, to its key.
async fn pod(block: u8, metrics: &'static str) -> (String, Pod) {
    let ip = ip(block);
    let listener = TcpListener::bind((ip, PORT)).await.unwrap();
    let answer = move |headers: HeaderMap| async move {
        let is_known = headers.get("authorization").is_some_and(|token| token == "Bearer engine");
        if is_known { (StatusCode::OK, metrics) } else { (StatusCode::UNAUTHORIZED, "") }
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/metrics", get(answer))).await });
    let status = json!({"podIP": ip, "conditions": [{"type": "Ready", "status": "True"}]});
    let pod = json!({"metadata": {"name": "a", "namespace": "ml", "uid": "uid-pod"}, "spec": {"containers": []}, "status": status});
    ("a".to_owned(), serde_json::from_value(pod).unwrap())
}

/// A client that hands on each request's line and body, and gets this status.
fn client(status: u16) -> (Client, mpsc::UnboundedReceiver<(String, Value)>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let service = tower::service_fn(move |request: Request<Body>| {
        let sender = sender.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let line = format!("{} {}", parts.method, parts.uri);
            sender.send((line, serde_json::from_slice(&body).unwrap_or_default())).unwrap();
            let answer = if status == 200 {
                json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {}, "spec": {"replicas": 3}})
            } else {
                json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "reason": "Forbidden",
                    "message": "no"})
            };
            Ok::<_, Infallible>(
                Response::builder().status(status).body(Body::from(answer.to_string().into_bytes())).unwrap(),
            )
        }
    });
    (Client::new(service, "default"), receiver)
}

fn context(client: Client, gateway: Gateway, pods: BTreeMap<String, Pod>) -> (Context, Incoming) {
    let metrics = Arc::new(Metrics::new().unwrap());
    let names = Names { instance: "trial".to_owned(), release_namespace: "llm".to_owned() };
    let (events, _) = Events::new(client.clone(), &names, "me".to_owned(), Arc::clone(&metrics));
    let mut world = World::default();
    let autoscaling = json!({"maxReplicas": 4, "targetInFlight": 10});
    world.models.insert(model(), Arc::new(engine(&autoscaling)));
    world.secrets.insert(ObjectRef { name: "qwen-engine-key".to_owned(), ..model() }, Arc::new(key()));
    let pods = pods.into_iter().map(|(name, pod)| (name, Arc::new(pod))).collect();
    let observed = Observed { deployment: Some(Arc::new(deployment(1))), pods, ..Observed::default() };
    let engines: Engines = [(model(), observed)].into_iter().collect();
    let gateways = Gateways::from([("a".to_owned(), gateway)]);
    let (engine_reports, reported) = Reports::new();
    let context = Context {
        client,
        names: Arc::new(names),
        settings: Arc::new(Settings {
            bundle: turnpike_bundle::Settings::default(),
            watch_namespaces: BTreeSet::new(),
            gateway_url: None,
            engine: turnpike_engine::Settings::default(),
            revocation_timeout: Duration::from_mins(1),
        }),
        metrics,
        events,
        root: None,
        world: watch::channel(Arc::new(world)).1,
        published: watch::channel(Arc::default()).1,
        gateways: watch::channel(Arc::new(gateways)).1,
        spend: watch::channel(Arc::default()).1,
        engines: watch::channel(Arc::new(engines)).1,
        engine_reports,
    };
    (context, reported)
}

#[tokio::test]
async fn replicas_are_set_by_what_gateways_say_and_a_refusal_is_reported() {
    let demand = json!({"engines": {"ml/qwen": {"inFlight": 20, "waiting": 5, "wanted": true}}});
    let gateway = gateway(91, demand).await;
    let tokens = Tokens { current: Some("sesame".to_owned()), previous: None };
    for status in [200, 403] {
        let (client, mut asked) = client(status);
        let (context, mut reports) = context(client, gateway.clone(), BTreeMap::new());
        let metrics = Arc::clone(&context.metrics);
        let (_tokens, watched) = watch::channel(tokens.clone());
        let scaling = tokio::spawn(scale::run(context, watched));
        let (line, body) = timeout(Duration::from_secs(20), asked.recv()).await.unwrap().unwrap();
        assert!(line.starts_with("PATCH /apis/apps/v1/namespaces/ml/deployments/qwen-engine/scale?"), "{line}");
        assert!(line.contains("fieldManager=trial-"), "{line}");
        assert_eq!(body, json!({"spec": {"replicas": 3}}));
        assert_eq!((metrics.engine_requests.get(), metrics.engine_replicas_wanted.get()), (25, 3));
        if status == 403 {
            let (of, report) = timeout(Duration::from_secs(20), reports.recv()).await.unwrap().unwrap();
            assert_eq!(of, model());
            let Report::Unscalable(Some(why)) = report else { panic!("{report:?}") };
            assert_eq!(why, "the apiserver refused to set replicas to 3: no (403 Forbidden)");
        }
        scaling.abort();
    }
}

#[tokio::test]
async fn an_engine_that_is_busier_than_gateways_know_gets_replicas() {
    let demand = json!({"engines": {"ml/qwen": {"inFlight": 5, "waiting": 0, "wanted": true}}});
    let metrics = "vllm:num_requests_running{engine=\"0\"} 20.0\nvllm:num_requests_waiting{engine=\"0\"} 5.0\n";
    let (gateway, pod) = (gateway(92, demand).await, pod(93, metrics).await);
    let (client, mut asked) = client(200);
    let (context, _reports) = context(client, gateway, [pod].into());
    let requests = Arc::clone(&context.metrics);
    let (_tokens, watched) = watch::channel(Tokens { current: Some("sesame".to_owned()), previous: None });
    let scaling = tokio::spawn(scale::run(context, watched));
    let (_, body) = timeout(Duration::from_secs(20), asked.recv()).await.unwrap().unwrap();
    assert_eq!((body, requests.engine_requests.get()), (json!({"spec": {"replicas": 3}}), 25));
    scaling.abort();
}

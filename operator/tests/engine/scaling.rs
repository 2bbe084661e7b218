//! The task that scales, against a gateway and an apiserver that note what they are asked.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use axum::{Router, routing::get};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    time::timeout,
};
use turnpike_engine::Observed;
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

/// A gateway on an address of its own, as the port is the same for all.
async fn gateway(demand: Value) -> Gateway {
    let [.., high, low] = std::process::id().to_be_bytes();
    let ip = IpAddr::V4(Ipv4Addr::new(127, 91, high, low));
    let listener = TcpListener::bind((ip, INTERNAL_PORT)).await.unwrap();
    let answer = move |headers: HeaderMap| async move {
        let is_known = headers.get("authorization").is_some_and(|token| token == "Bearer sesame");
        if is_known { (StatusCode::OK, demand.to_string()) } else { (StatusCode::UNAUTHORIZED, String::new()) }
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/demand", get(answer))).await });
    Gateway { uid: "uid-a".to_owned(), ip: Some(ip), ready: true, running: true, report: None }
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

fn context(client: Client, gateway: Gateway) -> (Context, Incoming) {
    let metrics = Arc::new(Metrics::new().unwrap());
    let names = Names { instance: "trial".to_owned(), release_namespace: "llm".to_owned() };
    let (events, _) = Events::new(client.clone(), &names, "me".to_owned(), Arc::clone(&metrics));
    let mut world = World::default();
    let autoscaling = json!({"maxReplicas": 4, "targetInFlight": 10});
    world.models.insert(model(), Arc::new(engine(&autoscaling)));
    let observed = Observed { deployment: Some(Arc::new(deployment(1))), ..Observed::default() };
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
    let gateway = gateway(demand).await;
    let tokens = Tokens { current: Some("sesame".to_owned()), previous: None };
    for status in [200, 403] {
        let (client, mut asked) = client(status);
        let (context, mut reports) = context(client, gateway.clone());
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

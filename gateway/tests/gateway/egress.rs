//! The egress guard: no model, whoever wrote it, reaches what lies inside.

use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;
use turnpike_bundle::entry::Egress as Reach;
use turnpike_gateway::upstream::{
    Endpoint,
    connect::{ConnectError, Connector, client_config},
    egress::Egress,
    proxy::ProxyVariables,
};
use turnpike_testkit::manifest;

use crate::stage::{CHAT, Stage, chat, with};

/// Inner addresses that no Service stands for, however they are written.
const NEVER: [&str; 7] = [
    "http://169.254.169.254/latest",
    "http://127.0.0.1:9/v1",
    "http://localhost:9/v1",
    "http://[::1]:9/v1",
    "http://[::ffff:127.0.0.1]:9/v1",
    "http://0.0.0.0:9/v1",
    "http://[fe80::1]:9/v1",
];

#[tokio::test]
async fn inner_addresses_are_refused_when_guarded() {
    let targets = [
        ("metadata", "http://169.254.169.254/latest"),
        ("loopback-6", "http://[::1]:9/v1"),
        ("mapped", "http://[::ffff:127.0.0.1]:9/v1"),
        ("by-name", "http://localhost:9/v1"),
        ("decimal", "http://2130706433:9/v1"),
        ("unspecified", "http://0.0.0.0:9/v1"),
        ("private", "http://10.0.0.1:9/v1"),
        ("link-local-6", "http://[fe80::1]:9/v1"),
        ("nat64", "http://[64:ff9b::a9fe:a9fe]/v1"),
    ];
    let stage = Stage::with(|setup, _| {
        let models: Vec<_> = targets.iter().map(|(name, url)| manifest::model(name, url)).collect();
        setup.manifests(&models).arg("--egress").arg("guarded")
    })
    .await;
    // The usual upstream is on loopback as well.
    for name in targets.iter().map(|(name, _)| *name).chain([crate::stage::MODEL]) {
        let reply = stage.alice().post(CHAT, &with(chat(), "model", json!(name))).await;
        assert_eq!((reply.status, reply.error_code().as_str()), (503, "backend_unreachable"), "{name}: {reply:?}");
        let said = "Could not connect to the model's backend: its address may not be dialled (egress guard).";
        assert_eq!(reply.json()["error"]["message"], said, "{name}");
    }
    assert_eq!(stage.upstream.connections(), 0, "not even a connection was made");
    stage.settles().await;
}

#[tokio::test]
async fn loopback_stays_closed_even_when_its_range_is_allowed() {
    let stage = Stage::with(|setup, _| {
        setup.arg("--egress").arg("guarded").arg("--egress-allow").arg("127.0.0.0/8,10.0.0.0/8")
    })
    .await;
    assert_eq!(stage.alice().post(CHAT, &chat()).await.status, 503);
    assert_eq!(stage.upstream.connections(), 0);
}

#[tokio::test]
async fn a_range_that_is_none_refuses_to_start() {
    let mut process = crate::stage::setup().arg("--egress-allow").arg("10.0.0.0/33").spawn();
    assert!(!process.exit().await.success());
    assert!(process.output().contains("10.0.0.0/33"), "{}", process.output());
}

#[tokio::test]
async fn a_service_of_the_own_namespace_may_be_private_but_nothing_worse() {
    let config = client_config(&[] as &[&str]).unwrap();
    let connector = Connector::new(Egress::Guarded { allow: Vec::new() }, &ProxyVariables::default(), config).unwrap();
    // Nobody answers there, or somebody does: all that counts is whether it was tried.
    let tried = async |url: &str, reach: Reach| {
        let origin = Endpoint::parse(url, reach).unwrap().origin;
        !matches!(timeout(Duration::from_millis(200), connector.connect(&origin)).await, Ok(Err(ConnectError::Refused)))
    };
    for url in ["http://10.255.255.254:9/v1", "http://192.168.255.254:9/v1", "http://[fd12:3456::1]:9/v1"] {
        assert!(tried(url, Reach::OwnService).await, "{url}");
        assert!(!tried(url, Reach::Guarded).await, "{url}");
    }
    for url in NEVER {
        assert!(!tried(url, Reach::OwnService).await, "{url}");
    }
    // A connection that one model may open is not lent to another that may not.
    let key = |reach: Reach| Endpoint::parse("http://10.255.255.254:9/v1", reach).unwrap().origin.key.clone();
    assert_ne!(key(Reach::OwnService), key(Reach::Guarded));
}

//! A new pod takes no traffic before it holds all that was published.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    time::Instant,
};
use turnpike_testkit::{Client, Gateway, wait::eventually};

use super::{Operator, contents, files, mocks, report};
use crate::stage::{ALICE, CHAT, chat, setup, with};

async fn readiness(internal: &Client) -> (u16, Value) {
    let reply = internal.get("/health/readiness").await;
    (reply.status, reply.json())
}

/// An address that nothing listens on.
async fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn clients_and_probes_are_let_in_once_the_first_bundle_is_complete() {
    let public = free_address().await;
    let process = setup().mounted().listen(public).spawn();
    let mut operator = Operator::of(&process);
    let internal = Client::new(process.announced("internal listener on http://").await.parse().unwrap());
    assert_eq!(internal.get("/health/liveness").await.status, 200);
    let (status, detail) = readiness(&internal).await;
    assert_eq!((status, &detail["status"], &detail["config"]), (503, &json!("starting"), &Value::Null));
    eventually("it says what is missing", || async {
        let (_, detail) = readiness(&internal).await;
        (detail["rejected"] == json!([{"part": "manifest", "reason": "it is not there"}])).then_some(())
    })
    .await;

    operator.usual_auth();
    let bundle = operator.next(&mocks(&["first"]));
    let mut incomplete = files(&bundle);
    incomplete.remove("keys-00");
    operator.bundle.publish(&incomplete);
    let (status, detail) = eventually("it says which part is missing", || async {
        let (status, detail) = readiness(&internal).await;
        (detail["rejected"][0]["part"] == "keys-00").then_some((status, detail))
    })
    .await;
    assert_eq!((status, &detail["status"]), (503, &json!("starting")));
    assert_eq!(report(&internal, "").await.hash, None);
    assert!(TcpStream::connect(public).await.is_err(), "nothing listens yet");

    operator.bundle.publish(files(&bundle));
    let gateway = Gateway::up(process).await;
    assert_eq!(gateway.public, public);
    let (status, detail) = readiness(&internal).await;
    assert_eq!((status, &detail["status"], &detail["rejected"]), (200, &json!("healthy"), &json!([])));
    let body = with(chat(), "model", json!("first"));
    assert_eq!(gateway.client().with_key(ALICE).post(CHAT, &body).await.status, 200);
    assert_eq!(report(&internal, "").await.hash, Some(bundle.manifest.hash));
}

#[tokio::test]
async fn an_empty_bundle_is_complete_as_well() {
    let process = setup().mounted().spawn();
    let bundle = Operator::of(&process).publish(&contents(&[]));
    let gateway = Gateway::up(process).await;
    assert_eq!(gateway.client().with_key(ALICE).post(CHAT, &chat()).await.status, 401);
    assert!(bundle.shards.len() >= 4);
}

#[tokio::test]
async fn while_it_waits_a_signal_ends_it_at_once() {
    let mut process = setup().mounted().spawn();
    process.announced("internal listener on http://").await;
    let before = Instant::now();
    process.signal("TERM");
    assert!(process.exit().await.success());
    assert!(before.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn exactly_one_source_must_be_given() {
    let sources: [(&[&str], &str); 4] = [
        (&["--manifests", "/tmp"], "cannot be used with"),
        (&["--admin-key", "sk-0123456789abcdef"], "cannot be used with"),
        (&["--admin-key="], "cannot be used with"),
        (&["--bundle=/bundle"], "cannot be used multiple times"),
    ];
    for (arguments, fault) in sources {
        let setup = arguments.iter().fold(setup().mounted(), |setup, argument| setup.arg(argument));
        let mut process = setup.spawn();
        assert!(!process.exit().await.success(), "{arguments:?}");
        assert!(process.output().contains(fault), "{arguments:?}: {}", process.output());
    }
    for (arguments, fault) in
        [(&[][..], "--manifests"), (&["--bundle", "/bundle"], "--auth"), (&["--auth", "/auth"], "--bundle")]
    {
        let run = std::process::Command::new(env!("CARGO_BIN_EXE_turnpike-gateway")).args(arguments).output();
        let run = run.unwrap();
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert!(!run.status.success() && said.contains(fault), "{arguments:?}: {said}");
    }
}

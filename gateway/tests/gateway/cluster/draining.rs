//! A pod that is told to end goes on until every client has heard of it: no request fails.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::{net::TcpStream, task::JoinSet, time::Instant};
use turnpike_testkit::{
    Client, Gateway, Script, manifest,
    upstream::Gate,
    wait::{eventually, within},
};

use super::{Pod, contents, mocks};
use crate::stage::{ALICE, CHAT, MODEL, chat, model, secret, streamed, upstream, with};

/// What load balancers need to hear of an end.
const DELAY: Duration = Duration::from_millis(1500);

/// Two pods behind one address: connections go to the first until it is taken out.
struct Service {
    pods: [Client; 2],
    first_is_out: AtomicBool,
    done: AtomicBool,
    /// Answers of the first pod that came after its signal, and those of them that asked for another connection.
    late: AtomicUsize,
    told: AtomicUsize,
}

impl Service {
    fn client(&self) -> (&Client, bool) {
        let first = !self.first_is_out.load(Ordering::SeqCst);
        (&self.pods[usize::from(!first)], first)
    }

    /// Requests one after another, each on its own connection or on one that is kept as long as it may be.
    async fn hammer(&self, keep: bool, signalled: &AtomicBool) -> usize {
        let mut count = 0;
        while !self.done.load(Ordering::SeqCst) {
            let (client, first) = self.client();
            let mut connection = client.connect().await;
            loop {
                let after = signalled.load(Ordering::SeqCst);
                let body = with(chat(), "model", json!("one"));
                let reply = connection.send(client.json(CHAT, &body, &[])).await.unwrap();
                assert!(reply.status == 200 && reply.complete, "{reply:?}");
                count += 1;
                let close = reply.header("connection") == Some("close");
                if first && after {
                    self.late.fetch_add(1, Ordering::SeqCst);
                    self.told.fetch_add(usize::from(close), Ordering::SeqCst);
                }
                if close || !keep || self.done.load(Ordering::SeqCst) {
                    break;
                }
            }
        }
        count
    }
}

#[tokio::test]
async fn no_request_fails_while_a_pod_is_replaced() {
    let mut leaving = Pod::with(&mocks(&["one"]), |setup| setup.arg("--shutdown-delay").arg("2s")).await;
    let staying = Pod::new(&mocks(&["one"])).await;
    let service = Service {
        pods: [leaving.alice(), staying.alice()],
        first_is_out: AtomicBool::new(false),
        done: AtomicBool::new(false),
        late: AtomicUsize::new(0),
        told: AtomicUsize::new(0),
    };
    let signalled = AtomicBool::new(false);
    let clients = futures_util::future::join_all((0..8).map(|index| service.hammer(index % 2 == 0, &signalled)));
    let operation = async {
        let gateway = &mut leaving.gateway;
        let probe = gateway.internal();
        eventually("traffic flows", || async {
            (gateway.metric("litellm_requests_total", "status_code=\"200\"").await > 50.0).then_some(())
        })
        .await;
        let started = Instant::now();
        gateway.process.signal("TERM");
        eventually("readiness fails", || async { (probe.get("/health/readiness").await.status == 503).then_some(()) })
            .await;
        signalled.store(true, Ordering::SeqCst);
        assert!(started.elapsed() < Duration::from_secs(1), "at once");
        eventually("the pod still serves", || async { (service.late.load(Ordering::SeqCst) > 50).then_some(()) }).await;
        tokio::time::sleep_until(started + DELAY).await;
        service.first_is_out.store(true, Ordering::SeqCst);
        assert!(gateway.process.exit().await.success());
        assert!(started.elapsed() >= Duration::from_secs(2), "{:?}", started.elapsed());
        service.done.store(true, Ordering::SeqCst);
    };
    let (counts, ()) = futures_util::future::join(clients, operation).await;
    assert!(counts.iter().all(|count| *count > 10), "{counts:?}");
    let (late, told) = (service.late.load(Ordering::SeqCst), service.told.load(Ordering::SeqCst));
    assert_eq!(late, told, "every answer after the signal asks for another connection");
}

#[tokio::test]
async fn a_stream_outlasts_the_delay_and_idle_connections_are_answered_once_more() {
    let upstream = upstream().await;
    let objects = [model(MODEL, &upstream), secret(), manifest::key("alice", ALICE)];
    let delay = |setup: turnpike_testkit::gateway::Setup| setup.arg("--shutdown-delay").arg("1s");
    let mut pod = Pod::with(&contents(&objects), delay).await;
    let gate = Gate::default();
    gate.open(1);
    upstream.next(Script::pieces(3).paced(&gate));
    let streaming = pod.alice().stream(CHAT, &streamed()).await;
    assert_eq!(streaming.headers.get("connection"), None);
    let alice = pod.alice();
    let mut idle = alice.connect().await;
    let reply = idle.send(alice.json(CHAT, &chat(), &[])).await.unwrap();
    assert_eq!((reply.status, reply.header("connection")), (200, None));
    pod.gateway.process.signal("TERM");
    closing(&pod.gateway).await;
    let reply = idle.send(alice.json(CHAT, &chat(), &[])).await.unwrap();
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
    eventually("new connections are refused after the delay", || async {
        TcpStream::connect(pod.gateway.public).await.is_err().then_some(())
    })
    .await;
    gate.open(10);
    let rest = streaming.rest().await;
    assert!(rest.clean);
    assert_eq!(rest.events.last().unwrap().data, "[DONE]");
    assert!(pod.gateway.process.exit().await.success());
}

async fn closing(gateway: &Gateway) {
    let internal = gateway.internal();
    eventually("readiness fails", || async { (internal.get("/health/readiness").await.status == 503).then_some(()) })
        .await;
}

#[tokio::test]
async fn http_2_clients_are_sent_away_and_lose_nothing() {
    let mut pod = Pod::with(&mocks(&["one"]), |setup| setup.arg("--shutdown-delay").arg("2s")).await;
    let public = pod.gateway.public;
    let connect = async || {
        let socket = TcpStream::connect(public).await.unwrap();
        let (sender, connection) =
            http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        (sender, driver)
    };
    let request = || {
        let body = with(chat(), "model", json!("one")).to_string();
        let builder = Request::builder().method(Method::POST).uri(format!("http://gateway{CHAT}"));
        builder.header("authorization", format!("Bearer {ALICE}")).body(Full::new(Bytes::from(body))).unwrap()
    };
    let (mut sender, mut driver) = connect().await;
    assert_eq!(sender.send_request(request()).await.unwrap().status(), 200);
    pod.gateway.process.signal("TERM");
    let ended = within("the connection is ended by the gateway", driver.join_next()).await.unwrap().unwrap();
    assert!(ended.is_ok(), "in good order: {ended:?}");
    // It ended because of the signal, long before the listener closes.
    let (mut sender, _driver) = connect().await;
    for _ in 0..3 {
        let response = within("an answer", sender.send_request(request())).await.unwrap();
        assert_eq!(response.status(), 200, "whoever comes anew is served");
        within("its body", response.into_body().collect()).await.unwrap();
    }
    assert!(pod.gateway.process.exit().await.success());
}

#[tokio::test]
async fn a_second_signal_ends_the_delay() {
    let mut pod = Pod::with(&mocks(&["one"]), |setup| setup.arg("--shutdown-delay").arg("1h")).await;
    pod.gateway.process.signal("TERM");
    closing(&pod.gateway).await;
    assert_eq!(pod.alice().post(CHAT, &with(chat(), "model", json!("one"))).await.status, 200);
    pod.gateway.process.signal("TERM");
    assert!(pod.gateway.process.exit().await.success());
}

//! Connections on both sides: kept, shared, of either HTTP version, and clients that read slowly.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::{net::TcpStream, task::JoinSet};
use turnpike_testkit::{Script, raw::Raw, wait::within};

use crate::stage::{ALICE, CHAT, Stage, chat, streamed, with};

#[tokio::test]
async fn upstream_connections_are_reused() {
    let stage = Stage::with(|setup, _| setup.arg("--runtimes").arg("1")).await;
    let alice = stage.alice();
    let mut connection = alice.connect().await;
    for body in [chat(), streamed()].iter().cycle().take(20) {
        let reply = connection.send(alice.json(CHAT, body, &[])).await.unwrap();
        assert!(reply.status == 200 && reply.complete);
    }
    assert_eq!(stage.upstream.connections(), 1);
    // An error's connection is as good as any, a broken one is not.
    stage.upstream.next(Script::error(500, "it broke", "x"));
    assert_eq!(stage.alice().post(CHAT, &chat()).await.status, 500);
    assert_eq!(stage.alice().post(CHAT, &chat()).await.status, 200);
    assert_eq!(stage.upstream.connections(), 1);
    stage.upstream.close_idle();
    for _ in 0..5 {
        assert_eq!(stage.alice().post(CHAT, &chat()).await.status, 200, "a closed connection is replaced unnoticed");
    }
}

#[tokio::test]
async fn http_2_clients_are_served_with_and_without_streams() {
    let stage = Stage::new().await;
    let socket = TcpStream::connect(stage.gateway.public).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let calls = [chat(), streamed(), chat(), streamed()].map(|body| {
        let mut sender = sender.clone();
        async move {
            let request = Request::builder()
                .method(Method::POST)
                .uri(format!("http://gateway{CHAT}"))
                .header("authorization", format!("Bearer {ALICE}"))
                .body(Full::new(Bytes::from(body.to_string())))
                .unwrap();
            let response = within("an answer", sender.send_request(request)).await.unwrap();
            assert_eq!(response.status(), 200);
            within("its body", response.into_body().collect()).await.unwrap().to_bytes()
        }
    });
    let bodies = futures_util::future::join_all(calls).await;
    assert!(bodies[0].starts_with(b"{") && bodies[1].ends_with(b"data: [DONE]\n\n"), "{bodies:?}");
    stage.settles().await;
}

#[tokio::test]
async fn a_client_that_reads_slowly_does_not_fill_the_memory() {
    let stage = Stage::new().await;
    let body = chat().to_string();
    let size = 40 << 20;
    assert_eq!(stage.alice().post(CHAT, &chat()).await.status, 200);
    let before = stage.gateway.process.peak_memory();
    stage.upstream.next(Script::of_size(size));
    let mut slow = Raw::connect(stage.gateway.public).await;
    let request = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {ALICE}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    slow.write(request.as_bytes()).await;
    // Others are served while this one does not read.
    stage
        .upstream
        .wait_for("the answer is under way", |log| log.get(1).is_some_and(|seen| !seen.body.is_empty()))
        .await;
    for _ in 0..50 {
        assert_eq!(stage.alice().post(CHAT, &chat()).await.status, 200);
    }
    let whole = slow.read_to_end().await;
    assert!(whole.len() > size);
    let grown = stage.gateway.process.peak_memory() - before;
    assert!(grown < 20 << 20, "{grown} bytes more for an answer that passes through");
    stage.settles().await;
}

#[tokio::test]
async fn many_clients_at_once_are_all_served() {
    let stage = Stage::new().await;
    let clients = (0..200).map(|index| {
        let stage = &stage;
        async move {
            let body = if index % 2 == 0 { chat() } else { with(streamed(), "user", json!(format!("u{index}"))) };
            let reply = stage.alice().post(CHAT, &body).await;
            assert!(reply.status == 200 && reply.complete, "{reply:?}");
        }
    });
    futures_util::future::join_all(clients).await;
    assert_eq!(stage.upstream.log().len(), 200);
    stage.settles().await;
}

#[tokio::test]
async fn a_client_may_shorten_its_own_wait() {
    let stage = Stage::new().await;
    let never = turnpike_testkit::upstream::Gate::default();
    for body in [chat(), streamed()] {
        stage.upstream.next(Script::chat("late").head_after(&never));
        let alice = stage.alice();
        let reply = alice.send(alice.json(CHAT, &body, &[("x-litellm-timeout", "0.2")])).await;
        assert_eq!((reply.status, reply.error_code().as_str()), (504, "timeout"));
    }
    stage.still_serves().await;
}

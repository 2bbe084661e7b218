//! Limits that protect the gateway itself: requests in flight, slow clients, memory.

use serde_json::json;
use turnpike_testkit::{
    Script,
    raw::{self, Raw},
    upstream::Gate,
};

use crate::stage::{ALICE, CHAT, Stage, chat, streamed, with};

fn head(length: usize) -> String {
    format!(
        "POST {CHAT} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {ALICE}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

#[tokio::test]
async fn more_than_the_cap_in_flight_is_503_with_a_wait() {
    let stage = Stage::with(|setup, _| setup.arg("--max-in-flight").arg("2")).await;
    let gates = [Gate::default(), Gate::default()];
    for gate in &gates {
        gate.open(1);
        stage.upstream.next(Script::pieces(2).paced(gate));
    }
    let first = stage.alice().stream(CHAT, &streamed()).await;
    let second = stage.alice().stream(CHAT, &streamed()).await;
    assert_eq!((first.status, second.status), (200, 200));
    stage.gateway.metric_is("litellm_in_flight_requests", "", 2.0).await;
    let third = stage.alice().post(CHAT, &chat()).await;
    assert_eq!((third.status, third.error_code().as_str()), (503, "overloaded"));
    assert!(third.header("retry-after").is_some());
    // Probes and lists are not model calls.
    assert_eq!(stage.gateway.client().get("/health/liveliness").await.status, 200);
    assert_eq!(stage.alice().get("/v1/models").await.status, 200);
    // A permit is given back when the client leaves, and when a stream ends.
    drop(first);
    stage.gateway.metric_is("litellm_in_flight_requests", "", 1.0).await;
    assert_eq!(stage.alice().post(CHAT, &chat()).await.status, 200);
    gates[1].open(10);
    assert!(second.rest().await.clean);
    stage.still_serves().await;
}

#[tokio::test]
async fn slow_headers_and_slow_bodies_are_cut_off() {
    let stage = Stage::with(|setup, _| setup.arg("--read-timeout").arg("1s")).await;
    // Nothing at all, half a head, and a head that grows without end.
    for start in ["", "POST /v1/chat", "GET / HTTP/1.1\r\nx-a: 1\r\n"] {
        let mut raw = Raw::connect(stage.gateway.public).await;
        raw.write(start.as_bytes()).await;
        let status = raw::parse(&raw.read_to_end().await).status;
        assert!(status == 0 || status == 408, "{start:?}: {status}");
    }
    // A body that stops coming.
    for body in ["", "{\"model\""] {
        let mut raw = Raw::connect(stage.gateway.public).await;
        raw.write(format!("{}{body}", head(100)).as_bytes()).await;
        let reply = raw::parse(&raw.read_to_end().await);
        assert_eq!(reply.status, 408, "{reply:?}");
        assert!(reply.head.to_ascii_lowercase().contains("x-should-retry: false"), "{reply:?}");
    }
    stage.still_serves().await;
}

#[tokio::test]
async fn buffered_bodies_share_a_bound() {
    let bounds = ["--max-body-bytes", "1000000", "--max-buffered-bytes", "1000000"];
    let stage = Stage::with(|setup, _| bounds.iter().fold(setup, |setup, arg| setup.arg(arg))).await;
    // One client has announced most of it and takes its time.
    let mut slow = Raw::connect(stage.gateway.public).await;
    slow.write(head(900_000).as_bytes()).await;
    slow.write(b"{").await;
    stage.gateway.metric_is("litellm_in_flight_requests", "", 1.0).await;
    let big = with(chat(), "messages", json!([{"role": "user", "content": "x".repeat(200_000)}]));
    let refused = stage.alice().post(CHAT, &big).await;
    assert_eq!((refused.status, refused.error_code().as_str()), (503, "overloaded"));
    assert!(refused.header("retry-after").is_some());
    assert_eq!(stage.alice().post(CHAT, &chat()).await.status, 200, "small ones still fit");
    slow.reset();
    stage.settles().await;
    assert_eq!(stage.alice().post(CHAT, &big).await.status, 200);
    // What could never fit says so at once, without inviting a retry of the same.
    let never = stage.alice().post_bytes(CHAT, " ".repeat(1_100_000)).await;
    assert_eq!(never.status, 413, "{never:?}");
}

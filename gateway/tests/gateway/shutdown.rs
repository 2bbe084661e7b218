//! SIGTERM: no new work, streams end, spend is on disk, and the process is gone in bounded time.

use serde_json::json;
use tokio::net::TcpStream;
use turnpike_testkit::{
    Script,
    spend::query_json,
    upstream::{Cut, Gate},
    wait::eventually,
};

use crate::stage::{CHAT, Stage, chat, streamed};

#[tokio::test]
async fn streams_end_whole_and_spend_is_flushed() {
    let mut stage = Stage::new().await;
    let gate = Gate::default();
    gate.open(1);
    stage.upstream.next(Script::pieces(3).paced(&gate));
    let streaming = stage.alice().stream(CHAT, &streamed()).await;
    let alice = stage.alice();
    let mut idle = alice.connect().await;
    assert_eq!(idle.send(alice.json(CHAT, &chat(), &[])).await.unwrap().status, 200);
    stage.gateway.process.signal("TERM");
    let address = stage.gateway.public;
    eventually("new connections are refused", || async { TcpStream::connect(address).await.is_err().then_some(()) })
        .await;
    gate.open(10);
    let rest = streaming.rest().await;
    assert!(rest.clean);
    assert_eq!(rest.events.last().unwrap().data, "[DONE]");
    let status = stage.gateway.process.exit().await;
    assert!(status.success(), "{status}");
    let database = stage.gateway.database();
    let rows = query_json(&database, "select json_group_array(outcome) from spend").await;
    assert_eq!(rows, Some(json!(["success", "success"])));
}

#[tokio::test]
async fn what_outlasts_the_grace_time_is_cut_and_booked() {
    let mut stage = Stage::with(|setup, _| setup.arg("--shutdown-grace").arg("1s")).await;
    stage.upstream.next(Script::pieces(3).cut(700, Cut::Stall));
    let mut streaming = stage.alice().stream(CHAT, &streamed()).await;
    assert!(streaming.event().await.unwrap().is_some());
    stage.gateway.process.signal("TERM");
    let status = stage.gateway.process.exit().await;
    assert!(status.success(), "{status}");
    stage.upstream.wait_for("the upstream is let go", |log| log[0].client_gone()).await;
    let rows =
        query_json(&stage.gateway.database(), "select json_group_array(json_array(outcome, estimated)) from spend")
            .await;
    assert_eq!(rows, Some(json!([["cancelled", 1]])));
}

#[tokio::test]
async fn an_idle_gateway_is_gone_at_once() {
    let mut stage = Stage::new().await;
    let alice = stage.alice();
    let mut idle = alice.connect().await;
    assert_eq!(idle.send(alice.json(CHAT, &chat(), &[])).await.unwrap().status, 200);
    let before = tokio::time::Instant::now();
    stage.gateway.process.signal("TERM");
    assert!(stage.gateway.process.exit().await.success());
    assert!(before.elapsed() < std::time::Duration::from_secs(5), "{:?}", before.elapsed());
}

#[tokio::test]
async fn interrupting_is_the_same_as_terminating() {
    let mut stage = Stage::new().await;
    stage.gateway.process.signal("INT");
    assert!(stage.gateway.process.exit().await.success());
}

#[tokio::test]
async fn a_restart_keeps_the_spend_and_the_folder() {
    let mut stage = Stage::new().await;
    assert_eq!(stage.alice().post(CHAT, &chat()).await.status, 200);
    stage.gateway.process.signal("TERM");
    assert!(stage.gateway.process.exit().await.success());
    let stage = Stage { gateway: stage.gateway.restart().await, ..stage };
    assert_eq!(stage.alice().post(CHAT, &chat()).await.status, 200);
    let rows =
        turnpike_testkit::spend::rows(&stage.gateway.database(), ("spend", "started_at_us"), &["status"], 2).await;
    assert_eq!(rows.len(), 2);
}

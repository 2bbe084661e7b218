//! What a request pays for its time on an engine: held before it is sent, charged from dispatch to the end of the answer.

use std::time::Duration;

use serde_json::{Value, json};
use turnpike_llm::price::nano_to_usd_string;
use turnpike_testkit::{Script, Upstream, manifest, spend::rows, upstream::Gate, wait::eventually};

use super::{Pod, contents};
use crate::stage::{ALICE, CHAT, MODEL, chat, model, secret, streamed, streamed_with_usage, upstream};

/// 0.001 USD a millisecond, so that a cost tells a time.
const MILLISECOND: i64 = 1_000_000;
const BOB: &str = "sk-bob-0123456789abcdef";
const COST: &str = "x-litellm-response-cost";

/// A model whose time costs, and bob, who may spend `usd`.
async fn stage(timeouts: Value, usd: &str) -> (Upstream, Pod) {
    let upstream = upstream().await;
    let price = json!({"inputPerMillion": "0", "outputPerMillion": "0"});
    let engine = model(MODEL, &upstream).with("price", price).with("timeouts", timeouts);
    let engine = engine.with("capabilities", json!({"maxOutputTokens": 4096}));
    let bob = manifest::key("bob", BOB).with("budget", json!([{"window": "Month", "usd": usd}]));
    let mut contents = contents(&[engine, secret(), manifest::key("alice", ALICE), bob]);
    for model in &mut contents.models {
        model.price.as_mut().unwrap().time = MILLISECOND * 1_000_000;
    }
    let pod = Pod::new(&contents).await;
    (upstream, pod)
}

/// Cost and time of the rows, when there are so many.
async fn booked(pod: &Pod, count: usize) -> Vec<(i64, i64)> {
    let columns = ["cost_nano", "upstream_us"];
    let rows = rows(&pod.gateway.database(), ("spend", "sequence"), &columns, count).await;
    rows.iter().filter_map(|row| Some((row["cost_nano"].as_i64()?, row["upstream_us"].as_i64()?))).collect()
}

#[tokio::test]
async fn an_answer_pays_for_the_milliseconds_until_its_end_and_says_so() {
    let (upstream, pod) = stage(json!({}), "1000.00").await;
    let gate = Gate::default();
    upstream.next(Script::chat("Hi").head_after(&gate));
    let opened = async {
        eventually("it was sent", || async { (upstream.log().len() == 1).then_some(()) }).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        gate.open(1);
    };
    let client = pod.gateway.client().with_key(BOB);
    let (reply, ()) = futures_util::future::join(client.post(CHAT, &chat()), opened).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let (cost, lasted) = booked(&pod, 1).await.remove(0);
    assert!(lasted >= 20_000, "{lasted}");
    assert_eq!(cost, lasted / 1000 * MILLISECOND);
    assert_eq!(reply.header(COST).unwrap(), nano_to_usd_string(cost));
}

#[tokio::test]
async fn a_stream_pays_for_the_time_until_its_client_is_told() {
    let (upstream, pod) = stage(json!({}), "1000.00").await;
    upstream.next(Script::pieces(5).every(Duration::from_millis(10)));
    let rest = pod.alice().stream(CHAT, &streamed_with_usage()).await.rest().await;
    let told = rest.events.iter().find_map(|event| event.data.split("\"cost\":").nth(1)?.split(['}', ',']).next());
    upstream.next(Script::pieces(5).every(Duration::from_millis(10)));
    pod.alice().stream(CHAT, &streamed()).await.rest().await;
    let rows = booked(&pod, 2).await;
    assert!(rows[0].0 >= 40 * MILLISECOND && rows[0].0 <= rows[0].1 * 1000, "{rows:?}");
    assert_eq!(told.unwrap(), nano_to_usd_string(rows[0].0));
    assert_eq!(rows[1].0, rows[1].1 / 1000 * MILLISECOND);
}

#[tokio::test]
async fn all_the_time_that_it_may_take_is_held_and_no_more_is_charged() {
    // 1 USD for a second.
    let (upstream, pod) = stage(json!({"total": "1s", "firstByte": "1s"}), "1.00").await;
    let bob = pod.gateway.client().with_key(BOB);
    upstream.next(Script::pieces(8).every(Duration::from_millis(200)));
    let streaming = bob.stream(CHAT, &streamed()).await;
    // Less output would not be cheaper.
    assert_eq!((streaming.status, streaming.headers.get("x-turnpike-max-tokens-capped")), (200, None));
    let beside = bob.post(CHAT, &chat()).await;
    assert_eq!((beside.status, beside.error_code()), (429, "insufficient_quota".to_owned()));
    streaming.rest().await;
    // And the row of the one that was refused, which cost nothing.
    let (cost, lasted) = booked(&pod, 2).await.remove(0);
    assert!(lasted > 1_500_000, "{lasted}");
    assert_eq!(cost, 1000 * MILLISECOND);
    pod.gateway.metric_is("turnpike_ledger_bound_exceeded_total", "", 0.0).await;
}

#[tokio::test]
async fn a_request_that_gives_itself_less_time_holds_less() {
    let (upstream, pod) = stage(json!({"total": "600s"}), "1.00").await;
    let bob = pod.gateway.client().with_key(BOB);
    let reply = bob.post(CHAT, &chat()).await;
    assert_eq!((reply.status, reply.error_code()), (400, "request_exceeds_limit".to_owned()));
    let short = [("x-litellm-timeout", "0.9")];
    assert_eq!(bob.send(bob.json(CHAT, &chat(), &short)).await.status, 200);
    // It ends no stream that has begun.
    let reply = bob.send(bob.json(CHAT, &streamed(), &short)).await;
    assert_eq!((reply.status, reply.error_code()), (400, "request_exceeds_limit".to_owned()));
    assert_eq!(upstream.log().len(), 1);
}

#[tokio::test]
async fn a_crash_books_the_time_that_was_held() {
    let (upstream, pod) = stage(json!({"total": "2s"}), "10.00").await;
    let gate = Gate::default();
    gate.open(2);
    upstream.next(Script::pieces(10).paced(&gate));
    let mut streaming = pod.gateway.client().with_key(BOB).stream(CHAT, &streamed()).await;
    assert!(streaming.event().await.unwrap().is_some());
    let mut gateway = pod.gateway;
    gateway.process.signal("KILL");
    gateway.process.exit().await;
    drop(streaming);
    let gateway = gateway.restart().await;
    let row = rows(&gateway.database(), ("spend", "sequence"), &["outcome", "cost_nano"], 1).await.remove(0);
    assert_eq!(row, json!({"outcome": "crashed", "cost_nano": 2000 * MILLISECOND}));
}

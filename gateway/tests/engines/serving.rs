//! Requests through a gateway to engines that come, go, die and change hands.

use std::net::SocketAddr;

use serde_json::json;
use tokio::net::TcpStream;
use turnpike_testkit::{Upstream, wait::eventually};

use crate::stage::{Stage, chat, demands, engine, server};

/// Chat requests that a server has had.
fn calls(servers: &[&Upstream]) -> Vec<usize> {
    servers.iter().map(|server| server.calls()).collect()
}

fn at(servers: &[&Upstream]) -> Vec<SocketAddr> {
    servers.iter().map(|server| server.address()).collect()
}

/// Stops it; returns where it was once nothing is there any more.
async fn gone(server: Upstream) -> SocketAddr {
    let place = server.address();
    drop(server);
    eventually("nobody listens", || async { TcpStream::connect(place).await.err().map(|_| place) }).await
}

#[tokio::test]
async fn requests_follow_the_addresses_of_the_name() {
    let (a, b, c) = (server(&["m"]).await, server(&["m"]).await, server(&["m"]).await);
    let stage = Stage::new(&[engine("m")], &[("m", &at(&[&a, &b]))]).await;
    stage.verified("m", 2).await;
    stage.asks("m", 40).await;
    let [to_a, to_b, to_c] = calls(&[&a, &b, &c])[..] else { panic!("three servers") };
    assert!(to_a >= 8 && to_b >= 8 && to_c == 0 && to_a + to_b == 40, "{to_a} {to_b} {to_c}");
    let reply = stage.alice().post("/v1/chat/completions", &chat("m", "Hi")).await;
    assert_eq!(reply.header("x-litellm-model-api-base"), Some("http://m-engine.llm.svc:8000/v1"));

    stage.resolves(&[("m", &at(&[&b, &c]))]);
    c.wait_for("the new address is asked", |log| !log.is_empty()).await;
    let before = calls(&[&a]);
    eventually("the new address gets requests", || async {
        stage.asks("m", 1).await;
        (c.calls() > 0).then_some(())
    })
    .await;
    let dropped = calls(&[&a]);
    stage.asks("m", 20).await;
    assert_eq!(calls(&[&a]), dropped, "{before:?}");
}

#[tokio::test]
async fn a_gateway_lets_clients_in_once_it_has_looked_for_its_engines() {
    let server = server(&["m"]).await;
    let stage = Stage::new(&[engine("m")], &[("m", &at(&[&server]))]).await;
    stage.asks("m", 1).await;
}

#[tokio::test]
async fn a_dead_replica_is_dropped_at_the_first_failed_connection_and_comes_back() {
    let (a, b) = (server(&["m"]).await, server(&["m"]).await);
    let stage = Stage::new(&[engine("m")], &[("m", &at(&[&a, &b]))]).await;
    stage.verified("m", 2).await;
    stage.asks("m", 10).await;
    let place = gone(b).await;
    // None of them fails: the first that meets the dead one goes on to the other.
    stage.asks("m", 30).await;
    stage.verified("m", 1).await;
    let b = demands(&["m"]).at(place).start().await;
    stage.verified("m", 2).await;
    // Slowly at first.
    eventually("it gets requests again", || async {
        stage.asks("m", 5).await;
        (b.calls() > 3).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_server_of_another_model_or_key_gets_nothing() {
    let own = server(&["m"]).await;
    let other = server(&["another"]).await;
    let stranger = demands(&["m"]).api_key("another key").start().await;
    let stage = Stage::new(&[engine("m")], &[("m", &at(&[&own, &other, &stranger]))]).await;
    stage.verified("m", 1).await;
    stage.asks("m", 20).await;
    assert_eq!(calls(&[&own, &other, &stranger]), [20, 0, 0]);
}

#[tokio::test]
async fn an_address_that_changed_hands_fails_no_request() {
    let (a, b) = (server(&["m"]).await, server(&["m"]).await);
    let stage = Stage::new(&[engine("m")], &[("m", &at(&[&a, &b]))]).await;
    stage.verified("m", 2).await;
    let b = demands(&["another"]).at(gone(b).await).start().await;
    stage.asks("m", 100).await;
    stage.verified("m", 1).await;
    let refused = b.calls();
    assert!(refused < 25, "the first refusal takes it out, of 50 that it would have had: {refused}");
    stage.asks("m", 10).await;
    assert_eq!(b.calls(), refused);
}

#[tokio::test]
async fn adapters_are_asked_by_name_where_they_are_loaded() {
    let (with, without) = (server(&["m", "sql"]).await, server(&["m"]).await);
    let stage = Stage::new(&[engine("m")], &[("m", &at(&[&with, &without]))]).await;
    stage.verified("m", 2).await;
    let listed = stage.alice().get("/v1/models").await.json();
    let names: Vec<_> = listed["data"].as_array().unwrap().iter().map(|model| model["id"].clone()).collect();
    assert_eq!(names, [json!("m"), json!("m:sql")]);
    stage.asks("m:sql", 10).await;
    assert_eq!(calls(&[&with, &without]), [10, 0]);
    let asked = with.log().into_iter().rfind(|asked| asked.method == http::Method::POST).unwrap();
    assert_eq!(asked.json()["model"], "sql");
}

#[tokio::test]
async fn a_prompts_beginning_stays_with_one_of_four_replicas() {
    let servers = [server(&["m"]).await, server(&["m"]).await, server(&["m"]).await, server(&["m"]).await];
    let all: Vec<&Upstream> = servers.iter().collect();
    let affine = engine("m").with("poolStrategy", "PrefixAffinity");
    let stage = Stage::new(&[affine], &[("m", &at(&all))]).await;
    stage.verified("m", 4).await;
    let prompt = |n: usize| format!("Beginning {n}: {}", "a long system prompt that many requests share. ".repeat(40));
    for round in 0..4 {
        for n in 0..24 {
            let reply = stage.alice().post("/v1/chat/completions", &chat("m", &prompt(n))).await;
            assert_eq!(reply.status, 200, "{round}: {reply:?}");
        }
    }
    let mut homes = 0;
    for n in 0..24 {
        let seen = |server: &Upstream| {
            let posts = server.log().into_iter().filter(|asked| asked.method == http::Method::POST);
            posts.filter(|asked| asked.json()["messages"][0]["content"] == json!(prompt(n))).count()
        };
        homes += usize::from(servers.iter().any(|server| seen(server) == 4));
    }
    assert_eq!(homes, 24, "one after the other, nothing is ever too busy");
    assert!(calls(&all).iter().all(|calls| *calls > 0), "{:?}", calls(&all));
}

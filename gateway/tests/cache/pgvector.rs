//! Requests that mean the same at several gateways, which share answers through PostgreSQL with pgvector, and what becomes of them
//! when it misbehaves.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{sync::OnceCell, time::Instant};
use turnpike_testkit::{
    Client, Gateway, Upstream,
    client::Reply,
    gateway::Setup,
    manifest,
    postgres::{self, Postgres},
    spend,
    upstream::Demands,
    wait::eventually,
};

use crate::{
    semantic::{answered, means, objects},
    stage::{ALICE, BOB, CHAT, cache, chat, is_hit, setup, with},
};

static SERVER: OnceCell<Postgres> = OnceCell::const_new();

/// What questions mean here.
const PYTHON: [f32; 3] = [1.0, 0.1, 0.0];
const LIKE_PYTHON: [f32; 3] = [1.0, 0.2, 0.0];

/// What the log says of a gateway that shares.
const SHARED: &str = "answers to requests that mean the same are shared through PostgreSQL";

async fn database() -> String {
    SERVER.get_or_init(Postgres::with_vector).await.database().await
}

fn of_database(upstream: &Upstream, url: &str) -> Setup {
    let arguments = ["--database-url", url, "--semantic-cache-pgvector"];
    arguments.iter().fold(setup().manifests(&objects(upstream)), |setup, argument| setup.arg(argument))
}

/// A gateway that has found or made the table.
async fn gateway(upstream: &Upstream, url: &str) -> Gateway {
    let gateway = of_database(upstream, url).start().await;
    gateway.process.wrote("that it shares", |log| log.contains(SHARED)).await;
    gateway
}

fn alice(gateway: &Gateway) -> Client {
    gateway.client().with_key(ALICE)
}

async fn say(upstream: &Upstream, client: &Client, vector: &[f32], body: &Value) -> Reply {
    means(upstream, vector);
    client.post(CHAT, body).await
}

/// How many answers are in the table.
async fn count(url: &str) -> i64 {
    let count = spend::postgres_json(url, "SELECT count(*)::text FROM kept_answer").await;
    count.and_then(|count| count.as_i64()).unwrap()
}

async fn is_shared(url: &str, answers: i64) {
    eventually("so many answers are in the table", || async { (count(url).await == answers).then_some(()) }).await;
}

#[tokio::test]
async fn what_one_gateway_keeps_answers_what_means_the_same_at_another() {
    let (upstream, url) = (Demands::default().start().await, database().await);
    let first = gateway(&upstream, &url).await;
    let original = say(&upstream, &alice(&first), &PYTHON, &chat("What is Python?")).await;
    assert!(!is_hit(&original));
    is_shared(&url, 1).await;

    let second = gateway(&upstream, &url).await;
    let client = alice(&second);
    let alike = say(&upstream, &client, &LIKE_PYTHON, &chat("Tell me what Python is")).await;
    assert!(is_hit(&alike));
    assert_eq!(alike.json(), original.json());
    let similarity: f32 = alike.header("x-litellm-semantic-similarity").unwrap().parse().unwrap();
    assert!((0.99..1.0).contains(&similarity), "{similarity}");
    assert!(!is_hit(&say(&upstream, &client, &[0.0, 1.0, 0.5], &chat("What is Rust?")).await), "another meaning");
    // From now on it has the answer itself.
    let same = client.post(CHAT, &chat("What is Python?")).await;
    assert_eq!((is_hit(&same), same.header("x-litellm-semantic-similarity")), (true, None));
    assert_eq!(answered(&upstream), 2);

    // A gateway that starts anew has nothing in memory.
    is_shared(&url, 2).await;
    drop((first, second));
    let third = gateway(&upstream, &url).await;
    assert!(is_hit(&say(&upstream, &alice(&third), &LIKE_PYTHON, &chat("Python, what is it?")).await));
    assert_eq!(answered(&upstream), 2);
}

#[tokio::test]
async fn scopes_and_requests_are_kept_apart() {
    let (upstream, url) = (Demands::default().start().await, database().await);
    let first = gateway(&upstream, &url).await;
    let carol = "sk-carol-0123456789abcdef";
    let second = of_database(&upstream, &url)
        .manifests(&[manifest::key("carol", carol).with("subject", json!({"team": "other"}))])
        .start()
        .await;
    second.process.wrote("that it shares", |log| log.contains(SHARED)).await;
    assert!(!is_hit(&say(&upstream, &alice(&first), &PYTHON, &chat("What is Python?")).await));
    is_shared(&url, 1).await;
    let other_team = second.client().with_key(carol);
    assert!(!is_hit(&say(&upstream, &other_team, &PYTHON, &chat("Tell me what Python is")).await));
    let same_team = second.client().with_key(BOB);
    for other in [
        with(chat("one"), "temperature", json!(0.1)),
        with(chat("two"), "stream", json!(true)),
        cache(chat("three"), json!({"namespace": "x"})),
    ] {
        assert!(!is_hit(&say(&upstream, &same_team, &PYTHON, &other).await), "{other}");
    }
    assert!(is_hit(&say(&upstream, &same_team, &PYTHON, &chat("four")).await));
}

#[tokio::test]
async fn a_value_that_is_not_ours_is_a_miss_and_counted() {
    let (upstream, url) = (Demands::default().start().await, database().await);
    let first = gateway(&upstream, &url).await;
    assert!(!is_hit(&say(&upstream, &alice(&first), &PYTHON, &chat("What is Python?")).await));
    is_shared(&url, 1).await;
    let damage = "UPDATE kept_answer SET value = substr(value, 1, length(value) - 1)";
    spend::postgres_change(&url, damage).await;
    let second = gateway(&upstream, &url).await;
    assert!(!is_hit(&say(&upstream, &alice(&second), &PYTHON, &chat("Tell me what Python is")).await));
    second.metric_is("turnpike_cache_unusable_values_total", "", 1.0).await;
}

#[tokio::test]
async fn a_frozen_database_costs_a_moment_and_then_nothing() {
    let (upstream, server) = (Demands::default().start().await, Postgres::with_vector().await);
    let url = server.database().await;
    let gateway = gateway(&upstream, &url).await;
    let client = alice(&gateway);
    assert!(!is_hit(&say(&upstream, &client, &PYTHON, &chat("What is Python?")).await));
    is_shared(&url, 1).await;
    server.freeze();
    for number in 0..30 {
        // Of another partition each, so that only the database could know.
        let body = with(chat("What is Python?"), "seed", json!(number));
        let began = Instant::now();
        assert!(!is_hit(&say(&upstream, &client, &PYTHON, &body).await));
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }
    let failures = gateway.metric("turnpike_cache_database_errors_total", "").await;
    assert!((3.0..=15.0).contains(&failures), "{failures} of 30 requests waited");
    let own = say(&upstream, &client, &LIKE_PYTHON, &chat("Tell me what Python is")).await;
    assert!(is_hit(&own), "what the gateway keeps itself is there");
    server.thaw();
    // It is used again.
    eventually("an answer is shared again", || async {
        let body = with(chat("What is Python?"), "seed", json!(1000 + upstream.log().len()));
        say(&upstream, &client, &PYTHON, &body).await;
        (count(&url).await > 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn without_a_database_it_is_refused() {
    let mut gateway = setup().arg("--semantic-cache-pgvector").spawn();
    assert!(!gateway.exit().await.success());
    assert!(gateway.output().contains("name it with --database-url"), "{}", gateway.output());
}

#[tokio::test]
async fn without_the_extension_each_gateway_compares_by_itself_and_says_so() {
    let upstream = Demands::default().start().await;
    let gateway = of_database(&upstream, &postgres::database().await).start().await;
    gateway.process.wrote("what is missing", |log| log.contains("no extension `vector`")).await;
    let client = alice(&gateway);
    assert!(!is_hit(&say(&upstream, &client, &PYTHON, &chat("What is Python?")).await));
    assert!(is_hit(&say(&upstream, &client, &LIKE_PYTHON, &chat("Tell me what Python is")).await));
    assert_eq!(gateway.process.output().matches("no extension `vector`").count(), 1);
}

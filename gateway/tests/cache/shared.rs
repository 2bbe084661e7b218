//! Answers that gateways share through Redis, and what becomes of requests when it misbehaves.

use redis::AsyncCommands;
use serde_json::json;
use turnpike_testkit::{Client, Gateway, Upstream, redis::Redis, upstream::Demands, wait::eventually};

use crate::stage::{ALICE, CHAT, ask, chat, is_hit, keys, model, setup};

async fn gateway(redis: &Redis, upstream: &Upstream) -> Gateway {
    let objects = [model(upstream, json!({"enabled": true}))];
    setup().manifests(&objects).manifests(&keys()).arg("--redis-url").arg(&redis.url()).start().await
}

fn alice(gateway: &Gateway) -> Client {
    gateway.client().with_key(ALICE)
}

async fn connect(redis: &Redis) -> redis::aio::MultiplexedConnection {
    redis::Client::open(redis.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
}

/// The one answer in Redis, once it is there.
async fn stored(connection: &mut redis::aio::MultiplexedConnection) -> (String, Vec<u8>) {
    let found = eventually("the answer is in Redis", || {
        let mut connection = connection.clone();
        async move {
            let keys: Vec<String> = connection.keys("turnpike:answer:*").await.unwrap();
            keys.into_iter().next()
        }
    });
    let key = found.await;
    let value = connection.get(&key).await.unwrap();
    (key, value)
}

#[tokio::test]
async fn what_one_gateway_keeps_another_gives() {
    let (redis, upstream) = (Redis::start().await, Demands::default().start().await);
    let first = gateway(&redis, &upstream).await;
    let mut connection = connect(&redis).await;
    let original = eventually("Redis is reached", || async {
        let reply = alice(&first).post(CHAT, &chat("Hi")).await;
        let keys: Vec<String> = connect(&redis).await.keys("turnpike:answer:*").await.unwrap();
        // Without a connection it was kept in the gateway only: another try needs another request.
        if keys.is_empty() { None } else { Some(reply) }
    })
    .await;
    let (key, _) = stored(&mut connection).await;
    let left: i64 = connection.pttl(&key).await.unwrap();
    assert!((3_500_000..=3_600_000).contains(&left), "{left} ms");
    let asked = upstream.log().len();
    let second = gateway(&redis, &upstream).await;
    let reply = eventually("the other gateway reaches Redis", || async {
        let reply = alice(&second).post(CHAT, &chat("Hi")).await;
        is_hit(&reply).then_some(reply)
    })
    .await;
    assert_eq!(reply.json(), original.json());
    assert!(upstream.log().len() <= asked + 1);
}

#[tokio::test]
async fn a_value_that_is_not_ours_is_a_miss_and_counted() {
    let (redis, upstream) = (Redis::start().await, Demands::default().start().await);
    let mut connection = connect(&redis).await;
    let writer = gateway(&redis, &upstream).await;
    // Its connection is made beside: the first requests may not find it yet.
    eventually("an answer is shared", || async {
        let body = crate::stage::cache(chat("Hi"), json!({"no-cache": true}));
        ask(&alice(&writer), &body).await;
        let keys: Vec<String> = connect(&redis).await.keys("turnpike:answer:*").await.unwrap();
        (!keys.is_empty()).then_some(())
    })
    .await;
    let (key, value) = stored(&mut connection).await;
    let mut newer = value.clone();
    newer[8] += 1;
    let mut damaged = value.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    for poison in [b"{\"response\": \"owned\"}".to_vec(), newer, damaged, Vec::new()] {
        let reader = gateway(&redis, &upstream).await;
        let _: () = connection.set(&key, &poison).await.unwrap();
        let reply = eventually("the value is looked at", || async {
            let body = crate::stage::cache(chat("Hi"), json!({"no-store": true}));
            let reply = alice(&reader).post(CHAT, &body).await;
            assert!(!is_hit(&reply));
            (reader.metric("turnpike_cache_unusable_values_total", "").await > 0.0).then_some(reply)
        })
        .await;
        assert_eq!(reply.json()["choices"][0]["message"]["content"], "Hello");
    }
    // A good one is taken by a gateway that has seen none.
    let _: () = connection.set(&key, &value).await.unwrap();
    let reader = gateway(&redis, &upstream).await;
    eventually("the value is taken", || async { ask(&alice(&reader), &chat("Hi")).await.then_some(()) }).await;
}

#[tokio::test]
async fn a_frozen_redis_costs_milliseconds_and_then_nothing() {
    let (redis, upstream) = (Redis::start().await, Demands::default().start().await);
    let gateway = gateway(&redis, &upstream).await;
    let client = alice(&gateway);
    assert!(!ask(&client, &chat("Hi")).await);
    redis.freeze();
    for number in 0..30 {
        let began = tokio::time::Instant::now();
        assert!(!ask(&client, &chat(&format!("question {number}"))).await);
        assert!(began.elapsed() < std::time::Duration::from_secs(2), "{:?}", began.elapsed());
    }
    let failures = gateway.metric("turnpike_cache_redis_errors_total", "").await;
    assert!((1.0..=15.0).contains(&failures), "{failures} of 30 requests waited");
    assert!(ask(&client, &chat("question 29")).await, "what the gateway keeps itself is there");
    redis.thaw();
}

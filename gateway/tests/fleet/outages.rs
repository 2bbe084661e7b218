//! Stores that stop answering.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use turnpike_testkit::{manifest, postgres::Postgres, redis::Redis, spend::postgres_json, wait::eventually};

use crate::stage::{CHAT, Fleet, KEY, key, request};

#[tokio::test]
async fn without_the_database_open_budgets_go_on_for_a_while_closed_ones_refuse_and_no_row_is_lost() {
    let postgres = Postgres::start().await;
    let open = manifest::budget("open", &json!({"window": "Month", "usd": "1.00"}))
        .with("onStoreUnavailable", "FailOpen")
        .with("failOpenUsd", "0.10");
    let closed = "sk-closed-0123456789abcdef";
    let objects = [
        manifest::key("open", KEY),
        manifest::key("closed", closed).with("budget", json!([{"window": "Month", "usd": "1.00"}])),
        open,
    ];
    let fleet = Fleet::new(2, postgres.database().await, &objects).await;
    let ask = request(0, 1_000);
    assert_eq!(fleet.client(0).post(CHAT, &ask).await.status, 200);
    let strict = |number: usize| fleet.client(number).with_key(closed);
    assert_eq!(strict(0).post(CHAT, &ask).await.status, 200);
    postgres.stop();
    let (mut let_through, mut refused) = (0, 0);
    for number in 0..400 {
        let reply = fleet.client(number).post(CHAT, &ask).await;
        match reply.status {
            200 => let_through += 1,
            503 => refused += 1,
            other => panic!("{other}: {}", reply.text()),
        }
        if refused > 4 {
            break;
        }
    }
    // What was leased, and then 0.10 USD a gateway: at most 2 * 0.1 / 0.0014 requests by their bounds, and at least half.
    println!("let through without a store: {let_through}");
    assert!((70..=400).contains(&let_through), "{let_through}");
    for gateway in &fleet.gateways {
        let overdrawn = gateway.metric("turnpike_ledger_overdrawn_usd_total", "").await;
        assert!((0.05..0.100_001).contains(&overdrawn), "{overdrawn}");
    }
    eventually("a strict budget refuses", || async {
        let reply = strict(1).post(CHAT, &ask).await;
        (reply.status == 503 && reply.error_code() == "budget_unavailable").then_some(())
    })
    .await;
    postgres.resume().await;
    eventually("it goes on", || async { (strict(1).post(CHAT, &ask).await.status == 200).then_some(()) }).await;
    fleet.all_booked().await;
    let (_, paid, _) = fleet.spent().await;
    assert_eq!(usize::try_from(paid).unwrap(), fleet.upstream.log().len());
    // The part of what is spent that the outage let through, as the Budget's status tells it.
    let sql = "select json_build_object('overdrawn', sum(amount))::text from ledger_spent join ledger_account on key = account \
               where id = 'Budget/default/open/overdrawn/Month/Calendar/UTC/'";
    let overdrawn = postgres_json(&fleet.database, sql).await.unwrap()["overdrawn"].as_i64().unwrap();
    assert!((1..=200_000_000).contains(&overdrawn), "{overdrawn}");
}

/// How long the database is away in the long test.
const OUTAGE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_minute_without_the_database_under_load_loses_no_row_fails_nobody_and_overspends_nothing() {
    let postgres = Postgres::start().await;
    let closed = "sk-closed-0123456789abcdef";
    let open =
        manifest::budget("open", &json!({"window": "Month", "usd": "1000.00"})).with("onStoreUnavailable", "FailOpen");
    let objects = [
        manifest::key("open", KEY).with("subject", json!({"team": "open"})),
        manifest::key("closed", closed).with("budget", json!([{"window": "Month", "usd": "0.50"}])),
        open.with("scope", json!({"team": "open"})),
    ];
    let fleet = Fleet::new(2, postgres.database().await, &objects).await;
    let end = Instant::now() + OUTAGE + Duration::from_secs(5);
    let call = |number: usize, key: &'static str, pause: Duration| {
        let client = fleet.client(number).with_key(key);
        tokio::spawn(async move {
            let (mut answered, mut refused) = (0, 0);
            while Instant::now() < end {
                let reply = client.post(CHAT, &request(number, 1_000)).await;
                match reply.status {
                    200 => answered += 1,
                    429 | 503 => refused += 1,
                    other => panic!("{other}: {}", reply.text()),
                }
                tokio::time::sleep(pause).await;
            }
            (answered, refused)
        })
    };
    let pause = Duration::from_millis(20);
    let on: Vec<_> = (0..6).map(|number| call(number, KEY, pause)).collect();
    let strict: Vec<_> = (0..6).map(|number| call(number, closed, pause)).collect();
    fleet.upstream.wait_for("all clients are at work", |log| log.len() > 100).await;
    postgres.stop();
    tokio::time::sleep(OUTAGE).await;
    postgres.resume().await;
    let (mut answered, mut refused) = (0, 0);
    for task in on {
        let (yes, no) = task.await.unwrap();
        answered += yes;
        refused += no;
    }
    assert_eq!(refused, 0, "a FailOpen budget refused");
    let mut strictly = (0, 0);
    for task in strict {
        let (yes, no) = task.await.unwrap();
        strictly = (strictly.0 + yes, strictly.1 + no);
    }
    fleet.all_booked().await;
    let (_, paid, _) = fleet.spent().await;
    println!(
        "{OUTAGE:?} without the database: FailOpen {answered} answered, 0 refused; FailClosed {strictly:?}; {paid} rows"
    );
    assert_eq!(usize::try_from(paid).unwrap(), fleet.upstream.log().len(), "no row is lost, none is there twice");
    let sql = "select json_build_object('spent', coalesce(sum(cost_nano), 0))::text from spend where team is null";
    let strict = postgres_json(&fleet.database, sql).await.unwrap()["spent"].as_i64().unwrap();
    assert!((1..=500_000_000).contains(&strict), "{strict}");
}

#[tokio::test]
async fn a_frozen_redis_slows_nobody() {
    let redis = Redis::start().await;
    let objects = [manifest::key("fleet", KEY).with("limits", json!({"rpm": 100_000}))];
    let fleet =
        Fleet::with(1, turnpike_testkit::postgres::database().await, &objects, &["--redis-url", &redis.url()]).await;
    let ask = request(0, 100);
    let time = async |count: usize| {
        let mut times = Vec::new();
        for _ in 0..count {
            let began = Instant::now();
            assert_eq!(fleet.client(0).post(CHAT, &ask).await.status, 200);
            times.push(began.elapsed());
        }
        times.sort_unstable();
        (times[times.len() / 2], times[times.len() * 99 / 100])
    };
    time(50).await;
    let (before, before_p99) = time(300).await;
    redis.freeze();
    let (frozen, frozen_p99) = time(300).await;
    redis.thaw();
    println!("Redis up: median {before:?}, p99 {before_p99:?}; frozen: median {frozen:?}, p99 {frozen_p99:?}");
    assert!(frozen < before + Duration::from_millis(10), "{before:?} {frozen:?}");
}

#[tokio::test]
async fn a_rate_holds_over_three_gateways() {
    let objects = [key(&json!({"window": "Month", "usd": "1000"})).with("limits", json!({"rpm": 60}))];
    let fleet = Fleet::new(3, turnpike_testkit::postgres::database().await, &objects).await;
    let mut answered = 0;
    for number in 0..120 {
        answered += usize::from(fleet.client(number).post(CHAT, &request(0, 10)).await.status == 200);
    }
    println!("of 120 requests in a row on three gateways with 60 a minute: {answered}");
    assert!((54..=60).contains(&answered), "{answered}");
}

/// Of one rate of a key on three gateways.
const RPM: u64 = 60;
/// An equal part of it.
const PART: usize = 20;

/// Three gateways that know of each other, with a rate of [`RPM`] and this Redis.
async fn three(redis: &Redis, database: String) -> Fleet {
    let objects = [manifest::key("fleet", KEY).with("limits", json!({"rpm": RPM}))];
    let fleet = Fleet::with(3, database, &objects, &["--redis-url", &redis.url()]).await;
    let sql = "select json_build_object('living', count(*))::text from ledger_holder";
    eventually("all gateways have said that they live", || async {
        (postgres_json(&fleet.database, sql).await?["living"] == 3).then_some(())
    })
    .await;
    // Each asks how many there are with its next beat.
    tokio::time::sleep(Duration::from_secs(6)).await;
    fleet
}

/// How many requests pass in so many seconds, on one gateway after the other.
async fn passed(fleet: &Fleet, seconds: u64) -> usize {
    let (began, mut passed, mut number) = (Instant::now(), 0, 0);
    while began.elapsed() < Duration::from_secs(seconds) {
        let reply = fleet.client(number).post(CHAT, &request(0, 10)).await;
        assert!(matches!(reply.status, 200 | 429), "{}: {}", reply.status, reply.text());
        passed += usize::from(reply.status == 200);
        number += 1;
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    passed
}

#[tokio::test]
async fn without_redis_a_rate_holds_over_three_gateways_by_the_database() {
    let redis = Redis::start().await;
    let fleet = three(&redis, turnpike_testkit::postgres::database().await).await;
    let mut before = 0;
    for number in 0..30 {
        before += usize::from(fleet.client(number).post(CHAT, &request(0, 10)).await.status == 200);
    }
    assert_eq!(before, 30);
    redis.freeze();
    let without = passed(&fleet, 15).await;
    redis.thaw();
    let after = passed(&fleet, 15).await;
    println!("of {RPM} a minute {before} with Redis, {without} while it was frozen, {after} afterwards");
    let most = usize::try_from(RPM).unwrap();
    assert!(before + without + after <= most + PART, "{before} {without} {after}");
    assert!(before + without >= most - 6, "{before} {without}");
}

#[tokio::test]
async fn without_redis_and_the_database_each_gateway_goes_by_its_part_of_a_rate() {
    let (redis, postgres) = (Redis::start().await, Postgres::start().await);
    let fleet = three(&redis, postgres.database().await).await;
    drop(redis);
    postgres.stop();
    let together = passed(&fleet, 30).await;
    println!("of {RPM} a minute {together} passed without any store");
    let most = usize::try_from(RPM).unwrap();
    assert!((most - 6..=most).contains(&together), "{together}");
    postgres.resume().await;
    fleet.all_booked().await;
}

#[tokio::test]
async fn a_gateway_starts_without_its_database_and_books_when_it_is_there() {
    let postgres = Postgres::start().await;
    let database = postgres.database().await;
    postgres.stop();
    let open =
        manifest::budget("open", &json!({"window": "Month", "usd": "1.00"})).with("onStoreUnavailable", "FailOpen");
    let fleet = Fleet::new(1, database, &[manifest::key("open", KEY), open]).await;
    assert_eq!(fleet.client(0).post(CHAT, &request(0, 100)).await.status, 200);
    postgres.resume().await;
    fleet.all_booked().await;
}

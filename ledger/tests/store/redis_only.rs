//! Rates in a real Redis: the script is the pure transition, and a Redis in trouble costs little.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::time::Instant;
use turnpike_ledger::{
    account::{AccountId, Unit},
    exchange::{self, Ask, Grants, Lease, LeaseId, Reply, Standing},
    spend_log::StoreError,
    store::{LeaseStore as _, RedisStore},
    window::WindowSpec,
};
use turnpike_testkit::{redis::Redis, wait::within};
use uuid::Uuid;

use crate::fixture::{ask, lifetime, then};

/// Far beyond what a busy machine needs.
const PATIENT: Duration = Duration::from_secs(10);

fn open(server: &Redis) -> RedisStore {
    RedisStore::open(&server.url()).unwrap().with_patience(PATIENT)
}

fn rate(holder: u128, number: u64) -> Ask {
    Ask { used: Some(0), ..ask(Uuid::from_u128(holder), number, WindowSpec::minute()) }
}

async fn asked(store: &mut RedisStore, ask: &Ask) -> Reply {
    store.exchange(std::slice::from_ref(ask)).await.unwrap().replies[0]
}

/// The store of the pure function: what Redis must do.
#[derive(Default)]
struct Model {
    leases: HashMap<LeaseId, Lease>,
    spent: HashMap<i64, i64>,
}

impl Model {
    fn exchange(&mut self, ask: &Ask, now: i64) -> Reply {
        let others = || self.leases.iter().filter(|(id, lease)| **id != ask.lease && !lease.closed);
        let mut rivals: Vec<Uuid> = others()
            .filter(|(id, lease)| id.holder != ask.lease.holder && !lease.finished)
            .map(|(id, _)| id.holder)
            .collect();
        rivals.sort_unstable();
        rivals.dedup();
        let counted = WindowSpec::minute().counted_from(now);
        let standing = Standing {
            spent: self.spent.iter().filter(|(slot, _)| **slot >= counted).map(|(_, amount)| amount).sum(),
            others: others().map(|(_, lease)| lease.outstanding()).sum(),
            holders: 1 + i64::try_from(rivals.len()).unwrap(),
        };
        let before = self.leases.get(&ask.lease).copied().unwrap_or_default();
        let exchanged = exchange::exchange(ask, now, Grants::Open, before, standing);
        if exchanged.lease != before {
            self.leases.insert(ask.lease, exchanged.lease);
        }
        *self.spent.entry(WindowSpec::minute().slot(now).start).or_default() += exchanged.book;
        exchanged.reply
    }
}

#[tokio::test]
async fn random_asks_are_answered_as_by_the_pure_function() {
    let server = Redis::start().await;
    let mut store = open(&server);
    for seed in 0..20 {
        let mut random = StdRng::seed_from_u64(seed);
        let parallel = seed % 4 == 3;
        let account = AccountId::from_stored(&format!("VirtualKey/ns/{seed}/requests/Minute/Rolling/"));
        let limit = random.random_range(1..2000);
        let mut model = Model::default();
        for step in 0..120 {
            let used = random.random_range(0..300);
            let ask = Ask {
                account: account.clone(),
                unit: if parallel { Unit::Parallel } else { Unit::Requests },
                window: if parallel { lifetime() } else { WindowSpec::minute() },
                limit: limit + random.random_range(-50..50),
                // Old, equal and new ones.
                sequence: random.random_range(0..40),
                held: random.random_range(0..200),
                target: random.random_range(0..500),
                least: random.random_range(0..60),
                used: (!parallel).then_some(used),
                last: random.random_bool(0.05),
                ..rate(random.random_range(1..5), random.random_range(1..3))
            };
            let answers = store.exchange(std::slice::from_ref(&ask)).await.unwrap();
            assert_eq!(answers.replies, [model.exchange(&ask, answers.now)], "seed {seed} step {step}: {ask:?}");
        }
    }
}

#[tokio::test]
async fn a_batch_is_answered_in_its_order_and_balances_add_up() {
    let server = Redis::start().await;
    let mut store = open(&server);
    let of = |n: u64| Ask { account: AccountId::from_stored(&format!("rate {n}")), ..rate(1, n) };
    let batch: Vec<Ask> = (0..8).map(|n| Ask { target: 10 + i64::try_from(n).unwrap(), ..of(n) }).collect();
    let answers = store.exchange(&batch).await.unwrap();
    let granted: Vec<i64> = answers.replies.iter().map(|reply| reply.granted).collect();
    assert_eq!(granted, (10..18).collect::<Vec<i64>>());
    asked(&mut store, &Ask { used: Some(3), ..then(&batch[0], 10, 10) }).await;
    let accounts: Vec<_> = ["rate 0", "rate 1", "unknown"].map(|id| (AccountId::from_stored(id), 0, 0)).into();
    let balances = store.balances(&accounts).await.unwrap();
    let balances: Vec<_> = balances.iter().map(|balance| (balance.spent, balance.reserved)).collect();
    assert_eq!(balances, [(3, 7), (0, 11), (0, 0)]);
}

#[tokio::test]
async fn what_others_put_there_is_ignored() {
    let server = Redis::start().await;
    let mut store = open(&server);
    let key = "turnpike:rate:{Budget/ns/b/usd/test/}";
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    for foreign in [
        redis::cmd("SET").arg(key).arg("100"),
        redis::cmd("HSET").arg(key).arg("v").arg("2").arg("s0").arg("x").arg("l").arg("y"),
        redis::cmd("LPUSH").arg(key).arg("1"),
    ] {
        let _: i64 = redis::cmd("DEL").arg(key).query_async(&mut connection).await.unwrap();
        foreign.exec_async(&mut connection).await.unwrap();
        let reply = asked(&mut store, &rate(1, 1)).await;
        assert_eq!((reply.granted, reply.spent, reply.others), (100, 0, 0));
    }
    // And nothing stays for ever.
    let left: i64 = redis::cmd("PTTL").arg(key).query_async(&mut connection).await.unwrap();
    assert!((1..=721_000).contains(&left), "{left}");
}

#[tokio::test]
async fn a_silent_holder_loses_its_leases_and_one_that_beats_does_not() {
    let server = Redis::start().await;
    let (mut silent, mut living, mut asking) = (open(&server), open(&server), open(&server));
    let first = Ask { target: 400, least: 400, ..rate(1, 1) };
    let second = Ask { target: 400, least: 400, ..rate(2, 1) };
    assert_eq!(asked(&mut silent, &first).await.granted, 400);
    assert_eq!(asked(&mut living, &second).await.granted, 400);
    let key = "turnpike:rate:{Budget/ns/b/usd/test/}";
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let expiry = |holder: u128| format!("e{}:1", Uuid::from_u128(holder));
    // Both have been silent for long; then one beats.
    for holder in [1, 2] {
        redis::cmd("HSET").arg(key).arg(expiry(holder)).arg("1").exec_async(&mut connection).await.unwrap();
    }
    for _ in 0..2 {
        living.beat(Uuid::from_u128(2), Duration::from_secs(10)).await.unwrap();
    }
    let reply = asked(&mut asking, &Ask { target: 10, ..rate(3, 1) }).await;
    assert_eq!(
        (reply.spent, reply.others, reply.granted),
        (400, 400, 10),
        "what the silent one held may have been used"
    );
    let reply = asked(&mut silent, &then(&first, 400, 500)).await;
    assert!(reply.closed);
    assert!(!asked(&mut living, &then(&second, 400, 400)).await.closed);
}

#[tokio::test]
async fn the_clock_of_an_account_never_goes_back() {
    let server = Redis::start().await;
    let mut store = open(&server);
    let first = rate(1, 1);
    let now = store.exchange(std::slice::from_ref(&first)).await.unwrap().now;
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let later = now + 3_600_000_000;
    let key = "turnpike:rate:{Budget/ns/b/usd/test/}";
    redis::cmd("HSET").arg(key).arg("t").arg(later).exec_async(&mut connection).await.unwrap();
    assert_eq!(store.exchange(&[then(&first, 100, 100)]).await.unwrap().now, later);
}

/// Counts what is logged.
struct Lines(Arc<AtomicUsize>);

impl tracing::Subscriber for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("turnpike_ledger")
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn a_frozen_redis_costs_milliseconds_and_one_line() {
    let lines = Arc::new(AtomicUsize::new(0));
    let _guard = tracing::subscriber::set_default(Lines(Arc::clone(&lines)));
    let server = Redis::start().await;
    let mut store = RedisStore::open(&server.url()).unwrap().with_patience(PATIENT);
    let first = rate(1, 1);
    asked(&mut store, &first).await;
    let mut store = store.with_patience(Duration::from_millis(5));
    server.freeze();
    let begun = Instant::now();
    for sequence in 2..200 {
        let error = store.exchange(&[Ask { sequence, ..first.clone() }]).await.unwrap_err();
        assert!(matches!(error, StoreError::Stalled), "{error:?}");
    }
    // Three waits of 5 ms; then it is left alone, with a try each quarter of a second at most.
    let took = begun.elapsed();
    assert!(took < Duration::from_millis(500), "{took:?}");
    assert_eq!(lines.load(Ordering::Relaxed), 1, "one line when it is left alone");
    server.thaw();
    let mut store = store.with_patience(PATIENT);
    let mut sequence = 300;
    let reply = within("Redis is asked again", async {
        loop {
            sequence += 1;
            if let Ok(answers) = store.exchange(&[Ask { sequence, ..first.clone() }]).await {
                return answers.replies[0];
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(reply.granted, 100);
    assert_eq!(lines.load(Ordering::Relaxed), 2, "and one when it answers again");
}

#[tokio::test]
async fn a_redis_that_was_restarted_gets_its_script_again() {
    let server = Redis::start().await;
    let mut store = open(&server);
    asked(&mut store, &rate(1, 1)).await;
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut connection).await.unwrap();
    redis::cmd("FLUSHALL").exec_async(&mut connection).await.unwrap();
    let again = then(&rate(1, 1), 100, 100);
    assert!(matches!(store.exchange(std::slice::from_ref(&again)).await, Err(StoreError::Redis(_))));
    // What the holder counts on is granted, though Redis has forgotten it.
    assert_eq!(asked(&mut store, &again).await.granted, 100);
}

#[tokio::test]
async fn a_redis_that_is_not_there_is_an_error() {
    let mut store = RedisStore::open("redis://127.0.0.1:1").unwrap().with_patience(PATIENT);
    assert!(matches!(store.exchange(&[rate(1, 1)]).await, Err(StoreError::Redis(_))));
    assert!(RedisStore::open("http://localhost").is_err());
}

//! Rates while Redis, or the database as well, does not answer: what passes on three gateways together.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use turnpike_ledger::{
    account::{AccountId, AccountSpec, Unit},
    engine::Used,
    exchange::Ask,
    spend_log::StoreError,
    store::{Answers, Balance, LeaseStore, RateStore},
};
use uuid::Uuid;

use crate::{
    fleet::{Gateway, NOON, Terms},
    rates::{keep_asking, most_in_a_minute},
    world::{MemoryStore, Mode, World},
};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const NOTHING: Used = Used { nano_usd: 0, tokens: 0 };
const RPM: i64 = 60;
/// What an equal part of that is.
const PART: i64 = 20;

/// As the store in Redis: it answers within 5 ms or fails.
struct Quick(MemoryStore);

impl Quick {
    async fn within<T>(asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        timeout(MS * 5, asked).await.unwrap_or(Err(StoreError::Stalled))
    }
}

impl LeaseStore for Quick {
    async fn exchange(&mut self, asks: &[Ask]) -> Result<Answers, StoreError> {
        Self::within(self.0.exchange(asks)).await
    }
    async fn beat(&mut self, holder: Uuid, longest: Duration) -> Result<i64, StoreError> {
        Self::within(self.0.beat(holder, longest)).await
    }
    async fn probe(&mut self) -> Result<Option<i64>, StoreError> {
        Self::within(self.0.probe()).await
    }
    async fn close(&mut self, holder: Uuid) -> Result<(), StoreError> {
        Self::within(self.0.close(holder)).await
    }
    async fn reap(&mut self) -> Result<u64, StoreError> {
        Ok(0)
    }
    async fn balances(&mut self, accounts: &[(AccountId, i64, i64)]) -> Result<Vec<Balance>, StoreError> {
        Self::within(self.0.balances(accounts)).await
    }
}

/// Three gateways on one Redis and one database.
struct Places {
    redis: World,
    database: World,
    gateways: Vec<Gateway>,
}

impl Places {
    /// All gateways know of each other.
    async fn new() -> Self {
        let (redis, database) = (World::new(NOON), World::new(NOON));
        let gateway = |_| {
            let holder = Uuid::new_v4();
            let rates = RateStore::new(Some(Quick(redis.store(holder))), Some(database.store(holder)));
            Gateway::with_rates(&database, holder, rates)
        };
        let gateways = (0..3).map(gateway).collect();
        sleep(SECOND * 7).await;
        Self { redis, database, gateways }
    }

    /// Requests as fast as they pass on these gateways; each is through after 10 ms.
    fn load(&self, on: &[usize], account: &Arc<AccountSpec>, lasts: Duration) -> JoinSet<Vec<(Duration, i64)>> {
        let mut clients = JoinSet::new();
        for at in on {
            clients.spawn(keep_asking(self.gateways[*at].clone(), Arc::clone(account), lasts, MS * 10));
        }
        clients
    }

    fn all(&self, mode: Mode) {
        self.redis.set(mode);
        self.database.set(mode);
    }

    fn check(&self) {
        assert_eq!(self.redis.lock().violations, Vec::<String>::new());
        assert_eq!(self.database.lock().violations, Vec::<String>::new());
    }
}

async fn all_of(mut clients: JoinSet<Vec<(Duration, i64)>>) -> Vec<(Duration, i64)> {
    let mut passed = Vec::new();
    while let Some(some) = clients.join_next().await {
        passed.extend(some.unwrap());
    }
    passed.sort_unstable();
    passed
}

/// How many passed between two seconds.
fn between(passed: &[(Duration, i64)], from: u32, to: u32) -> usize {
    passed.iter().filter(|(at, _)| (SECOND * from..SECOND * to).contains(at)).count()
}

#[tokio::test(start_paused = true)]
async fn without_redis_rates_go_on_in_the_database_and_back() {
    for mode in [Mode::Silent, Mode::Refuses] {
        for on in [&[0, 1, 2][..], &[0]] {
            let places = Places::new().await;
            let account = Terms::rate(Unit::Requests, RPM).account();
            let clients = places.load(on, &account, SECOND * 480);
            sleep(SECOND * 100).await;
            places.redis.set(mode);
            sleep(SECOND * 200).await;
            places.redis.set(Mode::Up);
            let passed = all_of(clients).await;
            let (most, without) = (most_in_a_minute(&passed), between(&passed, 100, 300));
            let after = between(&passed, 300, 480);
            println!(
                "{mode:?} {on:?}: at most {most} in a minute, {without} in 200 s without Redis, {after} in 180 s after"
            );
            // Who comes to a place first does not know what others used.
            assert!(most <= RPM + PART, "{mode:?} {on:?}: {most}");
            // They pass in bursts, one a minute.
            assert!(without >= 175 && after >= 175, "{mode:?} {on:?}: {without} {after}");
            assert!(places.database.booked(&account.id) > 0, "{mode:?}");
            places.check();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn with_no_store_at_all_each_gateway_goes_by_its_part() {
    let places = Places::new().await;
    let account = Terms::rate(Unit::Requests, RPM).account();
    let clients = places.load(&[0, 1, 2], &account, SECOND * 480);
    sleep(SECOND * 100).await;
    places.all(Mode::Silent);
    sleep(SECOND * 200).await;
    places.all(Mode::Up);
    let passed = all_of(clients).await;
    let (most, without) = (most_in_a_minute(&passed), between(&passed, 100, 300));
    println!("at most {most} in a minute, {without} in 200 s without a store");
    assert!(most <= RPM + PART, "{most}");
    assert!(without >= 175, "{without}");
    assert!(between(&passed, 300, 480) >= 175);
    places.check();
}

#[tokio::test(start_paused = true)]
async fn who_alone_has_used_a_rate_up_has_no_more_than_its_part_when_all_stores_go() {
    let places = Places::new().await;
    let account = Terms::rate(Unit::Requests, RPM).account();
    let clients = places.load(&[0], &account, SECOND * 400);
    sleep(SECOND * 100).await;
    // The others learn that nothing is left.
    for gateway in &places.gateways[1..] {
        let _ = gateway.reserve(&account, 1).await;
    }
    places.all(Mode::Refuses);
    let late = places.load(&[1, 2], &account, SECOND * 300);
    let mut passed = all_of(clients).await;
    assert!(between(&passed, 103, 162) <= 20, "{}", between(&passed, 103, 162));
    assert!((76..=80).contains(&between(&passed, 161, 400)), "{}", between(&passed, 161, 400));
    passed.extend(all_of(late).await.into_iter().map(|(at, one)| (at + SECOND * 100, one)));
    let most = most_in_a_minute(&passed);
    assert!(most <= RPM, "{most}");
}

/// What the others hold or used in Redis is not known in the database.
#[tokio::test(start_paused = true)]
async fn a_gateway_that_redis_fails_for_a_moment_takes_its_part_at_most() {
    let places = Places::new().await;
    let account = Terms::rate(Unit::Requests, RPM).account();
    let first = places.gateways[0].holder;
    let clients = places.load(&[0, 1, 2], &account, SECOND * 300);
    for _ in 0..5 {
        sleep(SECOND * 40).await;
        places.redis.lock().cut_off.insert(first);
        sleep(MS * 1500).await;
        places.redis.lock().cut_off.clear();
    }
    let passed = all_of(clients).await;
    let (most, all) = (most_in_a_minute(&passed), passed.len());
    println!("at most {most} in a minute, {all} in 300 s");
    assert!(most <= RPM + PART, "{most}");
    assert!(all >= 290, "{all}");
}

#[tokio::test(start_paused = true)]
async fn a_redis_that_forgot_everything_hears_of_the_last_minute() {
    let places = Places::new().await;
    let account = Terms::rate(Unit::Requests, RPM).account();
    let clients = places.load(&[0, 1, 2], &account, SECOND * 400);
    sleep(SECOND * 200).await;
    places.redis.set(Mode::Refuses);
    sleep(SECOND * 3).await;
    places.redis.lock().accounts.clear();
    places.redis.set(Mode::Up);
    let passed = all_of(clients).await;
    let (most, after) = (most_in_a_minute(&passed), between(&passed, 203, 400));
    println!("at most {most} in a minute, {after} in 197 s after");
    assert!(most <= RPM + PART, "{most}");
    assert!(after >= 175, "{after}");
}

/// Tokens are counted at the end of requests, some of which lie over the change.
#[tokio::test(start_paused = true)]
async fn tokens_of_requests_under_way_are_counted_where_they_end() {
    let places = Places::new().await;
    let account = Terms::rate(Unit::Tokens, 1000).account();
    let [first, second, _] = &places.gateways[..] else { panic!() };
    let early = first.reserve(&account, 300).await.unwrap();
    first.settle(early, Used { nano_usd: 0, tokens: 300 });
    let over = first.reserve(&account, 400).await.unwrap();
    sleep(SECOND * 2).await;
    places.redis.set(Mode::Silent);
    sleep(SECOND * 10).await;
    assert!(second.reserve(&account, 301).await.is_err());
    let hold = second.reserve(&account, 300).await.unwrap();
    drop(hold);
    first.settle(over, Used { nano_usd: 0, tokens: 500 });
    sleep(SECOND * 2).await;
    assert!(second.reserve(&account, 201).await.is_err());
    drop(second.reserve(&account, 200).await.unwrap());
    // The early one is over a minute old; the other was used up just now.
    sleep(SECOND * 50).await;
    assert!(second.reserve(&account, 501).await.is_err());
    drop(second.reserve(&account, 500).await.unwrap());
    places.check();
}

#[tokio::test(start_paused = true)]
async fn places_among_parallel_requests_go_along() {
    let places = Places::new().await;
    let account = Terms::rate(Unit::Parallel, 9).account();
    let (now, most) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
    let mut clients = JoinSet::new();
    for number in 0..30_u32 {
        let (gateway, account) = (places.gateways[number as usize % 3].clone(), Arc::clone(&account));
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        clients.spawn(async move {
            for _ in 0..100 {
                let Ok(hold) = gateway.reserve(&account, 1).await else {
                    sleep(MS * 300).await;
                    continue;
                };
                most.fetch_max(now.fetch_add(1, Ordering::AcqRel) + 1, Ordering::AcqRel);
                sleep(MS * 400 + MS * 10 * number).await;
                now.fetch_sub(1, Ordering::AcqRel);
                gateway.settle(hold, NOTHING);
            }
        });
    }
    for mode in [Mode::Silent, Mode::Up] {
        sleep(SECOND * 5).await;
        places.redis.set(mode);
        sleep(SECOND * 5).await;
        places.all(mode);
    }
    while let Some(done) = clients.join_next().await {
        done.unwrap();
    }
    println!("at most {} at the same time", most.load(Ordering::Acquire));
    // Who comes to a place first may have a part of what others have elsewhere.
    assert!((9..=9 + 3).contains(&most.load(Ordering::Acquire)));
    places.check();
}

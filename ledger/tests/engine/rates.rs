//! Requests and tokens in a minute, and requests at the same time, across gateways.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use turnpike_ledger::{
    account::{AccountSpec, Outage, Unit},
    engine::{Cause, Used},
};

use crate::{
    fleet::{Fleet, Gateway, Rng, Terms},
    world::Mode,
};

const MS: Duration = Duration::from_millis(1);
const NOTHING: Used = Used { nano_usd: 0, tokens: 0 };

/// The most that any 60 seconds hold of what happened at these times.
pub(crate) fn most_in_a_minute(times: &[(Duration, i64)]) -> i64 {
    let within = |end: Duration| times.iter().filter(move |(at, _)| *at <= end && *at + MS * 60_000 > end);
    times.iter().map(|(end, _)| within(*end).map(|(_, amount)| amount).sum()).max().unwrap_or(0)
}

/// One request after the other until `end`; returns when they passed.
pub(crate) async fn keep_asking(
    gateway: Gateway,
    account: Arc<AccountSpec>,
    end: Duration,
    lasts: Duration,
) -> Vec<(Duration, i64)> {
    let began = Instant::now();
    let mut passed = Vec::new();
    while began.elapsed() < end {
        match gateway.reserve(&account, 1).await {
            Ok(hold) => {
                passed.push((began.elapsed(), 1));
                sleep(lasts).await;
                gateway.settle(hold, NOTHING);
            }
            Err(refusal) => {
                assert_eq!(refusal.cause, Cause::Exhausted);
                sleep(MS * 50).await;
            }
        }
    }
    passed
}

#[tokio::test(start_paused = true)]
async fn a_single_client_gets_its_whole_rate_of_one_of_three_gateways() {
    for rpm in [3, 60, 600] {
        let fleet = Fleet::new(3);
        let account = Terms::rate(Unit::Requests, rpm).account();
        let passed = keep_asking(fleet.first().clone(), account, MS * 600_000, MS * 10).await;
        let count = i64::try_from(passed.len()).unwrap();
        println!("{rpm} a minute: {count} in 10 minutes, {} exchanges", fleet.world.lock().exchanges);
        assert!(count >= rpm * 10 * 95 / 100, "{rpm} a minute: {count} in 10 minutes");
        assert!(most_in_a_minute(&passed) <= rpm, "{rpm}");
        fleet.check();
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_last_long_count_from_their_admission() {
    let fleet = Fleet::new(3);
    let account = Terms::rate(Unit::Requests, 60).account();
    let mut clients = JoinSet::new();
    for _ in 0..100 {
        clients.spawn(keep_asking(fleet.first().clone(), Arc::clone(&account), MS * 600_000, MS * 45_000));
    }
    let mut passed = Vec::new();
    while let Some(some) = clients.join_next().await {
        passed.extend(some.unwrap());
    }
    assert!(passed.len() >= 570, "{}", passed.len());
    assert!(most_in_a_minute(&passed) <= 60);
}

/// Clients come and go at all gateways; some requests are not sent after all.
#[tokio::test(start_paused = true)]
async fn no_minute_holds_more_than_the_rate() {
    for seed in 0..10 {
        let fleet = Fleet::new(3);
        let account = Terms::rate(Unit::Requests, 30).account();
        let times = Arc::new(Mutex::new(Vec::new()));
        let mut clients = JoinSet::new();
        let began = Instant::now();
        for i in 0..12 {
            let (gateway, account) = (fleet.gateways[i % 3].clone(), Arc::clone(&account));
            let (times, mut rng) = (Arc::clone(&times), Rng(seed * 100 + u64::try_from(i).unwrap()));
            clients.spawn(async move {
                while began.elapsed() < MS * 400_000 {
                    sleep(MS * u32::try_from(1 + rng.below(20_000)).unwrap()).await;
                    for _ in 0..rng.below(10) {
                        let Ok(hold) = gateway.reserve(&account, 1).await else { continue };
                        let at = began.elapsed();
                        sleep(MS * u32::try_from(rng.below(700)).unwrap()).await;
                        if !rng.one_in(4) {
                            times.lock().unwrap().push((at, 1));
                            gateway.settle(hold, NOTHING);
                        }
                    }
                }
            });
        }
        while let Some(done) = clients.join_next().await {
            done.unwrap();
        }
        let times = times.lock().unwrap();
        assert!(most_in_a_minute(&times) <= 30, "seed {seed}: {}", most_in_a_minute(&times));
        assert!(times.len() > 100, "seed {seed}: {}", times.len());
        fleet.check();
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_says_no_at_once() {
    let fleet = Fleet::new(3);
    let account = Terms::rate(Unit::Requests, 2).account();
    let _held =
        [fleet.first().reserve(&account, 1).await.unwrap(), fleet.gateways[1].reserve(&account, 1).await.unwrap()];
    for gateway in &fleet.gateways {
        for _ in 0..5 {
            let began = Instant::now();
            let refusal = gateway.reserve(&account, 1).await.unwrap_err();
            assert_eq!((refusal.cause, refusal.retry_after), (Cause::Exhausted, Some(MS * 30_000)));
            assert!(began.elapsed() <= MS * 5, "{:?}", began.elapsed());
        }
    }
}

/// More tokens than estimated: the next requests find so much less, and not twice as much.
#[tokio::test(start_paused = true)]
async fn tokens_are_counted_as_they_were() {
    let fleet = Fleet::new(2);
    let account = Terms::rate(Unit::Tokens, 1000).account();
    for (estimate, tokens) in [(100, 300), (300, 100), (100, 200), (50, 0)] {
        let hold = fleet.first().reserve(&account, estimate).await.unwrap();
        fleet.first().settle(hold, Used { nano_usd: 0, tokens });
    }
    sleep(MS * 3000).await;
    assert_eq!(fleet.world.booked(&account.id), 600);
    assert_eq!(fleet.gateways[1].reserve(&account, 401).await.unwrap_err().cause, Cause::Exhausted);
    let hold = fleet.gateways[1].reserve(&account, 400).await.unwrap();
    fleet.gateways[1].settle(hold, Used { nano_usd: 0, tokens: 900 });
    sleep(MS * 30_000).await;
    assert_eq!(fleet.first().reserve(&account, 1).await.unwrap_err().spent, 1500);
    // All of it is over a minute old.
    sleep(MS * 33_000).await;
    fleet.gateways[1].reserve(&account, 1000).await.unwrap();
    fleet.check();
}

#[tokio::test(start_paused = true)]
async fn no_more_than_so_many_requests_are_under_way_and_all_places_are_used() {
    for seed in 0..10 {
        let fleet = Fleet::new(3);
        let account = Terms::rate(Unit::Parallel, 10).account();
        let (now, most) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
        let mut clients = JoinSet::new();
        for i in 0..40 {
            let (gateway, account) = (fleet.gateways[i % 3].clone(), Arc::clone(&account));
            let (now, most, mut rng) =
                (Arc::clone(&now), Arc::clone(&most), Rng(seed * 100 + u64::try_from(i).unwrap()));
            clients.spawn(async move {
                for _ in 0..50 {
                    let lasts = MS * u32::try_from(rng.below(300)).unwrap();
                    let Ok(hold) = gateway.reserve(&account, 1).await else {
                        sleep(lasts).await;
                        continue;
                    };
                    most.fetch_max(now.fetch_add(1, Ordering::AcqRel) + 1, Ordering::AcqRel);
                    sleep(lasts).await;
                    now.fetch_sub(1, Ordering::AcqRel);
                    if rng.one_in(2) { drop(hold) } else { gateway.settle(hold, NOTHING) }
                }
            });
        }
        while let Some(done) = clients.join_next().await {
            done.unwrap();
        }
        assert_eq!(most.load(Ordering::Acquire), 10, "seed {seed}");
        // One gateway alone gets all places: the others give theirs back when they hear that there are no more.
        let (mut holds, began) = (Vec::new(), Instant::now());
        while holds.len() < 10 {
            assert!(began.elapsed() < MS * 2000, "seed {seed}: {}", holds.len());
            match fleet.first().reserve(&account, 1).await {
                Ok(hold) => holds.push(hold),
                Err(_) => sleep(MS * 50).await,
            }
        }
        assert_eq!(fleet.gateways[1].reserve(&account, 1).await.unwrap_err().cause, Cause::Exhausted);
        fleet.check();
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_store_each_gateway_counts_for_itself() {
    let fleet = Fleet::new(2);
    let terms = |unit, limit| Terms { outage: Outage::Allow(limit), ..Terms::rate(unit, limit) }.account();
    let (requests, parallel) = (terms(Unit::Requests, 5), terms(Unit::Parallel, 3));
    fleet.world.set(Mode::Silent);
    for gateway in &fleet.gateways {
        for _ in 0..3 {
            let mut passed = 0;
            while let Ok(hold) = gateway.reserve(&requests, 1).await {
                passed += 1;
                gateway.settle(hold, NOTHING);
            }
            assert_eq!(passed, 5, "in each minute");
            sleep(MS * 60_000).await;
        }
        for _ in 0..3 {
            let mut holds = Vec::new();
            while let Ok(hold) = gateway.reserve(&parallel, 1).await {
                holds.push(hold);
            }
            assert_eq!(holds.len(), 3, "at the same time");
        }
    }
}

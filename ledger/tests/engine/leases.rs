//! What is leased comes back, whatever becomes of gateways, limits and leases.

use std::time::Duration;

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use turnpike_ledger::engine::Cause;

use crate::{
    fleet::{Fleet, Gateway, Terms, USD, limited},
    world::Mode,
};

const MS: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn an_account_that_nobody_uses_leaves_memory_and_comes_back_right() {
    let fleet = Fleet::new(1);
    let account = Terms { limit: 100, ..Terms::default() }.account();
    let rate = Terms::rate(turnpike_ledger::account::Unit::Requests, 100).account();
    for account in [&account, &rate] {
        let hold = fleet.first().reserve(account, 1).await.unwrap();
        fleet.first().pay(hold, 1);
        assert!(fleet.first().ledger.affordable(account).is_some());
    }
    assert_eq!(fleet.first().ledger.accounts(), 2);
    sleep(MS * 62_000).await;
    assert_eq!(fleet.first().ledger.accounts(), 1, "what was used of the rate may still count");
    sleep(MS * 3_000).await;
    assert_eq!(fleet.first().ledger.accounts(), 0);
    assert_eq!(fleet.world.outstanding(&account.id), 0);
    assert_eq!(fleet.first().ledger.affordable(&account), None);
    let exchanges = fleet.world.lock().exchanges;
    sleep(MS * 1000).await;
    assert_eq!(fleet.first().ledger.affordable(&account), Some(99), "asking has the store asked");
    assert_eq!(fleet.first().reserve(&account, 100).await.unwrap_err().cause, Cause::Exhausted);
    fleet.first().reserve(&account, 99).await.unwrap();
    sleep(MS * 120_000).await;
    assert_eq!(fleet.first().ledger.accounts(), 0);
    assert!(fleet.world.lock().exchanges - exchanges < 60, "nothing is said of what nobody uses");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_lasts_long_keeps_its_account() {
    let fleet = Fleet::new(1);
    let account = Terms { limit: 100, ..Terms::default() }.account();
    let hold = fleet.first().reserve(&account, 60).await.unwrap();
    sleep(MS * 600_000).await;
    assert_eq!(fleet.world.outstanding(&account.id), 60);
    fleet.first().pay(hold, 10);
    fleet.booked().await;
    sleep(MS * 1000).await;
    assert_eq!(fleet.world.outstanding(&account.id), 0);
    fleet.first().reserve(&account, 90).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_restored_store_is_told_what_long_requests_hold_before_it_grants_again() {
    let fleet = Fleet::new(2);
    let account = Terms { limit: 100, ..Terms::default() }.account();
    let hold = fleet.first().reserve(&account, 100).await.unwrap();
    sleep(MS * 60_000).await;
    fleet.world.set(Mode::Refuses);
    sleep(MS * 5_100).await;
    fleet.world.lock().accounts.clear();
    fleet.world.set(Mode::Suspended);
    sleep(MS * 10_000).await;
    fleet.world.set(Mode::Up);
    assert_eq!(fleet.gateways[1].reserve(&account, 1).await.unwrap_err().cause, Cause::Exhausted);
    fleet.first().pay(hold, 60);
    fleet.booked().await;
    sleep(MS * 1000).await;
    fleet.gateways[1].reserve(&account, 40).await.unwrap();
    fleet.check();
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_others_gave_up_is_noticed_and_replaced() {
    let fleet = Fleet::new(2);
    let account = Terms { limit: 100, ..Terms::default() }.account();
    let hold = fleet.first().reserve(&account, 40).await.unwrap();
    sleep(MS * 10).await;
    fleet.world.lock().cut_off.insert(fleet.first().holder);
    // 30 s a request, 60 s more, and the 30 s between two looks.
    sleep(MS * 125_000).await;
    assert!(fleet.world.booked(&account.id) >= 40, "what it may have used is booked");
    fleet.gateways[1].reserve(&account, 20).await.unwrap();
    fleet.world.lock().cut_off.clear();
    sleep(MS * 10_000).await;
    fleet.first().pay(hold, 15);
    fleet.booked().await;
    let lost = fleet.world.booked(&account.id);
    assert!((40..=80).contains(&lost), "a late row is taken from what was booked for it: {lost}");
    let more = fleet.first().reserve(&account, 100 - lost).await.unwrap();
    assert_eq!(fleet.first().reserve(&account, 1).await.unwrap_err().cause, Cause::Exhausted);
    drop(more);
    fleet.check();
}

#[tokio::test(start_paused = true)]
async fn whoever_may_hold_a_request_for_longer_is_waited_for_that_long() {
    let fleet = Fleet::new(2);
    let account = Terms { limit: 100, ..Terms::default() }.account();
    fleet.first().ledger.requests_may_take(Duration::from_mins(5));
    fleet.first().ledger.requests_may_take(Duration::from_mins(1));
    let _hold = fleet.first().reserve(&account, 40).await.unwrap();
    sleep(MS * 10_000).await;
    fleet.world.lock().cut_off.insert(fleet.first().holder);
    sleep(MS * 350_000).await;
    assert_eq!(fleet.world.booked(&account.id), 0);
    sleep(MS * 45_000).await;
    assert!(fleet.world.booked(&account.id) >= 40);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_given_up_for_a_silence_of_the_store() {
    let mut fleet = Fleet::new(1);
    let account = Terms { limit: 100, ..Terms::default() }.account();
    let mut holds = Vec::new();
    for _ in 0..3 {
        holds.push(fleet.gateways.last().unwrap().reserve(&account, 10).await.unwrap());
        // They do nothing at the same time.
        sleep(MS * 1700).await;
        fleet.gateways.push(Gateway::new(&fleet.world));
    }
    for outage in 0..20 {
        fleet.world.set(Mode::Silent);
        // All are silent for longer than 30 s a request and 60 s more.
        sleep(MS * (100_000 + 1300 * outage)).await;
        fleet.world.set(Mode::Up);
        sleep(MS * 60_000).await;
        assert_eq!(fleet.world.booked(&account.id), 0, "they all live");
    }
    drop(holds);
    sleep(MS * 3000).await;
    fleet.first().reserve(&account, 100).await.unwrap();
    fleet.check();
}

#[tokio::test(start_paused = true)]
async fn a_lowered_limit_holds_for_the_next_request() {
    let fleet = Fleet::new(2);
    let account = Terms { limit: 1000, ..Terms::default() }.account();
    for gateway in &fleet.gateways {
        let hold = gateway.reserve(&account, 50).await.unwrap();
        gateway.pay(hold, 20);
        sleep(MS * 10).await;
    }
    fleet.booked().await;
    let at_hand = fleet.world.outstanding(&account.id);
    assert!(at_hand > 10, "{at_hand} is at hand");
    let lower = limited(&account, 45);
    for gateway in &fleet.gateways {
        assert_eq!(gateway.reserve(&lower, 6).await.unwrap_err().cause, Cause::Exhausted);
    }
    drop(fleet.first().reserve(&lower, 5).await.unwrap());
    assert!(fleet.world.outstanding(&account.id) <= 10, "what was at hand went back");
    let higher = limited(&account, 2000);
    fleet.first().reserve(&higher, 1900).await.unwrap();
    fleet.check();
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_stops_gives_all_of_it_back() {
    let fleet = Fleet::new(2);
    let account = Terms::default().account();
    for gateway in &fleet.gateways {
        let hold = gateway.reserve(&account, USD / 10).await.unwrap();
        gateway.pay(hold, 1000);
    }
    fleet.booked().await;
    assert!(fleet.world.outstanding(&account.id) > 0);
    for gateway in &fleet.gateways {
        gateway.stop().await;
    }
    assert_eq!(fleet.world.outstanding(&account.id), 0);
    assert_eq!(fleet.world.booked(&account.id), 2000);
}

#[tokio::test(start_paused = true)]
async fn a_warm_account_asks_the_store_a_few_times_a_second_however_much_it_is_used() {
    let fleet = Fleet::new(3);
    let account = Terms { limit: 1_000_000, ..Terms::default() }.account();
    let mut clients = JoinSet::new();
    for i in 0..30 {
        let (gateway, account) = (fleet.gateways[i % 3].clone(), account.clone());
        clients.spawn(async move {
            for _ in 0..1000 {
                let hold = gateway.reserve(&account, 10).await.unwrap();
                sleep(MS * 10).await;
                gateway.pay(hold, 1);
            }
        });
    }
    while let Some(done) = clients.join_next().await {
        done.unwrap();
    }
    let exchanges = fleet.world.lock().exchanges;
    println!("30,000 requests in 10 s at 3 gateways: {exchanges} exchanges");
    assert!(exchanges <= 150, "{exchanges} exchanges for 30,000 requests");
}

#[tokio::test(start_paused = true)]
async fn an_exhausted_account_is_asked_about_ten_times_a_second() {
    let fleet = Fleet::new(3);
    let account = Terms { limit: 100, ..Terms::default() }.account();
    let _held = fleet.first().reserve(&account, 95).await.unwrap();
    let spent = Terms { name: "spent", limit: 100, ..Terms::default() }.account();
    let hold = fleet.first().reserve(&spent, 100).await.unwrap();
    fleet.first().pay(hold, 100);
    fleet.booked().await;
    let (began, before) = (Instant::now(), fleet.world.lock().exchanges);
    let mut clients = JoinSet::new();
    for i in 0..60 {
        let account = if i % 2 == 0 { account.clone() } else { spent.clone() };
        let gateway = fleet.gateways[i % 3].clone();
        clients.spawn(async move {
            let mut refused = 0_u64;
            while began.elapsed() < MS * 10_000 {
                assert!(gateway.reserve(&account, 10).await.is_err());
                refused += 1;
                sleep(MS).await;
            }
            refused
        });
    }
    let mut refused = 0;
    while let Some(some) = clients.join_next().await {
        refused += some.unwrap();
    }
    let exchanges = fleet.world.lock().exchanges - before;
    println!("{refused} refusals in 10 s at 3 gateways: {exchanges} exchanges");
    assert!(exchanges <= 3 * 10 * 22, "{exchanges} exchanges for {refused} refusals");
}

//! What a request is told that does not pass, and which pass all the same.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use turnpike_ledger::{
    account::{Charge, Excess, Outage, Unit},
    engine::{Cause, Used},
};

use crate::{
    fleet::{Fleet, Terms},
    world::Mode,
};

const MS: Duration = Duration::from_millis(1);
/// 2026-04-01T00:00:00Z.
const APRIL: i64 = 1_775_001_600_000_000;

#[tokio::test(start_paused = true)]
async fn a_request_larger_than_the_limit_is_told_so_at_once() {
    let fleet = Fleet::new(1);
    let account = Terms { limit: 100, ..Terms::default() }.account();
    let began = Instant::now();
    let refusal = fleet.first().reserve(&account, 101).await.unwrap_err();
    assert_eq!((refusal.cause, refusal.needed), (Cause::TooLarge, 101));
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_what_is_spent_and_what_is_reserved() {
    let fleet = Fleet::new(2);
    let account = Terms { limit: 100, ..Terms::default() }.account();
    let hold = fleet.first().reserve(&account, 50).await.unwrap();
    fleet.first().pay(hold, 40);
    fleet.booked().await;
    let held = fleet.gateways[1].reserve(&account, 30).await.unwrap();
    let refusal = fleet.first().reserve(&account, 50).await.unwrap_err();
    assert_eq!(refusal.cause, Cause::Exhausted);
    assert_eq!((refusal.needed, refusal.spent, refusal.reserved), (50, 40, 30));
    assert_eq!((refusal.resets_at, refusal.retry_after), (Some(APRIL), None));
    assert_eq!(refusal.account.id, account.id);
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn without_the_store_what_is_leased_goes_on_and_then_requests_are_refused() {
    for mode in [Mode::Silent, Mode::Refuses, Mode::LosesReplies, Mode::Late] {
        let fleet = Fleet::new(1);
        let account = Terms { limit: 1000, ..Terms::default() }.account();
        drop(fleet.first().reserve(&account, 10).await.unwrap());
        sleep(MS * 10).await;
        fleet.world.set(mode);
        let hold = fleet.first().reserve(&account, 10).await.unwrap();
        let mut passed = 0;
        let refusal = loop {
            match fleet.first().reserve(&account, 10).await {
                Ok(hold) => fleet.first().pay(hold, 10),
                Err(refusal) => break refusal,
            }
            passed += 1;
        };
        assert!(passed < 10, "{mode:?}: a lease is not the whole limit");
        assert_eq!(refusal.cause, Cause::Unavailable, "{mode:?}");
        let began = Instant::now();
        assert_eq!(fleet.first().reserve(&account, 10).await.unwrap_err().cause, Cause::Unavailable);
        assert!(began.elapsed() < MS, "only the first wait for it");
        fleet.world.set(Mode::Up);
        // What was asked before is given up first.
        sleep(MS * 2000).await;
        drop(hold);
        drop(fleet.first().reserve(&account, 100).await.unwrap());
        sleep(MS * 60_000).await;
        assert_eq!(fleet.world.outstanding(&account.id), 0, "{mode:?}");
        assert_eq!(fleet.world.booked(&account.id), fleet.used());
        fleet.check();
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_store_so_much_passes_in_each_outage() {
    let fleet = Fleet::new(1);
    let account = Terms { limit: 1000, outage: Outage::Allow(50), ..Terms::default() }.account();
    let mut overdrawn = 0;
    for _ in 0..3 {
        fleet.world.set(Mode::Silent);
        sleep(MS * 5000).await;
        let (mut leased, mut beyond) = (0, 0);
        loop {
            match fleet.first().reserve(&account, 10).await {
                Ok(hold) => {
                    let bound = hold.bound(Used::MOST);
                    if bound[0].lease.is_some() {
                        leased += 10;
                    } else {
                        beyond += 10;
                    }
                    fleet.first().pay(hold, 10);
                }
                Err(refusal) => break assert_eq!(refusal.cause, Cause::Unavailable),
            }
        }
        assert_eq!(beyond, 50);
        assert!(leased <= 40, "{leased}");
        overdrawn += beyond;
        assert_eq!(fleet.first().ledger.overdrawn(), overdrawn);
        fleet.world.set(Mode::Up);
        fleet.booked().await;
        // What was asked before is given up first.
        sleep(MS * 2000).await;
        drop(fleet.first().reserve(&account, 10).await.unwrap());
        sleep(MS * 3000).await;
    }
    assert_eq!(fleet.world.booked(&account.id), fleet.used());
}

#[tokio::test(start_paused = true)]
async fn what_another_account_refuses_does_not_count_as_passed_beyond_a_limit() {
    let fleet = Fleet::new(1);
    let open = Terms { name: "a", limit: 1000, outage: Outage::Allow(50), ..Terms::default() }.account();
    let closed = Terms { name: "b", limit: 1000, ..Terms::default() }.account();
    fleet.world.set(Mode::Silent);
    let needs = [&open, &closed].map(|account| turnpike_ledger::engine::Need::new(Arc::clone(account), 10));
    for _ in 0..20 {
        let refusal = fleet.first().ledger.reserve(&needs, "somebody").await.unwrap_err();
        assert_eq!((&refusal.account.id, refusal.cause), (&closed.id, Cause::Unavailable));
    }
    assert_eq!(fleet.first().ledger.overdrawn(), 0);
    fleet.first().reserve(&open, 50).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_throttles_lets_so_many_pass_in_a_minute() {
    let fleet = Fleet::new(2);
    let account = Terms { limit: 100, excess: Excess::Throttle { rpm: 3 }, ..Terms::default() }.account();
    let hold = fleet.first().reserve(&account, 100).await.unwrap();
    fleet.first().pay(hold, 100);
    fleet.booked().await;
    sleep(MS * 1000).await;
    for i in 0..3 {
        let gateway = &fleet.gateways[i % 2];
        let hold = gateway.reserve(&account, 10).await.unwrap();
        gateway.pay(hold, 10);
    }
    let refusal = fleet.first().reserve(&account, 10).await.unwrap_err();
    assert_eq!((refusal.account.unit, refusal.account.limit, refusal.cause), (Unit::Requests, 3, Cause::Exhausted));
    assert_eq!(refusal.retry_after, Some(Duration::from_secs(20)));
    fleet.booked().await;
    assert_eq!(fleet.world.booked(&account.id), 130);
    sleep(MS * 62_000).await;
    fleet.first().reserve(&account, 10).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_only_tells_is_booked_and_never_asked() {
    let fleet = Fleet::new(1);
    let account = Terms { limit: 100, excess: Excess::Tell, ..Terms::default() }.account();
    for _ in 0..5 {
        let hold = fleet.first().reserve(&account, 1000).await.unwrap();
        fleet.first().pay(hold, 90);
    }
    fleet.booked().await;
    assert_eq!(fleet.world.booked(&account.id), 450);
    assert_eq!((fleet.first().ledger.accounts(), fleet.world.lock().exchanges), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_soft_limit_is_overshot_by_what_is_in_flight_and_no_more() {
    let fleet = Fleet::new(2);
    let account = Terms { limit: 100, charge: Charge::After, ..Terms::default() }.account();
    // The worst case is nobody's concern, not even one beyond the limit.
    let holds = [0, 1].map(|i| (i, fleet.gateways[i].clone()));
    for (_, gateway) in &holds {
        let hold = gateway.reserve(&account, 1000).await.unwrap();
        gateway.settle(hold, Used { nano_usd: 60, tokens: 0 });
    }
    fleet.booked().await;
    sleep(MS * 1000).await;
    for (i, gateway) in &holds {
        let refusal = gateway.reserve(&account, 1000).await.unwrap_err();
        assert_eq!((refusal.cause, refusal.spent), (Cause::Exhausted, 120), "{i}");
    }
    assert_eq!(fleet.world.booked(&account.id), 120);
}

#[tokio::test(start_paused = true)]
async fn a_hiccup_of_the_store_is_waited_out() {
    for mode in [Mode::Silent, Mode::Refuses, Mode::LosesReplies] {
        let fleet = Fleet::new(1);
        let account = Terms { limit: 100, ..Terms::default() }.account();
        fleet.world.set(mode);
        let world = fleet.world.clone();
        tokio::spawn(async move {
            sleep(MS * 700).await;
            world.set(Mode::Up);
        });
        fleet.first().reserve(&account, 100).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_may_not_grant_is_no_empty_account() {
    let fleet = Fleet::new(1);
    let account = Terms { limit: 100, ..Terms::default() }.account();
    fleet.world.set(Mode::Suspended);
    assert_eq!(fleet.first().reserve(&account, 10).await.unwrap_err().cause, Cause::Unavailable);
    fleet.world.set(Mode::Up);
    sleep(MS * 200).await;
    fleet.first().reserve(&account, 100).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_busy_refuses_nobody_and_answers_all_who_wait_at_once() {
    let fleet = Fleet::new(3);
    let account = Terms { limit: 10_000, ..Terms::default() }.account();
    fleet.world.set(Mode::Busy);
    let requests = (0..1000).map(|i| {
        let (gateway, account) = (fleet.gateways[i % 3].clone(), Arc::clone(&account));
        tokio::spawn(async move { gateway.reserve(&account, 10).await })
    });
    for request in requests.collect::<Vec<_>>() {
        drop(request.await.unwrap().unwrap());
    }
    let exchanges = fleet.first().ledger.exchanges();
    assert!(exchanges <= 4, "{exchanges}");
}

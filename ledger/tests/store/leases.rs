//! What an exchange does, and what repeated, late and lost messages of it do not do.

use turnpike_ledger::{
    account::{AccountId, Unit},
    exchange::Ask,
    store::LeaseStore as _,
};
use uuid::Uuid;

use crate::fixture::{Fixture, ask, lifetime, now, then};

on_every_store!(
    a_repeated_ask_changes_nothing,
    a_late_ask_changes_nothing,
    a_lost_reply_is_made_good_by_the_next_ask,
    what_is_given_back_can_be_had_by_others,
    asks_of_one_batch_see_each_other,
    many_accounts_are_answered_in_the_order_of_the_asks,
    what_a_holder_counts_on_is_kept_by_a_store_that_forgot_it,
    parallel_requests_are_never_booked,
    the_stores_clock_is_told,
);

async fn a_repeated_ask_changes_nothing(fixture: Fixture) {
    let mut store = fixture.open().await;
    let first = ask(Uuid::from_u128(1), 1, lifetime());
    let reply = store.ask(&first).await;
    assert_eq!((reply.granted, reply.spent, reply.others, reply.closed), (100, 0, 0, false));
    assert_eq!(store.ask(&first).await, reply);
    assert_eq!(store.balance(&first).await.reserved, 100);
}

async fn a_late_ask_changes_nothing(fixture: Fixture) {
    let (mut store, mut other) = (fixture.open().await, fixture.open().await);
    let first = ask(Uuid::from_u128(1), 1, lifetime());
    store.ask(&first).await;
    let back = then(&first, 100, 10);
    assert_eq!(store.ask(&back).await.granted, 10);
    // Over another connection, as after a reconnect.
    assert_eq!(other.ask(&first).await.granted, 10);
    assert_eq!(store.balance(&first).await.reserved, 10);
}

async fn a_lost_reply_is_made_good_by_the_next_ask(fixture: Fixture) {
    let mut store = fixture.open().await;
    let first = ask(Uuid::from_u128(1), 1, lifetime());
    store.ask(&first).await;
    // The holder did not hear of its 100, and asks for the same in all.
    let again = then(&first, 0, 100);
    assert_eq!(store.ask(&again).await.granted, 100);
    assert_eq!(store.balance(&first).await.reserved, 100);
}

async fn what_is_given_back_can_be_had_by_others(fixture: Fixture) {
    let (mut store, mut other) = (fixture.open().await, fixture.open().await);
    let greedy = Ask { target: 1000, least: 1000, ..ask(Uuid::from_u128(1), 1, lifetime()) };
    assert_eq!(store.ask(&greedy).await.granted, 1000);
    let refused = Ask { least: 50, ..ask(Uuid::from_u128(2), 1, lifetime()) };
    let reply = other.ask(&refused).await;
    assert_eq!((reply.granted, reply.others), (0, 1000));
    store.ask(&then(&greedy, 1000, 900)).await;
    let again = Ask { least: 50, ..then(&refused, 0, 100) };
    assert_eq!(other.ask(&again).await.granted, 50);
}

async fn asks_of_one_batch_see_each_other(fixture: Fixture) {
    let mut store = fixture.open().await;
    let holder = Uuid::from_u128(1);
    let batch: Vec<Ask> =
        (1..=3).map(|number| Ask { target: 600, least: 600, ..ask(holder, number, lifetime()) }).collect();
    let answers = store.exchange(&batch).await.unwrap();
    let granted: Vec<i64> = answers.replies.iter().map(|reply| reply.granted).collect();
    assert_eq!(granted, [600, 0, 0]);
    // One lease twice in a batch: the second goes on from the first.
    let twice = [then(&batch[0], 600, 500), Ask { sequence: 3, ..then(&batch[0], 500, 400) }];
    let granted: Vec<i64> = store.exchange(&twice).await.unwrap().replies.iter().map(|reply| reply.granted).collect();
    assert_eq!(granted, [500, 400]);
}

async fn many_accounts_are_answered_in_the_order_of_the_asks(fixture: Fixture) {
    let mut store = fixture.open().await;
    let holder = Uuid::from_u128(1);
    let batch: Vec<Ask> = (0..20_u64)
        .map(|n| Ask {
            account: AccountId::from_stored(&format!("account {}", 19 - n)),
            target: 10 + i64::try_from(n).unwrap(),
            ..ask(holder, n, lifetime())
        })
        .collect();
    for _ in 0..2 {
        let answers = store.exchange(&batch).await.unwrap();
        let granted: Vec<i64> = answers.replies.iter().map(|reply| reply.granted).collect();
        assert_eq!(granted, (10..30).collect::<Vec<i64>>());
    }
}

async fn what_a_holder_counts_on_is_kept_by_a_store_that_forgot_it(fixture: Fixture) {
    let mut store = fixture.open().await;
    let told = Ask { sequence: 7, held: 400, target: 400, ..ask(Uuid::from_u128(1), 1, lifetime()) };
    assert_eq!(store.ask(&told).await.granted, 400);
    assert_eq!(store.balance(&told).await.reserved, 400);
}

async fn parallel_requests_are_never_booked(fixture: Fixture) {
    let mut store = fixture.open().await;
    let holder = Uuid::from_u128(1);
    let permits = Ask { unit: Unit::Parallel, limit: 10, target: 4, least: 1, ..ask(holder, 1, lifetime()) };
    assert_eq!(store.ask(&permits).await.granted, 2, "a fair share of ten");
    store.beat(holder, std::time::Duration::ZERO).await.unwrap();
    fixture.silence(61).await;
    assert_eq!(store.reap().await.unwrap(), 1);
    let balance = store.balance(&permits).await;
    assert_eq!((balance.spent, balance.reserved), (0, 0));
}

async fn the_stores_clock_is_told(fixture: Fixture) {
    let mut store = fixture.open().await;
    let before = now();
    let answers = store.exchange(&[ask(Uuid::from_u128(1), 1, lifetime())]).await.unwrap();
    let beaten = store.beat(Uuid::from_u128(1), std::time::Duration::from_mins(1)).await.unwrap();
    // The database is on this machine.
    assert!(before <= answers.now && answers.now <= beaten && beaten <= now());
}

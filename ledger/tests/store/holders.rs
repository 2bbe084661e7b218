//! Holders that end, are lost, and come back.

use std::time::Duration;

use turnpike_ledger::{exchange::Ask, spend_log::SpendStore as _, store::LeaseStore as _};
use uuid::Uuid;

use crate::fixture::{Fixture, Store, ask, lifetime, row, then};

on_every_store!(
    a_silent_holder_is_given_up_and_what_it_held_is_booked,
    a_holder_that_beats_is_not_given_up,
    a_holder_that_never_beat_is_given_up_too,
    late_rows_eat_up_what_was_unattributed,
    an_admin_takes_back_what_was_unattributed,
    after_recovery_what_was_not_used_is_free,
    recovery_after_giving_up_takes_back_the_rest,
    an_ask_that_arrives_after_recovery_gets_nothing,
    a_holder_that_comes_back_is_told_that_its_lease_is_closed,
    unattributed_amounts_are_rows_of_the_log,
);

const LONGEST: Duration = Duration::from_secs(100);

fn holder() -> Uuid {
    Uuid::from_u128(1)
}

/// A lease of 100, of which a row has told 30.
async fn used(store: &mut Store) -> Ask {
    store.beat(holder(), LONGEST).await.unwrap();
    let lease = ask(holder(), 1, lifetime());
    store.ask(&lease).await;
    store.append(&[row(&lease, 1, 30)]).await.unwrap();
    lease
}

async fn standing(store: &mut Store, lease: &Ask) -> (i64, i64) {
    let balance = store.balance(lease).await;
    (balance.spent, balance.reserved)
}

async fn a_silent_holder_is_given_up_and_what_it_held_is_booked(fixture: Fixture) {
    let mut store = fixture.open().await;
    let lease = used(&mut store).await;
    fixture.silence(159).await;
    assert_eq!(store.reap().await.unwrap(), 0);
    assert_eq!(standing(&mut store, &lease).await, (30, 70));
    fixture.silence(2).await;
    assert_eq!(store.reap().await.unwrap(), 1);
    assert_eq!(standing(&mut store, &lease).await, (100, 0));
    assert_eq!(store.reap().await.unwrap(), 0);
    assert_eq!(standing(&mut store, &lease).await, (100, 0));
}

async fn a_holder_that_beats_is_not_given_up(fixture: Fixture) {
    let mut store = fixture.open().await;
    let lease = used(&mut store).await;
    fixture.silence(1000).await;
    store.beat(holder(), LONGEST).await.unwrap();
    assert_eq!(store.reap().await.unwrap(), 0);
    assert_eq!(standing(&mut store, &lease).await, (30, 70));
}

async fn a_holder_that_never_beat_is_given_up_too(fixture: Fixture) {
    let mut store = fixture.open().await;
    let lease = ask(holder(), 1, lifetime());
    store.ask(&lease).await;
    assert_eq!(store.reap().await.unwrap(), 0);
    fixture.silence(661).await;
    assert_eq!(store.reap().await.unwrap(), 1);
    assert_eq!(standing(&mut store, &lease).await, (100, 0));
}

async fn late_rows_eat_up_what_was_unattributed(fixture: Fixture) {
    let mut store = fixture.open().await;
    let lease = used(&mut store).await;
    fixture.silence(161).await;
    store.reap().await.unwrap();
    store.append(&[row(&lease, 2, 50)]).await.unwrap();
    assert_eq!(standing(&mut store, &lease).await, (100, 0));
    assert_eq!(fixture.numbers("SELECT unattributed FROM ledger_lease").await, [20]);
    // More than it held: its bound was exceeded, and is booked in full.
    store.append(&[row(&lease, 3, 25)]).await.unwrap();
    assert_eq!(standing(&mut store, &lease).await, (105, 0));
}

async fn an_admin_takes_back_what_was_unattributed(fixture: Fixture) {
    let mut store = fixture.open().await;
    let lease = used(&mut store).await;
    fixture.silence(161).await;
    store.reap().await.unwrap();
    let all = store.unattributed().await;
    let told: Vec<_> = all.iter().map(|one| (one.lease, &one.account, one.amount)).collect();
    assert_eq!(told, [(lease.lease, &lease.account, 70)]);
    assert_eq!(store.void(lease.lease).await.unwrap(), 70);
    assert_eq!(store.unattributed().await, []);
    assert_eq!(standing(&mut store, &lease).await, (30, 0));
    assert_eq!(store.void(lease.lease).await.unwrap(), 0);
    assert_eq!(standing(&mut store, &lease).await, (30, 0));
    // What is told of it afterwards is spent.
    store.append(&[row(&lease, 2, 5)]).await.unwrap();
    assert_eq!(standing(&mut store, &lease).await, (35, 0));
}

async fn after_recovery_what_was_not_used_is_free(fixture: Fixture) {
    let mut store = fixture.open().await;
    let lease = used(&mut store).await;
    store.close(holder()).await.unwrap();
    assert_eq!(standing(&mut store, &lease).await, (30, 0));
    fixture.silence(1000).await;
    assert_eq!(store.reap().await.unwrap(), 0, "nothing is left to give up");
    assert_eq!(standing(&mut store, &lease).await, (30, 0));
}

async fn an_ask_that_arrives_after_recovery_gets_nothing(fixture: Fixture) {
    let mut store = fixture.open().await;
    let lease = used(&mut store).await;
    store.close(holder()).await.unwrap();
    let first = ask(holder(), 2, lifetime());
    let reply = store.ask(&first).await;
    assert_eq!((reply.granted, reply.closed), (0, true));
    let reply = store.ask(&then(&lease, 100, 200)).await;
    assert_eq!((reply.granted, reply.closed), (30, true));
    assert_eq!(standing(&mut store, &lease).await, (30, 0));
    // A row that was recovered twice over, and what is kept of it all, a day later.
    store.append(&[row(&first, 1, 30), row(&first, 2, 5)]).await.unwrap();
    let day = 86_500_000_000_i64;
    for _ in 0..2 {
        fixture.sql(&format!("UPDATE ledger_lease SET changed = changed - {day}")).await;
        fixture.sql(&format!("UPDATE ledger_holder SET heard = heard - {day}")).await;
        store.reap().await.unwrap();
    }
    assert_eq!(fixture.numbers("SELECT count(*) FROM ledger_lease").await, [0]);
    assert_eq!(fixture.numbers("SELECT count(*) FROM ledger_holder").await, [0]);
    assert_eq!(standing(&mut store, &lease).await, (35, 0));
}

async fn recovery_after_giving_up_takes_back_the_rest(fixture: Fixture) {
    let mut store = fixture.open().await;
    let lease = used(&mut store).await;
    fixture.silence(161).await;
    store.reap().await.unwrap();
    // The pod's disk came back: its files tell of 15 more, and that this is all.
    store.append(&[row(&lease, 2, 15)]).await.unwrap();
    store.close(holder()).await.unwrap();
    assert_eq!(standing(&mut store, &lease).await, (45, 0));
}

async fn a_holder_that_comes_back_is_told_that_its_lease_is_closed(fixture: Fixture) {
    let mut store = fixture.open().await;
    let lease = used(&mut store).await;
    fixture.silence(161).await;
    store.reap().await.unwrap();
    store.beat(holder(), LONGEST).await.unwrap();
    let reply = store.ask(&then(&lease, 100, 500)).await;
    assert_eq!((reply.granted, reply.closed), (100, true));
    let anew = ask(holder(), 2, lifetime());
    assert_eq!(store.ask(&anew).await.granted, 100);
}

async fn unattributed_amounts_are_rows_of_the_log(fixture: Fixture) {
    let mut store = fixture.open().await;
    let lease = used(&mut store).await;
    fixture.silence(161).await;
    store.reap().await.unwrap();
    let amount = match fixture {
        Fixture::Postgres(_) => "(metadata->>'unattributed')::bigint",
        Fixture::Sqlite(_) => "json_extract(metadata, '$.unattributed')",
    };
    for view in ["spend", "litellm_logs"] {
        let sql = format!("SELECT {amount} FROM {view} WHERE outcome = 'unattributed'");
        assert_eq!(fixture.numbers(&sql).await, [70], "{view}");
    }
    store.void(lease.lease).await.unwrap();
    assert_eq!(fixture.numbers("SELECT count(*) FROM spend").await, [1]);
}

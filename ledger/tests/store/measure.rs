//! What an exchange and a batch take, for people: `cargo test -p turnpike-ledger --test store measure -- --ignored --nocapture`.

use std::time::Duration;

use tokio::time::Instant;
use turnpike_ledger::{
    account::AccountId,
    exchange::Ask,
    spend_log::{Posting, SpendRow, SpendStore as _},
    store::LeaseStore as _,
};
use uuid::Uuid;

use crate::fixture::{Fixture, ask, lifetime, plain, then};

const ROUNDS: usize = 200;
const ACCOUNTS: u64 = 5;

fn asks() -> Vec<Ask> {
    let account = |n| AccountId::from_stored(&format!("account {n}"));
    let ask = |n| Ask { account: account(n), limit: i64::MAX / 2, ..ask(Uuid::from_u128(1), n, lifetime()) };
    (0..ACCOUNTS).map(ask).collect()
}

fn middle(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

async fn measure(name: &str, fixture: Fixture) {
    let (mut store, mut writer) = (fixture.open().await, fixture.open().await);
    let mut asks = asks();
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        let begun = Instant::now();
        let answers = store.exchange(&asks).await.unwrap();
        times.push(begun.elapsed());
        let next =
            |(ask, reply): (&Ask, &turnpike_ledger::exchange::Reply)| then(ask, reply.granted, reply.granted + 10);
        asks = asks.iter().zip(&answers.replies).map(next).collect();
        assert!(answers.replies.iter().all(|reply| reply.granted >= 10 * i64::try_from(round).unwrap()));
    }
    let (half, most) = middle(times);
    println!("{name}: exchange of {ACCOUNTS} accounts: median {half:?}, 99 % {most:?}");
    let mut times = Vec::new();
    for batch in 0..20_u64 {
        let postings: Vec<Posting> = asks
            .iter()
            .map(|ask| Posting { account: ask.account.clone(), lease: Some(ask.lease.number), slot: 0, amount: 1 })
            .collect();
        let row = |n| SpendRow { postings: postings.clone().into(), ..plain(Uuid::from_u128(1), batch * 1000 + n) };
        let rows: Vec<SpendRow> = (0..1000).map(row).collect();
        let begun = Instant::now();
        assert_eq!(writer.append(&rows).await.unwrap(), 1000);
        times.push(begun.elapsed());
    }
    let (half, most) = middle(times);
    println!("{name}: 1,000 rows of {ACCOUNTS} postings: median {half:?}, 99 % {most:?}");
}

#[tokio::test]
#[ignore = "a measurement"]
async fn on_sqlite() {
    measure("SQLite", Fixture::sqlite()).await;
}

/// With as much beside as a busy cluster has: 100,000 accounts, three leases each.
#[tokio::test]
#[ignore = "a measurement"]
async fn on_postgres_full() {
    let fixture = Fixture::postgres().await;
    drop(fixture.open().await);
    let fill = "INSERT INTO ledger_account (id, until) SELECT 'other ' || n, 9e18 FROM generate_series(1, 100000) n;
        INSERT INTO ledger_spent SELECT key, 0, 7 FROM ledger_account;
        INSERT INTO ledger_lease SELECT lpad(h::text, 32, '0')::uuid, key, key, 0, 0, 0, 9, 1, 1, 0, 0, false, false, 0
        FROM ledger_account, generate_series(5, 7) h;
        ANALYZE";
    fixture.sql(fill).await;
    measure("PostgreSQL, 300,000 leases", fixture).await;
}

#[tokio::test]
#[ignore = "a measurement"]
async fn on_postgres() {
    measure("PostgreSQL", Fixture::postgres().await).await;
}

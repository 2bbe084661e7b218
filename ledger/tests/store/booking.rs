//! Rows are booked once, whatever is repeated.

use turnpike_ledger::{
    account::AccountId,
    exchange::Ask,
    spend_log::{Posting, SpendRow, SpendStore as _},
    store::LeaseStore as _,
};
use uuid::Uuid;

use crate::fixture::{Fixture, ask, lifetime, plain, row, then};

on_every_store!(
    a_row_moves_its_amount_from_reserved_to_spent,
    a_repeated_batch_books_nothing,
    only_the_new_rows_of_a_batch_are_booked,
    postings_without_a_lease_are_spent_at_once,
    a_row_that_comes_before_its_lease_is_not_counted_twice,
    more_than_the_hold_is_booked_in_full,
    a_finished_lease_waits_for_its_rows,
    sums_of_days_count_new_rows_only,
    old_rows_are_forgotten_and_their_sums_kept,
    odd_texts_are_kept_and_read_back,
    no_text_that_a_client_chose_holds_up_a_batch,
);

async fn a_row_moves_its_amount_from_reserved_to_spent(fixture: Fixture) {
    let (mut store, mut writer) = (fixture.open().await, fixture.open().await);
    let lease = ask(Uuid::from_u128(1), 1, lifetime());
    store.ask(&lease).await;
    assert_eq!(writer.append(&[row(&lease, 1, 30), row(&lease, 2, 5)]).await.unwrap(), 2);
    let balance = store.balance(&lease).await;
    assert_eq!((balance.spent, balance.reserved), (35, 65));
    let reply = store.ask(&then(&lease, 100, 100)).await;
    assert_eq!((reply.granted, reply.spent), (100, 35));
}

async fn a_repeated_batch_books_nothing(fixture: Fixture) {
    let mut store = fixture.open().await;
    let lease = ask(Uuid::from_u128(1), 1, lifetime());
    store.ask(&lease).await;
    let rows: Vec<SpendRow> = (0..20).map(|n| row(&lease, n, 2)).collect();
    assert_eq!(store.append(&rows).await.unwrap(), 20);
    // From a write-ahead file, by another process.
    assert_eq!(fixture.open().await.append(&rows).await.unwrap(), 0);
    assert_eq!(store.append(&rows).await.unwrap(), 0);
    let balance = store.balance(&lease).await;
    assert_eq!((balance.spent, balance.reserved), (40, 60));
}

async fn only_the_new_rows_of_a_batch_are_booked(fixture: Fixture) {
    let mut store = fixture.open().await;
    let lease = ask(Uuid::from_u128(1), 1, lifetime());
    store.ask(&lease).await;
    store.append(&[row(&lease, 2, 1)]).await.unwrap();
    let batch = [row(&lease, 3, 10), row(&lease, 2, 1), row(&lease, 1, 20), row(&lease, 1, 20)];
    assert_eq!(store.append(&batch).await.unwrap(), 2);
    assert_eq!(store.balance(&lease).await.spent, 31);
    assert_eq!(fixture.numbers("SELECT count(*) FROM spend").await, [3]);
}

async fn postings_without_a_lease_are_spent_at_once(fixture: Fixture) {
    let mut store = fixture.open().await;
    let lease = ask(Uuid::from_u128(1), 1, lifetime());
    let posting = Posting { account: lease.account.clone(), lease: None, slot: 0, amount: 12 };
    let row = SpendRow { postings: [posting.clone(), posting].into(), ..plain(Uuid::from_u128(1), 1) };
    store.append(&[row]).await.unwrap();
    let balance = store.balance(&lease).await;
    assert_eq!((balance.spent, balance.reserved), (24, 0));
}

async fn a_row_that_comes_before_its_lease_is_not_counted_twice(fixture: Fixture) {
    let mut store = fixture.open().await;
    let lease = ask(Uuid::from_u128(1), 1, lifetime());
    // The store was restored: it knows nothing of the lease until its holder tells.
    store.append(&[row(&lease, 1, 30)]).await.unwrap();
    let told = Ask { sequence: 9, held: 100, target: 100, ..lease.clone() };
    assert_eq!(store.ask(&told).await.granted, 100);
    let balance = store.balance(&lease).await;
    assert_eq!((balance.spent, balance.reserved), (30, 70));
}

async fn more_than_the_hold_is_booked_in_full(fixture: Fixture) {
    let mut store = fixture.open().await;
    let lease = ask(Uuid::from_u128(1), 1, lifetime());
    store.ask(&lease).await;
    store.append(&[row(&lease, 1, 1500)]).await.unwrap();
    let balance = store.balance(&lease).await;
    assert_eq!((balance.spent, balance.reserved), (1500, 0));
    assert_eq!(store.ask(&then(&lease, 100, 2000)).await.granted, 1500, "what is spent, and nothing more");
}

async fn a_finished_lease_waits_for_its_rows(fixture: Fixture) {
    let mut store = fixture.open().await;
    let lease = ask(Uuid::from_u128(1), 1, lifetime());
    store.ask(&lease).await;
    let last = Ask { last: true, ..then(&lease, 100, 60) };
    store.ask(&last).await;
    fixture.sql("UPDATE ledger_lease SET changed = 0").await;
    store.reap().await.unwrap();
    assert_eq!(store.balance(&lease).await.reserved, 60);
    store.append(&[row(&lease, 1, 60)]).await.unwrap();
    fixture.sql("UPDATE ledger_lease SET changed = 0").await;
    store.reap().await.unwrap();
    assert_eq!(fixture.numbers("SELECT count(*) FROM ledger_lease").await, [0]);
    let balance = store.balance(&lease).await;
    assert_eq!((balance.spent, balance.reserved), (60, 0));
}

async fn sums_of_days_count_new_rows_only(fixture: Fixture) {
    let mut store = fixture.open().await;
    let holder = Uuid::from_u128(1);
    let mut rows: Vec<SpendRow> = (0..4).map(|n| plain(holder, n)).collect();
    for _ in 0..2 {
        store.append(&rows).await.unwrap();
    }
    rows.push(SpendRow { outcome: "rate_limit", cost_nano: None, team: None, ..plain(holder, 4) });
    store.append(&rows).await.unwrap();
    let sum = |what: &str, kind: &str| format!("SELECT sum({what})::bigint FROM spend_daily WHERE kind = '{kind}'");
    let sum = |what: &str, kind: &str| match fixture {
        Fixture::Postgres(_) => sum(what, kind),
        Fixture::Sqlite(_) => sum(what, kind).replace("::bigint", ""),
    };
    for kind in ["key", "user", "tag"] {
        assert_eq!(fixture.numbers(&sum("requests", kind)).await, [5], "{kind}");
        assert_eq!(fixture.numbers(&sum("failures", kind)).await, [1], "{kind}");
        assert_eq!(fixture.numbers(&sum("cost_nano", kind)).await, [6_000_000], "{kind}");
    }
    assert_eq!(fixture.numbers(&sum("prompt_tokens", "team")).await, [4000]);
}

async fn old_rows_are_forgotten_and_their_sums_kept(fixture: Fixture) {
    let holder = Uuid::from_u128(1);
    let mut rows: Vec<SpendRow> = (0..10).map(|n| plain(holder, n)).collect();
    for (row, days) in rows.iter_mut().zip(0..) {
        row.started_at_us -= days * 86_400_000_000;
    }
    fixture.open().await.append(&rows).await.unwrap();
    let mut store = fixture.open().await.keeping(3);
    store.append(&[plain(holder, 100)]).await.unwrap();
    assert_eq!(fixture.numbers("SELECT count(*) FROM spend").await, [5], "today and three days");
    assert_eq!(fixture.numbers("SELECT count(*) FROM spend_daily WHERE kind = 'key'").await, [10]);
}

async fn odd_texts_are_kept_and_read_back(fixture: Fixture) {
    let mut store = fixture.open().await;
    let holder = Uuid::from_u128(1);
    let odd = "tab\there\nline\r\\N back\\slash 'quote' \u{1f980}";
    let mut row = plain(holder, 1);
    (row.team, row.end_user) = (Some(odd.into()), Some("nul\0byte".into()));
    // Well-formed, but no characters: half of a pair, and NUL.
    row.metadata = Some(r#"{"variant":"\u0000x"}"#.into());
    let mut half = plain(holder, 2);
    half.metadata = Some(r#"{"variant":"\ud800"}"#.into());
    let mut broken = plain(holder, 3);
    (broken.metadata, broken.tags) = (Some("{".into()), Some("nonsense".into()));
    assert_eq!(store.append(&[row, half, broken]).await.unwrap(), 3);
    let same = format!("SELECT count(*) FROM spend WHERE team = '{}'", odd.replace('\'', "''"));
    assert_eq!(fixture.numbers(&same).await, [1]);
    let look = match fixture {
        Fixture::Postgres(_) => "SELECT count(metadata->>'variant') FROM litellm_logs",
        Fixture::Sqlite(_) => "SELECT count(json_extract(metadata, '$.variant')) FROM litellm_logs",
    };
    assert_eq!(fixture.numbers(look).await, [1]);
}

async fn no_text_that_a_client_chose_holds_up_a_batch(fixture: Fixture) {
    let mut store = fixture.open().await;
    let holder = Uuid::from_u128(1);
    let long = "\u{1f980}".repeat(5_000);
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let mut rows: Vec<SpendRow> = (0..5).map(|n| plain(holder, n)).collect();
    rows[0].end_user = Some(long.clone().into());
    rows[1].tags = Some(format!("[\"{long}\"]").into());
    rows[2].metadata = Some(deep(50_000).into());
    rows[3].metadata = Some(format!("{{\"a\":{},\"b\":1e999999}}", deep(98)).into());
    rows[4].requested_model = "\0".into();
    let subjects = ["nul\0", "nul\0\0", &long, &format!("{long}+")];
    let posting =
        |subject: &&str| Posting { account: AccountId::from_stored(subject), lease: None, slot: 0, amount: 3 };
    rows[0].postings = subjects.iter().map(posting).collect();
    assert_eq!(store.append(&rows).await.unwrap(), 5);
    let accounts: Vec<_> = subjects.iter().map(|subject| (AccountId::from_stored(subject), 0, 0)).collect();
    let balances = store.balances(&accounts).await.unwrap();
    let spent: Vec<i64> = balances.iter().map(|balance| balance.spent).collect();
    assert_eq!(spent, [3; 4], "each has its own");
    let asks: Vec<Ask> = accounts
        .into_iter()
        .zip(1..)
        .map(|((account, _, _), number)| Ask { account, ..ask(holder, number, lifetime()) })
        .collect();
    let replies = store.exchange(&asks).await.unwrap().replies;
    assert!(replies.iter().all(|reply| (reply.granted, reply.spent) == (100, 3)), "{replies:?}");
    // Whatever was kept of the metadata can be looked into.
    let look = match fixture {
        Fixture::Postgres(_) => "SELECT count(metadata->'a') FROM litellm_logs",
        Fixture::Sqlite(_) => "SELECT count(json_extract(metadata, '$.a')) FROM litellm_logs",
    };
    assert_eq!(fixture.numbers(look).await, [1]);
}

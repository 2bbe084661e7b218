//! What is read to be told: how limits stand, pot by pot, and who used what.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use turnpike_crds::budget::Window;
use turnpike_ledger::{
    account::{AccountId, Owner, OwnerKind, Unit},
    exchange::Ask,
    spend_log::{Posting, SpendRow, SpendStore as _},
    store::{AccountAt, LeaseStore as _, PostgresStore, Pot, Used},
    window::WindowSpec,
};
use uuid::Uuid;

use crate::fixture::{Fixture, ask, calendar, now, plain, row};

async fn store() -> (Fixture, PostgresStore) {
    let url = turnpike_testkit::postgres::database().await;
    let store = PostgresStore::open(&url).await.unwrap();
    (Fixture::Postgres(url), store)
}

fn id(name: &str, subject: &str, reset: Option<&str>) -> AccountId {
    let owner = Owner { kind: OwnerKind::Budget, namespace: "ns".into(), name: name.into() };
    AccountId::new(&owner, Unit::NanoUsd, &calendar(Window::Month), subject, reset)
}

fn at(account: AccountId, limit: i64) -> AccountAt {
    let window: WindowSpec = calendar(Window::Month);
    let now = now();
    AccountAt { account, counted: window.counted_from(now), slot: window.lease_slot(now).start, limit }
}

/// A row that spends on an account without a lease.
fn spends(account: &AccountId, sequence: u64, amount: i64) -> SpendRow {
    let slot = calendar(Window::Month).slot(now()).start;
    let posting = Posting { account: account.clone(), lease: None, slot, amount };
    SpendRow { postings: [posting].into(), ..plain(Uuid::from_u128(7), sequence) }
}

#[tokio::test]
async fn a_limit_with_one_pot_shows_what_is_spent_leased_and_lost() {
    let (fixture, mut store) = store().await;
    let lease = Ask { account: id("one", "", None), ..ask(Uuid::from_u128(1), 1, calendar(Window::Month)) };
    store.exchange(std::slice::from_ref(&lease)).await.unwrap();
    store.append(&[row(&lease, 1, 30)]).await.unwrap();
    let asked = [at(id("nobody", "", None), 9), at(lease.account.clone(), 1000)];
    let pots = store.standings(&asked).await.unwrap();
    assert_eq!((pots[0].spent, pots[0].reserved, pots[0].count), (0, 0, 0), "an account that was never used");
    assert_eq!((pots[1].spent, pots[1].reserved, pots[1].unattributed), (30, 70, 0));
    // The holder is lost: what it had may have been used.
    store.beat(Uuid::from_u128(1), std::time::Duration::from_secs(1)).await.unwrap();
    fixture.silence(3600).await;
    store.reap().await.unwrap();
    let pots = store.standings(&asked).await.unwrap();
    assert_eq!((pots[1].spent, pots[1].reserved, pots[1].unattributed), (100, 0, 70));
}

#[tokio::test]
async fn pots_of_a_limit_are_added_up_and_the_fullest_named() {
    let (_fixture, mut store) = store().await;
    let mut rows: Vec<SpendRow> =
        (0..14_u64).map(|n| spends(&id("team", &format!("vk_{n:02}"), None), n, 100 + n.cast_signed())).collect();
    // Others whose names begin alike, and what was counted before a reset.
    rows.push(spends(&id("team-2", "vk_00", None), 20, 5000));
    rows.push(spends(&id("team", "vk_00", Some("1")), 21, 7));
    rows.push(spends(&id("team", "vk_01", Some("2")), 22, 9));
    store.append(&rows).await.unwrap();
    let asked = [at(id("team", "", None), 103), at(id("team", "", Some("1")), 103), at(id("none", "", None), 1)];
    let pots = store.pots(&asked).await.unwrap();
    let total = (0..14).map(|n| 100 + n).sum::<i64>();
    assert_eq!((pots[0].spent, pots[0].count), (total, 14));
    // Ten, and the one more that is full.
    let expected: Vec<Pot> =
        (3..14).rev().map(|n| Pot { subject: format!("vk_{n:02}"), spent: 100 + n, reserved: 0 }).collect();
    assert_eq!(pots[0].named, expected);
    assert_eq!(pots[1].named, [Pot { subject: "vk_00".to_owned(), spent: 7, reserved: 0 }]);
    assert_eq!(pots[2].count, 0);
}

#[tokio::test]
async fn what_keys_used_is_summed_from_any_of_some_days_on() {
    let (_fixture, mut store) = store().await;
    let day = |text: &str| text.parse::<Date>().unwrap();
    let row = |sequence: u64, key: &str, text: &str| SpendRow {
        key_id: key.into(),
        started_at_us: day(text).to_zoned(TimeZone::UTC).unwrap().timestamp().as_microsecond(),
        ..plain(Uuid::from_u128(9), sequence)
    };
    let rows = [
        row(1, "vk_a", "2026-02-28"),
        row(2, "vk_a", "2026-03-01"),
        row(3, "vk_a", "2026-03-09"),
        row(4, "vk_a", "2026-03-10"),
        row(5, "vk_b", "2026-03-02"),
    ];
    store.append(&rows).await.unwrap();
    let days = [day("2026-03-01"), day("2026-03-09"), day("2026-03-10")];
    let usage = store.usage(&days).await.unwrap();
    let requests = |key: &str| [0, 1, 2].map(|index| usage[key].since(index).requests);
    assert_eq!((requests("vk_a"), requests("vk_b")), ([3, 2, 1], [1, 0, 0]));
    let one =
        Used { requests: 1, prompt_tokens: 1000, completion_tokens: 200, cached_tokens: 100, cost_nano: 1_500_000 };
    assert_eq!(usage["vk_b"].since(0), one);
    assert_eq!(Timestamp::from_second(usage["vk_b"].last_day * 86_400).unwrap().to_string(), "2026-03-02T00:00:00Z");
    assert!(store.usage(&[]).await.unwrap().is_empty());
}

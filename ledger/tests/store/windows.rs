//! Which spend counts, and which leases are bound to what is over.

use turnpike_crds::budget::{Window, WindowType};
use turnpike_ledger::{
    account::{AccountId, Owner, OwnerKind, Unit},
    exchange::{Ask, LeaseId},
    spend_log::{Posting, SpendRow, SpendStore as _},
    store::LeaseStore as _,
    window::{Slot, WindowSpec},
};
use uuid::Uuid;

use crate::fixture::{Fixture, ask, calendar, lifetime, now, rolling, row, row_in, then};

on_every_store!(
    a_lease_of_a_window_that_is_over_gets_nothing,
    spend_of_the_window_before_does_not_count,
    a_late_row_is_booked_where_it_was_held,
    a_rolling_window_counts_the_slots_within_it,
    a_rate_is_booked_by_the_exchange,
    the_clock_of_an_account_never_goes_back,
    old_slots_are_forgotten,
    idle_accounts_are_forgotten,
    what_is_lost_of_a_rolling_window_leaves_with_it,
    another_time_zone_begins_with_what_the_open_window_had,
    another_time_zone_counts_from_the_hour_in_which_its_window_began,
);

fn holder() -> Uuid {
    Uuid::from_u128(1)
}

/// The slot before this one.
fn before(window: &WindowSpec) -> Slot {
    window.slot(window.slot(now()).start - 1)
}

async fn a_lease_of_a_window_that_is_over_gets_nothing(fixture: Fixture) {
    let mut store = fixture.open().await;
    let month = calendar(Window::Month);
    let late = Ask { slot: before(&month), ..ask(holder(), 1, month) };
    let reply = store.ask(&late).await;
    assert_eq!((reply.granted, reply.closed), (0, true));
}

async fn spend_of_the_window_before_does_not_count(fixture: Fixture) {
    let mut store = fixture.open().await;
    let month = calendar(Window::Month);
    let old = ask(holder(), 1, month.clone());
    store.append(&[row_in(&old, 1, 990, before(&month))]).await.unwrap();
    let new = Ask { target: 1000, least: 1000, ..ask(holder(), 2, month) };
    let reply = store.ask(&new).await;
    assert_eq!((reply.granted, reply.spent), (1000, 0));
}

/// A month of a Budget in a time zone, of a pot.
fn month_in(zone: &str, pot: &str) -> Ask {
    window_in(Window::Month, zone, pot)
}

fn window_in(window: Window, zone: &str, pot: &str) -> Ask {
    let zone = turnpike_crds::window::zone(zone).unwrap();
    let window = WindowSpec::new(window, Some(WindowType::Calendar), zone);
    let owner = Owner { kind: OwnerKind::Budget, namespace: "ns".into(), name: "b".into() };
    let account = AccountId::new(&owner, Unit::NanoUsd, &window, pot, None);
    Ask { account, ..ask(Uuid::new_v4(), 1, window) }
}

/// A row of a request that took a second and ended at this time.
fn ended_at(row: SpendRow, end: i64) -> SpendRow {
    SpendRow { started_at_us: end - 1_000_000, latency_us: 1_000_000, ..row }
}

async fn another_time_zone_begins_with_what_the_open_window_had(fixture: Fixture) {
    let mut store = fixture.open().await;
    for (pot, amount) in [("", 60), ("user:ann", 7), ("user:x/UTC/", 5)] {
        let utc = month_in("UTC", pot);
        store.ask(&utc).await;
        let last_month = ended_at(row_in(&utc, 2, 500, before(&utc.window)), utc.slot.start - 86_400_000_000);
        store.append(&[row(&utc, 1, amount), last_month]).await.unwrap();
        // Nothing is held any more.
        store.ask(&Ask { last: true, ..then(&utc, 100, amount) }).await;
    }
    for (pot, spent) in [("", 60), ("user:ann", 7), ("user:ben", 0)] {
        let oslo = month_in("Europe/Oslo", pot);
        assert_eq!(store.ask(&oslo).await.spent, spent, "{pot}");
        assert_eq!(store.ask(&then(&oslo, 100, 100)).await.spent, spent, "once: {pot}");
        assert_eq!(store.balance(&oslo).await.spent, spent, "{pot}");
        let other = Ask { lease: LeaseId { holder: holder(), number: 7 }, ..oslo.clone() };
        assert_eq!(store.ask(&other).await.spent, spent, "nor for another gateway: {pot}");
    }
    // Two leases of one account in one batch.
    let lima = month_in("America/Lima", "");
    let second = Ask { lease: LeaseId { number: 2, ..lima.lease }, ..lima.clone() };
    let replies = store.exchange(&[lima.clone(), second]).await.unwrap().replies;
    // In Oslo two leases of 100 are held.
    assert_eq!(replies.iter().map(|reply| reply.spent).collect::<Vec<_>>(), [260, 260]);
    assert_eq!(store.balance(&lima).await.spent, 260);
}

async fn another_time_zone_counts_from_the_hour_in_which_its_window_began(fixture: Fixture) {
    let mut store = fixture.open().await;
    let hour = 3_600_000_000;
    for (pot, zone, from) in [("user:later", "America/Lima", 5), ("user:earlier", "Asia/Tokyo", -9)] {
        let utc = window_in(Window::Year, "UTC", pot);
        store.ask(&utc).await;
        let start = utc.slot.start;
        let rows = [
            ended_at(row_in(&utc, 1, 1, before(&utc.window)), start - 10 * hour),
            ended_at(row_in(&utc, 2, 2, before(&utc.window)), start - 8 * hour),
            ended_at(row(&utc, 3, 4), start + 4 * hour),
            // It began before the window of Lima, and may have been held after that began.
            SpendRow { latency_us: hour, ..ended_at(row(&utc, 4, 8), start + 5 * hour) },
            ended_at(row(&utc, 5, 16), start + 100 * hour),
        ];
        store.append(&rows).await.unwrap();
        // What it holds of 100 is not booked yet: 28 are, of the open window, and 3 of the one before.
        let new = window_in(Window::Year, zone, pot);
        if new.slot.start != start + from * hour {
            // One of the two years has ended already, and the other has not.
            continue;
        }
        let told = if from > 0 { 8 + 16 } else { 2 + 4 + 8 + 16 };
        assert_eq!(store.ask(&new).await.spent, told + 100 - 31, "{pot}");
    }
    let of_utc = "FROM ledger_quarter JOIN ledger_account ON key = account WHERE id LIKE '%/UTC/%'";
    let quarters = format!("SELECT count(*) {of_utc}");
    assert_eq!(fixture.numbers(&quarters).await, [10]);
    fixture.open().await.reap().await.unwrap();
    assert_eq!(fixture.numbers(&quarters).await, [4], "of the open window the first hours");
    fixture.sql("UPDATE ledger_account SET counted = counted + 1").await;
    fixture.open().await.reap().await.unwrap();
    assert_eq!(fixture.numbers(&quarters).await, [0], "one that is over");
}

async fn a_late_row_is_booked_where_it_was_held(fixture: Fixture) {
    let mut store = fixture.open().await;
    let month = calendar(Window::Month);
    let lease = ask(holder(), 1, month.clone());
    store.ask(&lease).await;
    let last_month = before(&month);
    store.append(&[row(&lease, 1, 7), row_in(&lease, 2, 20, last_month)]).await.unwrap();
    assert_eq!(store.balance(&lease).await.spent, 7);
    let account = (lease.account.clone(), last_month.start, last_month.start);
    assert_eq!(store.balances(&[account]).await.unwrap()[0].spent, 27);
}

async fn a_rolling_window_counts_the_slots_within_it(fixture: Fixture) {
    let mut store = fixture.open().await;
    let day = rolling(Window::Day);
    let lease = ask(holder(), 1, day.clone());
    let slot = |back: i64| day.slot(now() - back * 1_440_000_000);
    let rows = [row_in(&lease, 1, 1, slot(0)), row_in(&lease, 2, 10, slot(60)), row_in(&lease, 3, 100, slot(62))];
    store.append(&rows).await.unwrap();
    // Of slots of 24 minutes, a day and the one that has begun. (A new one may begin in the midst of this test.)
    let reply = store.ask(&lease).await;
    assert!([11, 1].contains(&reply.spent), "{reply:?}");
}

async fn a_rate_is_booked_by_the_exchange(fixture: Fixture) {
    let mut store = fixture.open().await;
    let first = Ask { used: Some(0), ..ask(holder(), 1, WindowSpec::minute()) };
    assert_eq!(store.ask(&first).await.granted, 100);
    let second = Ask { used: Some(40), ..then(&first, 100, 100) };
    let reply = store.ask(&second).await;
    assert_eq!((reply.granted, reply.spent), (100, 40));
    // The same use told twice is the same use.
    let third = Ask { used: Some(40), sequence: 3, ..second };
    assert_eq!(store.ask(&third).await.spent, 40);
    let other = Ask { used: Some(0), target: 1000, least: 1, ..ask(Uuid::from_u128(2), 1, WindowSpec::minute()) };
    let reply = store.ask(&other).await;
    assert_eq!((reply.spent, reply.others, reply.granted), (40, 60, 225), "a quarter of what is left");
}

async fn the_clock_of_an_account_never_goes_back(fixture: Fixture) {
    let mut store = fixture.open().await;
    let month = calendar(Window::Month);
    let old = ask(holder(), 1, month.clone());
    assert_eq!(store.ask(&old).await.granted, 100);
    // Then the month ended, and the server's clock was set back.
    let next = month.slot(month.slot(now()).end);
    fixture.sql(&format!("UPDATE ledger_account SET seen = {}", next.start)).await;
    let answers = store.exchange(&[then(&old, 100, 200)]).await.unwrap();
    assert_eq!(answers.now, next.start);
    assert_eq!((answers.replies[0].granted, answers.replies[0].closed), (100, true));
    let new = Ask { slot: next, ..ask(holder(), 2, month) };
    assert_eq!(store.ask(&new).await.granted, 100);
}

async fn old_slots_are_forgotten(fixture: Fixture) {
    let mut store = fixture.open().await;
    let minute = WindowSpec::minute();
    let lease = Ask { used: Some(0), ..ask(holder(), 1, minute.clone()) };
    store.append(&[row_in(&lease, 1, 9, minute.slot(now() - 62_000_000))]).await.unwrap();
    assert_eq!(fixture.numbers("SELECT amount FROM ledger_spent").await, [9]);
    store.ask(&Ask { used: Some(4), ..ask(holder(), 2, minute) }).await;
    assert_eq!(fixture.numbers("SELECT amount FROM ledger_spent").await, [4]);
}

async fn idle_accounts_are_forgotten(fixture: Fixture) {
    let mut store = fixture.open().await;
    let of =
        |name: &str, number, window| Ask { account: AccountId::from_stored(name), ..ask(holder(), number, window) };
    let (month, ever) = (of("month", 1, calendar(Window::Month)), of("ever", 2, lifetime()));
    let old = of("old", 3, rolling(Window::Year));
    let untold = row_in(&old, 3, 5, old.window.slot(now() - 401 * 86_400_000_000));
    let untold_posting = Posting { lease: None, ..untold.postings[0].clone() };
    store.append(&[SpendRow { postings: [untold_posting].into(), ..untold }]).await.unwrap();
    for ask in [&month, &ever] {
        store.ask(ask).await;
        store.append(&[row(ask, ask.lease.number, 60)]).await.unwrap();
        store.ask(&Ask { last: true, ..then(ask, 100, 60) }).await;
    }
    let names = "SELECT count(*) FROM ledger_account WHERE id IN ('month', 'ever')";
    store.reap().await.unwrap();
    assert_eq!(fixture.numbers(names).await, [2]);
    // Two months later, by the store's time.
    let months = 62 * 86_400_000_000_i64;
    fixture.sql(&format!("UPDATE ledger_account SET until = until - {months} WHERE id = 'month'")).await;
    fixture.sql(&format!("UPDATE ledger_lease SET changed = changed - {months}")).await;
    let mut other = fixture.open().await;
    other.reap().await.unwrap();
    assert_eq!(fixture.numbers("SELECT count(*) FROM ledger_account").await, [1], "what is for ever stays");
    assert_eq!(fixture.numbers("SELECT amount FROM ledger_spent WHERE slot = 0").await, [60]);
    // It is made anew when it is used, though this connection remembers it.
    let again = of("month", 4, calendar(Window::Month));
    let mut granted = None;
    for _ in 0..2 {
        granted = store.exchange(std::slice::from_ref(&again)).await.ok().map(|answers| answers.replies[0].granted);
    }
    assert_eq!(granted, Some(100));
}

async fn what_is_lost_of_a_rolling_window_leaves_with_it(fixture: Fixture) {
    let mut store = fixture.open().await;
    let day = rolling(Window::Day);
    let lease = ask(holder(), 1, day.clone());
    store.ask(&lease).await;
    fixture.silence(661).await;
    let from = day.slot(now()).start;
    store.reap().await.unwrap();
    let slots = fixture.numbers("SELECT slot FROM ledger_spent").await;
    assert_eq!(slots.len(), 1);
    assert!(slots[0] >= from && slots[0] <= now(), "booked in the slot of now, not at the beginning of time");
}

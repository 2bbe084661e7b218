//! Limits whose window, type or time zone is edited: what was spent still counts.

use turnpike_crds::budget::{Window, WindowType};
use turnpike_ledger::{
    account::{AccountId, Owner, OwnerKind, Unit},
    exchange::{Ask, LeaseId},
    spend_log::{SpendRow, SpendStore as _},
    store::LeaseStore as _,
    window::WindowSpec,
};
use uuid::Uuid;

use crate::fixture::{Fixture, Store, ask, now, row, row_in, then};

on_every_store!(
    another_window_begins_with_what_ended_in_it,
    it_does_when_quarters_have_become_days,
    what_is_held_counts_in_another_window,
    windows_beside_each_other_count_the_same_money_once,
    edits_in_a_row_forget_nothing,
    an_edit_that_is_undone_forgets_nothing,
    windows_that_rest_together_stay_as_they_are,
    a_rolling_window_gets_its_slots_back,
    pots_units_and_resets_are_kept_apart,
    what_was_lost_counts_where_it_may_have_been_spent,
    what_was_spent_before_times_were_kept_counts_in_whole,
    history_is_forgotten_after_more_than_a_year,
);

const QUARTER: i64 = 900_000_000;
const HOUR: i64 = 4 * QUARTER;
const DAY: i64 = 24 * HOUR;

const WINDOWS: [(Window, Option<WindowType>); 10] = [
    (Window::Hour, Some(WindowType::Calendar)),
    (Window::Day, Some(WindowType::Calendar)),
    (Window::Week, Some(WindowType::Calendar)),
    (Window::Month, Some(WindowType::Calendar)),
    (Window::Year, Some(WindowType::Calendar)),
    (Window::Hour, Some(WindowType::Rolling)),
    (Window::Day, Some(WindowType::Rolling)),
    (Window::Month, Some(WindowType::Rolling)),
    (Window::Year, Some(WindowType::Rolling)),
    (Window::Lifetime, None),
];

fn windows(zone: &str) -> Vec<WindowSpec> {
    let zone = turnpike_crds::window::zone(zone).unwrap();
    WINDOWS.into_iter().map(|(window, kind)| WindowSpec::new(window, kind, zone.clone())).collect()
}

fn window(window: Window, kind: WindowType) -> WindowSpec {
    WindowSpec::new(window, Some(kind), jiff::tz::TimeZone::UTC)
}

fn day() -> WindowSpec {
    window(Window::Day, WindowType::Calendar)
}

fn month() -> WindowSpec {
    window(Window::Month, WindowType::Calendar)
}

/// A first ask of a Budget's pot, of a limit that is never reached.
fn of(window: &WindowSpec, pot: &str) -> Ask {
    counting(Unit::NanoUsd, window, pot, None)
}

fn counting(unit: Unit, window: &WindowSpec, pot: &str, reset: Option<&str>) -> Ask {
    let owner = Owner { kind: OwnerKind::Budget, namespace: "ns".into(), name: "b".into() };
    let account = AccountId::new(&owner, unit, window, pot, reset);
    Ask { account, unit, limit: 1_000_000, ..ask(Uuid::new_v4(), 1, window.clone()) }
}

/// A row of a request that was held and ended at this time.
fn at(of: &Ask, sequence: u64, amount: i64, time: i64) -> SpendRow {
    let row = row_in(of, sequence, amount, of.window.slot(time));
    SpendRow { started_at_us: time - 1_000_000, latency_us: 1_000_000, ..row }
}

/// Spends amounts at these times, and holds nothing any more.
async fn spend(store: &mut Store, of: &Ask, spent: &[(i64, i64)]) {
    store.ask(of).await;
    let rows: Vec<SpendRow> =
        (1..).zip(spent).map(|(sequence, (time, amount))| at(of, sequence, *amount, *time)).collect();
    store.append(&rows).await.unwrap();
    let all = spent.iter().map(|(_, amount)| amount).sum();
    store.ask(&Ask { last: true, ..then(of, 100, all) }).await;
}

/// So long before now.
fn ago<const N: usize>(spent: [(i64, i64); N]) -> Vec<(i64, i64)> {
    let now = now();
    spent.map(|(ago, amount)| (now - ago, amount)).into()
}

/// Amounts that differ in whatever they add up to, at times that reach back further and further: from a minute to most of a year.
fn amounts() -> Vec<(i64, i64)> {
    let hours = [1, 2, 9, 23, 26, 50, 96, 9 * 24, 33 * 24, 200 * 24, 350 * 24];
    let spent = (1..).zip(hours).map(|(power, hours)| (now() - hours * HOUR, 1 << power));
    spent.chain([(now() - HOUR / 60, 1)]).collect()
}

/// What of it ended in the window of now, or in as much time before it.
fn since(spent: &[(i64, i64)], window: &WindowSpec, before: i64) -> i64 {
    let from = window.counted_from(now()) - before;
    spent.iter().filter(|(time, _)| *time >= from).map(|(_, amount)| amount).sum()
}

async fn another_window_begins_with_what_ended_in_it(fixture: Fixture) {
    let mut store = fixture.open().await;
    let spent = amounts();
    for (old, window) in windows("UTC").iter().enumerate() {
        for (new, other) in windows("UTC").iter().enumerate().filter(|(new, _)| *new != old) {
            let pot = format!("user:{old}-{new}");
            spend(&mut store, &of(window, &pot), &spent).await;
            // Slots end while the test runs; then less counts.
            let most = since(&spent, other, QUARTER);
            let told = store.ask(&of(other, &pot)).await.spent;
            let least = since(&spent, other, 0);
            assert!((least..=most).contains(&told), "{window} to {other}: {least} <= {told} <= {most}");
        }
    }
}

async fn it_does_when_quarters_have_become_days(fixture: Fixture) {
    let mut store = fixture.open().await;
    let spent = amounts();
    let zone = "Japan";
    for (old, window) in windows(zone).iter().enumerate() {
        for new in 0..WINDOWS.len() {
            spend(&mut store, &of(window, &format!("user:{old}-{new}")), &spent).await;
        }
    }
    for _ in 0..3 {
        fixture.open().await.reap().await.unwrap();
    }
    assert_ne!(fixture.numbers("SELECT count(*) FROM ledger_part").await, [0]);
    let whole = "SELECT (SELECT count(*) FROM ledger_part p WHERE amount <= 0) + (SELECT count(*) FROM ledger_quarter q
        WHERE amount <= 0)";
    assert_eq!(fixture.numbers(whole).await, [0]);
    for (old, window) in windows(zone).iter().enumerate() {
        for (new, other) in windows(zone).iter().enumerate().filter(|(new, _)| *new != old) {
            // Days of what has no zone are those of UTC.
            let is_exact = window.window_type() == Some(WindowType::Calendar) && new < 5;
            let most = since(&spent, other, if is_exact { QUARTER } else { 25 * HOUR });
            let told = store.ask(&of(other, &format!("user:{old}-{new}"))).await.spent;
            let least = since(&spent, other, 0);
            assert!((least..=most).contains(&told), "{window} to {other}: {least} <= {told} <= {most}");
        }
    }
}

async fn what_is_held_counts_in_another_window(fixture: Fixture) {
    let mut store = fixture.open().await;
    for (pot, old, new) in [
        ("user:narrower", month(), day()),
        ("user:wider", day(), month()),
        ("user:rolling", day(), window(Window::Day, WindowType::Rolling)),
        ("user:calendar", window(Window::Day, WindowType::Rolling), day()),
        ("user:ever", day(), WindowSpec::lifetime()),
        ("user:no more", WindowSpec::lifetime(), month()),
    ] {
        let held = of(&old, pot);
        store.ask(&held).await;
        store.append(&[row(&held, 1, 30)]).await.unwrap();
        let new = Ask { limit: 250, target: 250, least: 250, ..of(&new, pot) };
        let reply = store.ask(&new).await;
        assert_eq!((reply.spent, reply.granted), (100, 0), "{pot}");
        assert_eq!(store.ask(&Ask { least: 150, ..then(&new, 0, 150) }).await.granted, 150, "{pot}");
    }
}

async fn windows_beside_each_other_count_the_same_money_once(fixture: Fixture) {
    let mut store = fixture.open().await;
    let (month, day) = (of(&month(), ""), of(&day(), ""));
    // All was spent before there was a limit of a day.
    spend(&mut store, &month, &ago([(0, 60)])).await;
    assert_eq!(store.ask(&day).await.spent, 60);
    let both = row(&day, 1, 5);
    let of_month = row(&Ask { lease: day.lease, ..month.clone() }, 1, 5).postings[0].clone();
    let postings = [both.postings[0].clone(), turnpike_ledger::spend_log::Posting { lease: None, ..of_month }];
    store.append(&[SpendRow { postings: postings.into(), ..both }]).await.unwrap();
    store.ask(&Ask { last: true, ..then(&day, 100, 5) }).await;
    assert_eq!((store.balance(&month).await.spent, store.balance(&day).await.spent), (65, 65));
    for (name, kind) in [(Window::Week, WindowType::Calendar), (Window::Day, WindowType::Rolling)] {
        assert_eq!(store.ask(&of(&window(name, kind), "")).await.spent % 100, 65, "{name:?}");
    }
}

async fn edits_in_a_row_forget_nothing(fixture: Fixture) {
    let mut store = fixture.open().await;
    let spent = ago([(0, 3), (20 * HOUR, 10), (40 * DAY, 100)]);
    spend(&mut store, &of(&window(Window::Hour, WindowType::Calendar), "user:ann"), &spent).await;
    for next in [month(), day(), window(Window::Week, WindowType::Rolling)] {
        let first = of(&next, "user:ann");
        store.ask(&first).await;
        store.ask(&Ask { last: true, ..then(&first, 100, 0) }).await;
    }
    // As if the first of them was long gone.
    fixture.sql("DELETE FROM ledger_account WHERE id LIKE '%/Hour/%'").await;
    let ever = of(&WindowSpec::lifetime(), "user:ann");
    assert_eq!(store.ask(&ever).await.spent, 113);
    assert_eq!(store.ask(&then(&ever, 100, 100)).await.spent, 113, "once");
    assert_eq!(store.balance(&ever).await.spent, 113);
    // Two leases of one account in one batch.
    let year = of(&window(Window::Year, WindowType::Rolling), "user:ann");
    let second = Ask { lease: LeaseId { number: 2, ..year.lease }, ..year.clone() };
    let replies = store.exchange(&[year.clone(), second]).await.unwrap().replies;
    assert_eq!(replies.iter().map(|reply| reply.spent).collect::<Vec<_>>(), [213, 213], "100 are held of the Lifetime");
    assert_eq!(store.balance(&year).await.spent, 213);
}

/// Lets leases that are finished be forgotten.
async fn rest(fixture: &Fixture, store: &mut Store) {
    fixture.sql("UPDATE ledger_lease SET changed = changed - 601000000").await;
    store.reap().await.unwrap();
    assert_eq!(fixture.numbers("SELECT count(*) FROM ledger_lease").await, [0]);
}

async fn an_edit_that_is_undone_forgets_nothing(fixture: Fixture) {
    let mut store = fixture.open().await;
    // Each edit after some time without a request, as it is after the last one in the old window.
    for (window, had, amount) in [(day(), 0, 5), (month(), 5, 20), (day(), 25, 3), (day(), 28, 0), (month(), 28, 1)] {
        let ask = of(&window, "");
        let second = Ask { lease: LeaseId { number: 2, ..ask.lease }, sequence: 1, target: 0, ..ask.clone() };
        let replies = store.exchange(&[ask.clone(), second.clone()]).await.unwrap().replies;
        assert_eq!(replies.iter().map(|reply| reply.spent).collect::<Vec<_>>(), [had, had], "{window}");
        spend(&mut store, &ask, &ago([(0, amount)])).await;
        store.ask(&Ask { last: true, ..then(&second, 0, 0) }).await;
        assert_eq!(store.balance(&ask).await.spent, had + amount, "{window}");
        rest(&fixture, &mut store).await;
    }
    // A day that nobody has asked about since before its last window was over.
    fixture.sql("UPDATE ledger_account SET until = 1, seen = 1, counted = 1 WHERE id LIKE '%/Day/%'").await;
    assert_eq!(store.ask(&of(&day(), "")).await.spent, 29);
}

async fn windows_that_rest_together_stay_as_they_are(fixture: Fixture) {
    let mut store = fixture.open().await;
    let all = [month(), day(), window(Window::Day, WindowType::Rolling), window(Window::Month, WindowType::Rolling)];
    let asks: Vec<Ask> = all.iter().map(|window| of(window, "")).collect();
    store.exchange(&asks).await.unwrap();
    // Some of it was held in the windows before, and ended in those of now; some is as old as a rolling day.
    let spent = ago([(40 * DAY, 64), (DAY + QUARTER, 32), (DAY, 16), (DAY - QUARTER, 8), (HOUR, 4), (0, 2)]);
    let mut rows = Vec::new();
    for ask in &asks {
        let told = (1..).zip(&spent).map(|(sequence, (time, amount))| at(ask, sequence, *amount, *time));
        let slot = ask.window.slot(ask.window.slot(now()).start - 1);
        rows.extend(told.chain([row_in(ask, 9, 1, slot)]));
    }
    store.append(&rows).await.unwrap();
    for ask in &asks {
        store.ask(&Ask { last: true, ..then(ask, 100, 127) }).await;
    }
    for _ in 0..2 {
        rest(&fixture, &mut store).await;
        fixture.open().await.reap().await.unwrap();
        for ask in &asks {
            let before = store.balance(ask).await.spent;
            let again = Ask { lease: LeaseId { holder: Uuid::new_v4(), number: 1 }, ..ask.clone() };
            let told = store.ask(&again).await.spent;
            // A slot may end meanwhile.
            assert!(told <= before, "{}: {told} > {before}", ask.window);
            store.ask(&Ask { last: true, ..then(&again, 100, 0) }).await;
        }
    }
}

async fn a_rolling_window_gets_its_slots_back(fixture: Fixture) {
    let mut store = fixture.open().await;
    let spent = ago([(20 * HOUR, 1), (10 * HOUR, 2), (0, 4)]);
    spend(&mut store, &of(&WindowSpec::lifetime(), ""), &spent).await;
    let rolling = of(&window(Window::Day, WindowType::Rolling), "");
    assert_eq!(store.ask(&rolling).await.spent, 7);
    for (ago, left) in [(18 * HOUR, 6), (8 * HOUR, 4), (HOUR, 4)] {
        let account = (rolling.account.clone(), now() - ago, 0);
        assert_eq!(store.balances(&[account]).await.unwrap()[0].spent, left);
    }
}

async fn pots_units_and_resets_are_kept_apart(fixture: Fixture) {
    let mut store = fixture.open().await;
    for (pot, amount) in [("", 1), ("user:ann", 2), ("user:x/UTC/", 4), ("user:ann/more", 8)] {
        spend(&mut store, &of(&month(), pot), &ago([(0, amount)])).await;
    }
    for (pot, spent) in [("", 1), ("user:ann", 2), ("user:x/UTC/", 4), ("user:ann/more", 8), ("user:ben", 0)] {
        for zone in ["UTC", "America/Argentina/Ushuaia"] {
            let zone = turnpike_crds::window::zone(zone).unwrap();
            let week = WindowSpec::new(Window::Week, Some(WindowType::Calendar), zone);
            let new = of(&week, pot);
            assert_eq!(store.ask(&new).await.spent, spent, "{pot} {week}");
            store.ask(&Ask { last: true, ..then(&new, 100, 0) }).await;
        }
    }
    for (unit, reset) in [(Unit::Tokens, None), (Unit::NanoUsd, Some("first"))] {
        assert_eq!(store.ask(&counting(unit, &day(), "user:ann", reset)).await.spent, 0, "{unit:?} {reset:?}");
    }
}

async fn what_was_lost_counts_where_it_may_have_been_spent(fixture: Fixture) {
    let mut store = fixture.open().await;
    for pot in ["user:now", "user:before"] {
        store.ask(&of(&month(), pot)).await;
    }
    fixture.silence(661).await;
    assert_eq!(store.reap().await.unwrap(), 2);
    let before = "UPDATE ledger_lease SET changed = changed - 2 * 86400000000 WHERE account =
        (SELECT key FROM ledger_account WHERE id LIKE '%user:before')";
    fixture.sql(before).await;
    for (pot, spent) in [("user:now", 100), ("user:before", 0)] {
        assert_eq!(store.ask(&of(&day(), pot)).await.spent, spent, "{pot}");
    }
}

async fn what_was_spent_before_times_were_kept_counts_in_whole(fixture: Fixture) {
    let mut store = fixture.open().await;
    spend(&mut store, &of(&month(), "user:old"), &ago([(0, 70)])).await;
    spend(&mut store, &of(&WindowSpec::lifetime(), "user:both"), &ago([(0, 70)])).await;
    fixture.sql("DELETE FROM ledger_quarter").await;
    assert_eq!(store.ask(&of(&day(), "user:old")).await.spent, 70);
    // What came before the first quarter that is known is no part of a window that began after it.
    let more = at(&of(&WindowSpec::lifetime(), "user:both"), 9, 8, now() - 30 * HOUR);
    let postings = [turnpike_ledger::spend_log::Posting { lease: None, ..more.postings[0].clone() }];
    store.append(&[SpendRow { postings: postings.into(), ..more }]).await.unwrap();
    let day = of(&day(), "user:both");
    assert_eq!(store.ask(&day).await.spent, 0);
    store.ask(&Ask { last: true, ..then(&day, 100, 0) }).await;
    assert_eq!(store.ask(&of(&window(Window::Year, WindowType::Rolling), "user:both")).await.spent, 78);
}

async fn history_is_forgotten_after_more_than_a_year(fixture: Fixture) {
    let mut store = fixture.open().await;
    let account = of(&day(), "");
    spend(&mut store, &account, &ago([(0, 1), (100 * DAY, 2), (390 * DAY, 4)])).await;
    let shift = |days: i64| {
        let by = days * DAY;
        format!(
            "UPDATE ledger_account SET until = until - {by}, seen = seen - {by}, counted = counted - {by};
             UPDATE ledger_quarter SET quarter = quarter - {by}, slot = slot - {by}; UPDATE ledger_lease SET changed = changed - {by};
             UPDATE ledger_part SET start = start - {by}, ends = ends - {by};"
        )
    };
    let sums = "SELECT CAST(coalesce(sum(amount), 0) AS bigint) FROM ledger_part";
    for (days, left) in [(3, 7), (10, 3), (200, 3), (100, 1), (100, 0)] {
        fixture.sql(&shift(days)).await;
        fixture.open().await.reap().await.unwrap();
        assert_eq!(fixture.numbers(sums).await, [left], "{days} days later");
    }
    fixture.open().await.reap().await.unwrap();
    assert_eq!(fixture.numbers("SELECT count(*) FROM ledger_account").await, [0]);
}

//! One request that is tried more than once: what its next attempt may use is taken before what the last one held is given up.

use std::sync::Arc;

use turnpike_ledger::{
    account::{AccountSpec, OwnerKind, Unit},
    engine::{Cause, Hold, Need, Used},
};

use crate::fleet::{Fleet, Terms};

fn need(account: &Arc<AccountSpec>, amount: i64) -> Need {
    Need::new(Arc::clone(account), amount)
}

fn budget(name: &'static str, limit: i64) -> Arc<AccountSpec> {
    Terms { name, limit, ..Terms::default() }.account()
}

fn of_model(account: &Arc<AccountSpec>) -> Arc<AccountSpec> {
    let mut spec = AccountSpec::clone(account);
    spec.owner.kind = OwnerKind::ModelDeployment;
    Arc::new(spec)
}

/// The sum of what is booked of an account.
fn booked(hold: Hold, account: &AccountSpec, nano_usd: i64) -> i64 {
    let settled = hold.settle(Used { nano_usd, tokens: 0 });
    assert_eq!(settled.exceeded, 0);
    settled.postings.iter().filter(|posting| posting.account == account.id).map(|posting| posting.amount).sum()
}

#[tokio::test(start_paused = true)]
async fn a_dearer_attempt_takes_the_difference_only() {
    let fleet = Fleet::new(1);
    let ledger = &fleet.first().ledger;
    let account = budget("team", 100);
    let mut hold = ledger.reserve(&[need(&account, 60)], "a").await.unwrap();
    ledger.extend(&mut hold, &[need(&account, 90)], "a").await.unwrap();
    assert_eq!((hold.amount(&account), ledger.affordable(&account)), (90, Some(10)));
    // More than what is left, were the whole of it taken anew.
    ledger.extend(&mut hold, &[need(&account, 100)], "a").await.unwrap();
    assert_eq!(ledger.affordable(&account), Some(0));
    // All parts bear what was used.
    assert_eq!(booked(hold, &account, 75), 75);
    assert_eq!(ledger.affordable(&account), Some(25));
    fleet.check();
}

#[tokio::test(start_paused = true)]
async fn a_refused_attempt_leaves_the_hold_as_it_was() {
    let fleet = Fleet::new(1);
    let ledger = &fleet.first().ledger;
    let (account, other) = (budget("team", 100), budget("zebra", 100));
    let mut hold = ledger.reserve(&[need(&account, 60)], "a").await.unwrap();
    let held = ledger.reserve(&[need(&account, 30)], "b").await.unwrap();
    let refusal = ledger.extend(&mut hold, &[need(&account, 91), need(&other, 10)], "a").await.unwrap_err();
    assert_eq!((refusal.cause, refusal.account.limit), (Cause::Exhausted, 100));
    let refusal = ledger.extend(&mut hold, &[need(&account, 101)], "a").await.unwrap_err();
    assert_eq!(refusal.cause, Cause::TooLarge, "the difference alone would fit");
    assert_eq!((hold.amount(&account), ledger.affordable(&account)), (60, Some(10)));
    drop((hold, held));
    assert_eq!(ledger.affordable(&account), Some(100));
    fleet.check();
}

#[tokio::test(start_paused = true)]
async fn what_only_the_last_attempt_needed_goes_back() {
    let fleet = Fleet::new(1);
    let ledger = &fleet.first().ledger;
    let (account, first, second) = (budget("a", 100), budget("first", 100), budget("second", 100));
    let mut hold = ledger.reserve(&[need(&account, 60), need(&first, 60)], "a").await.unwrap();
    ledger.extend(&mut hold, &[need(&account, 40), need(&second, 40)], "a").await.unwrap();
    assert_eq!([&account, &first, &second].map(|account| hold.amount(account)), [60, 0, 40]);
    assert_eq!(ledger.affordable(&first), Some(100));
    assert_eq!(booked(hold, &account, 10), 10);
    assert_eq!(ledger.affordable(&account), Some(90));
}

#[tokio::test(start_paused = true)]
async fn a_request_counts_once_and_a_model_counts_its_attempts() {
    let fleet = Fleet::new(1);
    let ledger = &fleet.first().ledger;
    let rate = Terms { name: "key", ..Terms::rate(Unit::Requests, 2) }.account();
    let model = of_model(&Terms { name: "model", unit: Unit::Requests, limit: 9, ..Terms::default() }.account());
    let (money, parallel) =
        (budget("money", 100), Terms { name: "parallel", ..Terms::rate(Unit::Parallel, 1) }.account());
    let mut needs = [need(&rate, 1), need(&model, 1), need(&money, 60), need(&parallel, 1)];
    needs.sort_by(|a, b| a.account.id.cmp(&b.account.id));
    let mut first = ledger.reserve(&needs, "a").await.unwrap();
    // It must be paid for, so that only what counts the request goes on.
    let mut second = first.split_request();
    assert_eq!([&rate, &parallel, &model, &money].map(|account| second.amount(account)), [1, 1, 0, 0]);
    assert_eq!(booked(first, &model, 50), 1);
    needs.iter_mut().filter(|need| need.account.unit == Unit::NanoUsd).for_each(|need| need.amount = 40);
    ledger.extend(&mut second, &needs, "a").await.unwrap();
    assert_eq!(booked(second, &money, 40), 40);
    // Of two requests a minute one is left, and the one place is free.
    let third = ledger.reserve(&[need(&parallel, 1), need(&rate, 1)], "a").await.unwrap();
    drop(third);
    assert_eq!(ledger.affordable(&money), Some(10));
    fleet.check();
}

#[tokio::test(start_paused = true)]
async fn a_crash_books_what_the_attempt_may_use_and_not_what_an_earlier_one_needed() {
    let fleet = Fleet::new(1);
    let ledger = &fleet.first().ledger;
    let account = budget("team", 100);
    let mut hold = ledger.reserve(&[need(&account, 60)], "a").await.unwrap();
    ledger.extend(&mut hold, &[need(&account, 90)], "a").await.unwrap();
    let bound = |nano_usd| {
        let postings = hold.bound(Used { nano_usd, tokens: 0 });
        postings.iter().map(|posting| posting.amount).sum::<i64>()
    };
    assert_eq!([40, 75, 90, i64::MAX].map(bound), [40, 75, 90, 90]);
}

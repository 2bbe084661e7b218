//! The tests that decide whether a hard budget is one.

use std::sync::atomic::Ordering::Relaxed;

use serde_json::json;
use turnpike_testkit::postgres;

use crate::stage::{Fleet, Tally, key, request};

/// 1 USD.
const LIMIT: i64 = 1_000_000_000;

async fn report(fleet: &Fleet, tally: &Tally, what: &str) -> i64 {
    fleet.all_booked().await;
    let (spent, paid, rows) = fleet.spent().await;
    let mut exchanges = 0.0;
    for gateway in &fleet.gateways {
        exchanges += gateway.metric("turnpike_ledger_exchanges_total", "").await;
        gateway.metric_is("turnpike_ledger_bound_exceeded_total", "", 0.0).await;
    }
    let requests = tally.answered.load(Relaxed) + tally.refused.load(Relaxed);
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let per_thousand = exchanges * 1000.0 / requests as f64;
    println!(
        "{what}: spent {spent} of {LIMIT} nano-USD, {paid} attempts in {rows} rows, {requests} requests, \
         {exchanges} exchanges, {per_thousand:.0} per 1,000 requests, {} told to try again",
        tally.unavailable.load(Relaxed)
    );
    assert_eq!(tally.failed.load(Relaxed), 0, "only answers and refusals");
    assert_eq!(usize::try_from(paid).unwrap(), fleet.upstream.log().len(), "a row for each attempt that was sent");
    assert!(spent <= LIMIT, "overspent: {spent}");
    spent
}

#[tokio::test]
async fn a_thousand_clients_on_three_gateways_spend_no_more_than_the_budget_and_nearly_all_of_it() {
    let fleet = Fleet::new(3, postgres::database().await, &[key(&json!({"window": "Month", "usd": "1.00"}))]).await;
    // With what a prompt may be at most, 1 % of the limit.
    let tally = fleet.exhaust(1000, 9_000).await;
    let spent = report(&fleet, &tally, "bound 1 %").await;
    assert!(spent >= LIMIT / 100 * 95, "too little could be spent: {spent}");
}

#[tokio::test]
async fn requests_of_a_tenth_of_the_budget_each_do_not_overspend_it() {
    let fleet = Fleet::new(3, postgres::database().await, &[key(&json!({"window": "Month", "usd": "1.00"}))]).await;
    let tally = fleet.exhaust(300, 99_000).await;
    let spent = report(&fleet, &tally, "bound 10 %").await;
    assert!(spent >= LIMIT / 100 * 90, "too little could be spent: {spent}");
}

#[tokio::test]
async fn streams_and_clients_that_leave_do_not_overspend_it_either() {
    let fleet = Fleet::new(3, postgres::database().await, &[key(&json!({"window": "Month", "usd": "1.00"}))]).await;
    let kinds = |number: usize| {
        let mut body = request(number, [300, 1_000, 4_000, 9_000][number % 4]);
        body["stream"] = json!(number % 2 == 1);
        body
    };
    let tally = fleet.exhaust_by(500, kinds).await;
    let spent = report(&fleet, &tally, "streams, some left, bounds up to 1 %").await;
    assert!(spent >= LIMIT / 100 * 95, "too little could be spent: {spent}");
}

//! A database that was put back to an older state.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use serde_json::json;
use turnpike_testkit::{postgres::Postgres, wait::eventually};

use crate::stage::{CHAT, Fleet, key, request};

/// So many answers of the thirstiest model, each for 0.00455 USD.
async fn spend(fleet: &Fleet, gateway: usize, requests: usize) {
    for _ in 0..requests {
        eventually("an answer", || async {
            (fleet.client(gateway).post(CHAT, &request(2, 9_000)).await.status == 200).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn what_gateways_know_still_counts_in_a_server_that_was_put_back_to_an_older_state() {
    let postgres = Postgres::start().await;
    let fleet = Fleet::new(3, postgres.database().await, &[key(&json!({"window": "Month", "usd": "1.00"}))]).await;
    for gateway in 0..3 {
        spend(&fleet, gateway, 5).await;
    }
    fleet.all_booked().await;
    postgres.stop();
    postgres.save();
    postgres.resume().await;
    for gateway in 0..2 {
        spend(&fleet, gateway, 60).await;
    }
    fleet.all_booked().await;
    postgres.stop();
    postgres.restore();
    postgres.resume().await;
    // The third gateway has lost nothing, and wants all that the database says is left, at once.
    let greedy = async {
        let mut refused = 0;
        while refused < 2 {
            let status = fleet.client(2).post(CHAT, &request(2, 9_000)).await.status;
            refused += usize::from(status == 429);
            assert!([200, 429, 503].contains(&status), "{status}");
        }
    };
    tokio::time::timeout(Duration::from_mins(2), greedy).await.unwrap();
    let tally = fleet.exhaust_by(30, |_| request(2, 9_000)).await;
    assert_eq!(tally.failed.load(Relaxed), 0);
    let billed: u64 =
        fleet.upstream.log().iter().filter_map(|seen| seen.billed).map(|usage| usage.prompt + usage.completion).sum();
    let spent = billed * 1_000;
    println!("the upstream was paid {spent} nano-USD; the log of the older state says {}", fleet.spent().await.0);
    assert!((950_000_000..=1_000_000_000).contains(&spent), "{spent}");
}

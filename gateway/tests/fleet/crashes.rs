//! kill -9 under load: what the upstream received is paid for once, and nothing stays blocked.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::json;
use turnpike_testkit::{postgres, spend::postgres_json, wait::eventually};

use crate::stage::{CHAT, Fleet, KEY, key, request};

/// How often a gateway is killed.
const KILLS: usize = 50;
const LIMIT: i64 = 1_000_000_000_000;

#[tokio::test]
async fn every_attempt_has_one_row_after_fifty_kills_and_nothing_stays_blocked() {
    let limit = json!({"window": "Month", "usd": "1000.00"});
    let mut fleet = Fleet::new(1, postgres::database().await, &[key(&limit)]).await;
    for kill in 0..KILLS {
        let gateway = fleet.gateways.pop().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..8)
            .map(|number| {
                let (address, stop) = (gateway.public, Arc::clone(&stop));
                tokio::spawn(async move {
                    let client = turnpike_testkit::Client::new(address).with_key(KEY);
                    while !stop.load(Ordering::Relaxed) {
                        // The one that the kill interrupts fails, and no later one can connect.
                        let sent = client.json(CHAT, &request(number, 5_000), &[]);
                        let Ok(mut connection) = tokio::spawn({
                            let client = client.clone();
                            async move { client.connect().await }
                        })
                        .await
                        else {
                            return;
                        };
                        if connection.send(sent).await.is_err() {
                            return;
                        }
                    }
                })
            })
            .collect();
        let seen = fleet.upstream.log().len();
        // Somewhere in the midst of it; another point each time.
        fleet.upstream.wait_for("some requests", |log| log.len() > seen + 3 + kill % 7).await;
        let mut gateway = gateway;
        gateway.process.signal("KILL");
        gateway.process.exit().await;
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            // A client whose gateway is gone may have panicked on its connection.
            drop(client.await);
        }
        fleet.gateways.push(gateway.restart().await);
    }
    let seen = i64::try_from(fleet.upstream.log().len()).unwrap();
    fleet.all_booked().await;
    let (spent, paid, _) = fleet.spent().await;
    assert_eq!(paid, seen, "a row for each attempt that the upstream received, and no other");
    assert!(spent < LIMIT);
    // All leases of the dead are closed: nothing is outstanding but what this run holds.
    let sql = "select json_build_object('unattributed', coalesce(sum(unattributed), 0), \
               'outstanding', coalesce(sum(greatest(granted - booked, 0)) filter (where not closed), 0))::text from ledger_lease";
    eventually("leases of the dead are closed", || async {
        let leases = postgres_json(&fleet.database, sql).await?;
        println!("{KILLS} kills, {seen} attempts: {leases}");
        (leases["unattributed"] == 0 && leases["outstanding"].as_i64()? <= LIMIT / 100).then_some(())
    })
    .await;
}

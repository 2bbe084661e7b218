//! kill -9 under load: what the upstream received is paid for once, and nothing stays blocked.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use serde_json::json;
use turnpike_testkit::{Client, postgres, spend::postgres_json, wait::eventually};

use crate::stage::{CHAT, Fleet, KEY, key, request};

/// How often a gateway is killed.
const KILLS: usize = 50;
const LIMIT: i64 = 1_000_000_000_000;

/// Names requests: the upstream sees the name, and so does the row.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Calls until the gateway is gone.
async fn call(client: Client) {
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut body = request(number, 5_000);
        let name = format!("request-{number}");
        body["user"] = json!(name);
        let Ok(mut connection) = client.try_connect().await else { return };
        if connection.send(client.json(CHAT, &body, &[("idempotency-key", &name)])).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn every_attempt_has_one_row_after_fifty_kills_and_nothing_stays_blocked() {
    let limit = json!({"window": "Month", "usd": "1000.00"});
    let mut fleet = Fleet::new(1, postgres::database().await, &[key(&limit)]).await;
    for kill in 0..KILLS {
        let mut gateway = fleet.gateways.pop().unwrap();
        let client = gateway.client().with_key(KEY);
        let clients: Vec<_> = (0..8).map(|_| tokio::spawn(call(client.clone()))).collect();
        let seen = fleet.upstream.log().len();
        // Somewhere in the midst of it; at another point each time.
        fleet.upstream.wait_for("some requests", |log| log.len() > seen + 3 + kill % 7).await;
        gateway.process.signal("KILL");
        gateway.process.exit().await;
        for client in clients {
            client.await.unwrap();
        }
        fleet.gateways.push(gateway.restart().await);
    }
    fleet.all_booked().await;
    let sql = "select json_object_agg(end_user, rows)::text from \
               (select end_user, count(*) as rows from spend where end_user is not null group by end_user) as users";
    let rows: BTreeMap<String, u64> =
        serde_json::from_value(postgres_json(&fleet.database, sql).await.unwrap()).unwrap();
    // By a header: of some only the head came.
    let log = fleet.upstream.log();
    let seen: Vec<&str> = log.iter().map(|call| call.header("idempotency-key").unwrap()).collect();
    let wrong: Vec<_> = seen.iter().filter(|user| rows.get(**user) != Some(&1)).collect();
    assert!(wrong.is_empty(), "without exactly one row: {wrong:?}");
    // What was recorded, and killed before it was sent, is booked as well: nobody can tell it from what was sent.
    let unsent = rows.len() - seen.len();
    assert!(unsent <= KILLS * 8, "{unsent}");
    let (spent, ..) = fleet.spent().await;
    assert!(spent < LIMIT);
    // All leases of the dead are closed: nothing is outstanding but what this run holds.
    let sql = "select json_build_object('unattributed', coalesce(sum(unattributed), 0), 'outstanding', \
               coalesce(sum(greatest(granted - booked, 0)) filter (where not closed), 0))::text from ledger_lease";
    eventually("leases of the dead are closed", || async {
        let leases = postgres_json(&fleet.database, sql).await?;
        let done = leases["unattributed"] == 0 && leases["outstanding"].as_i64()? <= LIMIT / 100;
        done.then(|| println!("{KILLS} kills, {} attempts, {unsent} recorded and not sent: {leases}", seen.len()))
    })
    .await;
}

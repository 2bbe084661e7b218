//! Windows that end while requests are under way, and clocks that are set.

use std::time::Duration;

use tokio::time::sleep;
use turnpike_ledger::engine::{Cause, Used};

use crate::fleet::{Fleet, Terms};

const MS: Duration = Duration::from_millis(1);
const SECOND: i64 = 1_000_000;
const MARCH: i64 = 1_772_323_200 * SECOND;
const APRIL: i64 = 1_775_001_600 * SECOND;

#[tokio::test(start_paused = true)]
async fn what_is_held_over_the_end_of_a_month_is_booked_in_the_month_of_its_start() {
    let fleet = Fleet::at(APRIL - 2 * SECOND, 2);
    let account = Terms { limit: 100, ..Terms::default() }.account();
    let hold = fleet.first().reserve(&account, 80).await.unwrap();
    assert_eq!(
        fleet.gateways[1].reserve(&account, 80).await.map(drop).map_err(|refusal| refusal.cause),
        Ok(()),
        "it waited"
    );
    sleep(MS * 1000).await;
    // All of the new month's limit is there at once, here and elsewhere.
    let whole = fleet.gateways[1].reserve(&account, 100).await.unwrap();
    assert_eq!(fleet.first().reserve(&account, 1).await.unwrap_err().cause, Cause::Exhausted);
    let settled = hold.settle(Used { nano_usd: 70, tokens: 0 });
    assert_eq!(settled.postings[0].slot, MARCH);
    fleet.world.book(fleet.first().holder, &settled.postings);
    fleet.gateways[1].pay(whole, 100);
    fleet.booked().await;
    sleep(MS * 3000).await;
    assert_eq!(fleet.world.outstanding(&account.id), 0);
    let spent = fleet.world.lock().accounts[&account.id].spent.clone();
    assert_eq!(spent.into_iter().filter(|(_, amount)| *amount != 0).collect::<Vec<_>>(), [(MARCH, 70), (APRIL, 100)]);
    fleet.check();
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_goes_back_does_not_reopen_a_window() {
    let fleet = Fleet::at(APRIL - SECOND, 1);
    let account = Terms { limit: 100, ..Terms::default() }.account();
    drop(fleet.first().reserve(&account, 20).await.unwrap());
    sleep(MS * 2000).await;
    drop(fleet.first().reserve(&account, 20).await.unwrap());
    sleep(MS * 20).await;
    fleet.world.lock().clock -= 10 * SECOND;
    sleep(MS * 600).await;
    assert!(fleet.first().ledger.now() < APRIL, "it was told");
    for _ in 0..20 {
        let wait = fleet.first().reserve(&account, 20).await;
        if let Ok(hold) = wait {
            assert_eq!(hold.bound()[0].slot, APRIL);
        }
        sleep(MS * 1000).await;
    }
    fleet.first().reserve(&account, 90).await.unwrap();
    let leases = fleet.world.lock().accounts[&account.id].leases.len();
    assert!(leases <= 3, "{leases}");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_wrong_by_days_is_put_right() {
    let fleet = Fleet::at(APRIL - SECOND, 1);
    let account = Terms { limit: 100, ..Terms::default() }.account();
    drop(fleet.first().reserve(&account, 20).await.unwrap());
    fleet.world.lock().clock += 40 * 86_400 * SECOND;
    sleep(MS * 6000).await;
    assert!(fleet.first().reserve(&account, 20).await.unwrap().bound()[0].slot > APRIL);
    fleet.world.lock().clock -= 40 * 86_400 * SECOND;
    sleep(MS * 6000).await;
    assert_eq!(fleet.first().reserve(&account, 20).await.unwrap().bound()[0].slot, APRIL);
}

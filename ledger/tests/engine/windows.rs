//! Windows that end while requests are under way, and clocks that are set.

use std::time::Duration;

use tokio::time::sleep;
use turnpike_crds::budget::{Window, WindowType};
use turnpike_ledger::{
    engine::{Cause, Used},
    window::WindowSpec,
};

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
            assert_eq!(hold.bound(Used::MOST)[0].slot, APRIL);
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
    assert!(fleet.first().reserve(&account, 20).await.unwrap().bound(Used::MOST)[0].slot > APRIL);
    fleet.world.lock().clock -= 40 * 86_400 * SECOND;
    sleep(MS * 6000).await;
    assert_eq!(fleet.first().reserve(&account, 20).await.unwrap().bound(Used::MOST)[0].slot, APRIL);
}

#[tokio::test(start_paused = true)]
async fn who_may_have_been_given_up_takes_nothing_more_of_a_rolling_window() {
    for kind in [WindowType::Rolling, WindowType::Calendar] {
        let fleet = Fleet::new(2);
        let window = WindowSpec::new(Window::Day, Some(kind), jiff::tz::TimeZone::UTC);
        let account = Terms { limit: 10_000, window, ..Terms::default() }.account();
        drop(fleet.first().reserve(&account, 20).await.unwrap());
        sleep(MS * 2000).await;
        assert!(fleet.world.outstanding(&account.id) >= 20, "it has something at hand");
        fleet.world.lock().cut_off.insert(fleet.first().holder);
        for _ in 0..5 {
            sleep(MS * 10_000).await;
            let hold = fleet.first().reserve(&account, 1).await.unwrap();
            fleet.first().pay(hold, 1);
        }
        sleep(MS * 15_000).await;
        // From here on others may have its part: of a day that has an end it was booked there, of another it comes back.
        let tried = fleet.first().reserve(&account, 1).await.map(drop).map_err(|refusal| refusal.cause);
        let expected = if kind == WindowType::Rolling { Err(Cause::Unavailable) } else { Ok(()) };
        assert_eq!(tried, expected, "{kind:?}");
        fleet.world.lock().cut_off.clear();
        sleep(MS * 5000).await;
        fleet.first().reserve(&account, 20).await.unwrap();
        fleet.check();
    }
}

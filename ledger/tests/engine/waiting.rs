//! Who waits, how long, and in which order.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, advance, sleep, timeout},
};
use turnpike_ledger::engine::{Cause, Need};

use crate::fleet::{Fleet, Rng, Terms};

const MS: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn requests_are_served_in_the_order_in_which_they_came() {
    let fleet = Fleet::new(1);
    let account = Terms { limit: 100, ..Terms::default() }.account();
    let all = fleet.first().reserve(&account, 100).await.unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut waiting = JoinSet::new();
    for i in 0..10 {
        let (gateway, account, order) = (fleet.first().clone(), Arc::clone(&account), Arc::clone(&order));
        waiting.spawn(async move {
            let hold = gateway.reserve(&account, 40 + i).await.unwrap();
            order.lock().unwrap().push(i);
            sleep(MS * 20).await;
            drop(hold);
        });
        sleep(MS).await;
    }
    drop(all);
    while let Some(done) = waiting.join_next().await {
        done.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), (0..10).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn who_is_late_with_the_others_is_not_refused_what_is_there_for_all() {
    let fleet = Fleet::new(1);
    let account = Terms { limit: 100, ..Terms::default() }.account();
    let (little, most) =
        (fleet.first().reserve(&account, 10).await.unwrap(), fleet.first().reserve(&account, 90).await.unwrap());
    let mut waiting = JoinSet::new();
    let mut wait = |caller: &'static str| {
        let (gateway, needs) = (fleet.first().clone(), [Need::new(Arc::clone(&account), 10)]);
        waiting.spawn(async move { gateway.ledger.reserve(&needs, caller).await.map(|hold| (hold, gateway)) });
    };
    (0..8).for_each(|_| wait("many"));
    sleep(MS * 1000).await;
    wait("one");
    sleep(MS * 500).await;
    // The first of the many has it; the turn is the other caller's, who came last.
    drop(little);
    tokio::spawn(async move {
        sleep(MS * 450).await;
        drop(most);
    });
    sleep(MS * 400).await;
    // The processor comes back when the time of the many is over as well, and to them before it comes to whoever has the turn.
    advance(MS * 200).await;
    while let Some(done) = waiting.join_next().await {
        assert!(done.unwrap().is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_request_is_not_starved_by_small_ones() {
    let fleet = Fleet::new(1);
    let account = Terms { limit: 100, ..Terms::default() }.account();
    let mut clients = JoinSet::new();
    for seed in 0..50 {
        let (gateway, account, mut rng) = (fleet.first().clone(), Arc::clone(&account), Rng(seed));
        clients.spawn(async move {
            for _ in 0..40 {
                if let Ok(hold) = gateway.reserve(&account, 10).await {
                    sleep(MS * u32::try_from(10 + rng.below(40)).unwrap()).await;
                    drop(hold);
                }
            }
        });
    }
    sleep(MS * 200).await;
    for _ in 0..5 {
        // Ten times as much as the others need, which never leave more than a little free.
        fleet.first().reserve(&account, 100).await.unwrap();
    }
    clients.abort_all();
}

#[tokio::test(start_paused = true)]
async fn who_stops_waiting_leaves_no_trace() {
    let fleet = Fleet::new(1);
    let account = Terms { limit: 100, ..Terms::default() }.account();
    let all = fleet.first().reserve(&account, 100).await.unwrap();
    for patience in [1, 50, 150, 500] {
        let mut waiting = JoinSet::new();
        for _ in 0..5 {
            let (gateway, account) = (fleet.first().clone(), Arc::clone(&account));
            waiting.spawn(async move { timeout(MS * patience, gateway.reserve(&account, 30)).await.is_err() });
        }
        while let Some(gave_up) = waiting.join_next().await {
            assert!(gave_up.unwrap());
        }
    }
    drop(all);
    let began = Instant::now();
    let hold = fleet.first().reserve(&account, 60).await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO, "it had to wait for nobody");
    drop(hold);
    sleep(MS * 3000).await;
    assert_eq!(fleet.world.outstanding(&account.id), 0, "it is asked for by nobody");
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_two_seconds_for_others_to_end_and_not_at_all_where_nothing_can() {
    let fleet = Fleet::new(2);
    let account = Terms { limit: 100, ..Terms::default() }.account();
    let hold = fleet.gateways[1].reserve(&account, 60).await.unwrap();
    let began = Instant::now();
    assert_eq!(fleet.first().reserve(&account, 60).await.unwrap_err().cause, Cause::Exhausted);
    let took = began.elapsed();
    assert!((MS * 2000..MS * 2100).contains(&took), "{took:?}");
    fleet.gateways[1].pay(hold, 60);
    fleet.booked().await;
    sleep(MS * 1000).await;
    let began = Instant::now();
    assert_eq!(fleet.first().reserve(&account, 60).await.unwrap_err().cause, Cause::Exhausted);
    assert!(began.elapsed() < MS * 10, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_gets_what_another_gateway_does_not_use() {
    let fleet = Fleet::new(2);
    let account = Terms { limit: 100, ..Terms::default() }.account();
    for _ in 0..20 {
        drop(fleet.gateways[1].reserve(&account, 20).await.unwrap());
        sleep(MS * 10).await;
    }
    assert!(fleet.world.outstanding(&account.id) > 0, "the other gateway is warm");
    fleet.first().reserve(&account, 100).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_idle_elsewhere_is_recalled_and_not_waited_for() {
    for phase in 0..12 {
        let fleet = Fleet::new(3);
        let account = Terms { limit: 1000, ..Terms::default() }.account();
        for gateway in &fleet.gateways[1..] {
            drop(gateway.reserve(&account, 20).await.unwrap());
        }
        // There is plenty, so that they keep what they have for a while, and look now and then whether there still is.
        sleep(MS * (1000 + 130 * phase)).await;
        assert!(fleet.world.outstanding(&account.id) >= 40, "the other gateways are warm");
        let began = Instant::now();
        fleet.first().reserve(&account, 1000).await.unwrap();
        let took = began.elapsed();
        // A gateway that waits asks again at the first of its ticks that is 100 ms later.
        assert!(took < MS * 250, "{took:?}");
        fleet.check();
    }
}

/// Two accounts that are both scarce: each request needs both, and there are requests that need one of them.
#[tokio::test(start_paused = true)]
async fn requests_do_not_send_each_other_from_queue_to_queue() {
    let fleet = Fleet::new(1);
    let accounts = ["a", "b"].map(|name| Terms { name, limit: 10, ..Terms::default() }.account());
    let mut clients = JoinSet::new();
    for i in 0..120 {
        let (gateway, accounts) = (fleet.first().clone(), accounts.clone());
        clients.spawn(async move {
            let mine = match i % 3 {
                0 => &accounts[..],
                1 => &accounts[..1],
                _ => &accounts[1..],
            };
            let needs: Vec<_> = mine.iter().map(|account| Need::new(Arc::clone(account), 5)).collect();
            let hold = gateway.ledger.reserve(&needs, "somebody").await;
            sleep(MS * 20).await;
            hold.is_ok()
        });
    }
    let mut passed = 0;
    while let Some(one) = clients.join_next().await {
        passed += usize::from(one.unwrap());
    }
    // 40 need both and 40 more need each: 80 for each account, two at a time, 20 ms each, are 0.8 s of the 2 s that they wait.
    assert_eq!(passed, 120);
}

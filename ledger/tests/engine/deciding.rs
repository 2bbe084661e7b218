//! The test that decides: 1,000 clients at three gateways spend one dollar to its end and not beyond it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::fleet::{Fleet, Gateway, Rng, Terms, USD};
use turnpike_ledger::account::AccountSpec;

#[derive(Default)]
struct Run {
    in_flight: AtomicUsize,
    requests: AtomicUsize,
    over: AtomicBool,
}

/// Sends requests until somebody was refused while nothing was in flight.
async fn client(gateway: Gateway, account: Arc<AccountSpec>, bound: i64, run: Arc<Run>, mut rng: Rng) {
    while !run.over.load(Ordering::Acquire) {
        run.requests.fetch_add(1, Ordering::AcqRel);
        let reserve = gateway.reserve(&account, bound);
        let patience = if rng.one_in(10) { rng.below(300) } else { 60_000 };
        let Ok(answer) = timeout(Duration::from_millis(u64::try_from(patience).unwrap()), reserve).await else {
            continue;
        };
        match answer {
            Ok(hold) => {
                run.in_flight.fetch_add(1, Ordering::AcqRel);
                sleep(Duration::from_millis(u64::try_from(5 + rng.below(200)).unwrap())).await;
                run.in_flight.fetch_sub(1, Ordering::AcqRel);
                // One in ten is not sent after all.
                if rng.one_in(10) { drop(hold) } else { gateway.pay(hold, 1 + rng.below(bound)) }
            }
            Err(_) if run.in_flight.load(Ordering::Acquire) == 0 => run.over.store(true, Ordering::Release),
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

/// nano-USD spent, and exchanges for each 1,000 requests.
async fn spend(bound: i64, seed: u64) -> (i64, u64) {
    let fleet = Fleet::new(3);
    let account = Terms::default().account();
    let run = Arc::new(Run::default());
    let mut clients = JoinSet::new();
    for i in 0..1000 {
        let gateway = fleet.gateways[i % 3].clone();
        let rng = Rng(seed.wrapping_mul(1000) + u64::try_from(i).unwrap());
        clients.spawn(client(gateway, Arc::clone(&account), bound, Arc::clone(&run), rng));
    }
    let began = fleet.world.now();
    while clients.join_next().await.is_some() {}
    let took = fleet.world.now() - began;
    fleet.booked().await;
    fleet.check();
    assert_eq!(fleet.world.booked(&account.id), fleet.used());
    let requests = u64::try_from(run.requests.load(Ordering::Acquire)).unwrap();
    let exchanges = fleet.world.lock().exchanges;
    println!("seed {seed}: spent {} of 1e9 in {took} us, {requests} requests, {exchanges} exchanges", fleet.used());
    (fleet.used(), exchanges * 1000 / requests)
}

#[tokio::test(start_paused = true)]
async fn a_dollar_is_spent_to_its_end_by_requests_of_a_hundredth() {
    for seed in 0..5 {
        let (spent, _) = spend(USD / 100, seed).await;
        assert!((USD * 95 / 100..=USD).contains(&spent), "seed {seed}: {spent}");
    }
}

/// No more than nine tenths can be promised: the last request finds less than it may need.
#[tokio::test(start_paused = true)]
async fn a_dollar_is_spent_to_its_end_by_requests_of_a_tenth() {
    for seed in 0..5 {
        let (spent, _) = spend(USD / 10, seed).await;
        assert!((USD * 90 / 100..=USD).contains(&spent), "seed {seed}: {spent}");
    }
}

//! Many threads at the same accounts, as a gateway's runtimes are: no time is simulated here.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::runtime::Builder;
use turnpike_ledger::{
    account::Unit,
    engine::{Leases, Ledger, Need, Used},
};
use uuid::Uuid;

use crate::{
    fleet::{Rng, Terms, USD},
    world::World,
};

const CLIENTS: usize = 16;

/// Every hold is checked by counters of its own: what is held never passes the limit, and no wake-up is lost.
#[test]
fn threads_never_hold_more_than_the_limit_and_never_sleep_for_good() {
    let world = World::new(jiff::Timestamp::now().as_microsecond());
    let holder = Uuid::new_v4();
    let (money, rates) = (world.store(holder), world.store(holder));
    let (ledger, running) = Ledger::start(Leases { money, rates, holder, longest: Duration::from_mins(1) }).unwrap();
    let budget = Terms { name: "a", limit: USD, ..Terms::default() }.account();
    let parallel = Terms { name: "b", ..Terms::rate(Unit::Parallel, 5) }.account();
    let (spent, held, under_way) = (AtomicI64::new(0), AtomicI64::new(0), AtomicI64::new(0));
    let (spent, held, under_way) = (&spent, &held, &under_way);
    let client = |seed: u64| {
        let (ledger, mut rng) = (ledger.clone(), Rng(seed));
        let budget = Need::new(Arc::clone(&budget), USD / 40);
        let parallel = Need::new(Arc::clone(&parallel), 1);
        let world = world.clone();
        async move {
            for _ in 0..400 {
                let both = [budget.clone(), parallel.clone()];
                let needs = if rng.one_in(3) { &both[..] } else { &both[..1] };
                let Ok(hold) = ledger.reserve(needs, "somebody").await else { continue };
                let all = held.fetch_add(USD / 40, Ordering::SeqCst) + USD / 40 + spent.load(Ordering::SeqCst);
                assert!(all <= USD, "{all} is held and spent");
                if needs.len() == 2 {
                    assert!(under_way.fetch_add(1, Ordering::SeqCst) < 5);
                }
                tokio::task::yield_now().await;
                let used = rng.below(USD / 20_000);
                // Counted down before the ledger frees it: the counters never tell more than there is.
                if needs.len() == 2 {
                    under_way.fetch_sub(1, Ordering::SeqCst);
                }
                held.fetch_sub(USD / 40, Ordering::SeqCst);
                spent.fetch_add(used, Ordering::SeqCst);
                world.book(holder, &hold.settle(Used { nano_usd: used, tokens: 0 }).postings);
            }
        }
    };
    thread::scope(|scope| {
        for worker in 0..4 {
            let client = &client;
            scope.spawn(move || {
                let runtime = Builder::new_current_thread().enable_time().build().unwrap();
                runtime.block_on(async {
                    let clients = (0..CLIENTS).map(|i| client(worker * 1000 + u64::try_from(i).unwrap()));
                    futures(clients.collect()).await;
                });
            });
        }
    });
    let spent = spent.load(Ordering::SeqCst);
    assert!(spent > 0);
    assert_eq!(world.booked(&budget.id), spent);
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(running.stop(Duration::from_secs(5)));
    assert_eq!((world.outstanding(&budget.id), world.outstanding(&parallel.id)), (0, 0));
    assert_eq!(world.lock().violations, Vec::<String>::new());
}

/// All of them at once, on this thread.
async fn futures<F: Future<Output = ()>>(all: Vec<F>) {
    let mut all: Vec<_> = all.into_iter().map(|one| Some(Box::pin(one))).collect();
    std::future::poll_fn(|context| {
        for one in &mut all {
            if one.as_mut().is_some_and(|future| future.as_mut().poll(context).is_ready()) {
                *one = None;
            }
        }
        if all.iter().all(Option::is_none) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

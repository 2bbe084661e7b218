//! Waiting for a rate or a place that others have used up: for how long, in which order, and who is refused at once.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    task::{JoinSet, yield_now},
    time::{Instant, sleep, timeout},
};
use turnpike_ledger::{
    account::{AccountSpec, Unit},
    engine::{Cause, Hold, Need, Refusal, Used},
};

use crate::fleet::{Fleet, Gateway, Terms};

const MS: Duration = Duration::from_millis(1);

fn places(limit: i64) -> Arc<AccountSpec> {
    Terms::rate(Unit::Parallel, limit).account()
}

async fn ask(gateway: &Gateway, account: &Arc<AccountSpec>, caller: &str, wait: Duration) -> Result<Hold, Refusal> {
    gateway.ledger.reserve(&[Need { wait, ..Need::new(Arc::clone(account), 1) }], caller).await
}

/// Until `count` requests wait.
async fn waiting(gateway: &Gateway, count: usize) {
    let all = || gateway.ledger.queued().iter().map(|(_, waiting)| waiting).sum::<usize>();
    timeout(MS * 5000, async {
        while all() != count {
            sleep(MS).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_place_is_waited_for_as_long_as_the_need_says_and_taken_when_it_is_free() {
    let fleet = Fleet::new(1);
    let account = places(1);
    let taken = ask(fleet.first(), &account, "a", Duration::ZERO).await.unwrap();
    let began = Instant::now();
    assert_eq!(ask(fleet.first(), &account, "a", Duration::ZERO).await.unwrap_err().cause, Cause::Exhausted);
    assert!(began.elapsed() < MS * 300, "{:?}", began.elapsed());
    for seconds in [1, 7] {
        let began = Instant::now();
        let refusal = ask(fleet.first(), &account, "a", MS * seconds * 1000).await.unwrap_err();
        assert_eq!((refusal.cause, refusal.retry_after), (Cause::Exhausted, Some(MS * 1000)));
        let took = began.elapsed();
        assert!((MS * seconds * 1000..MS * (seconds * 1000 + 300)).contains(&took), "{took:?}");
    }
    let (gateway, account) = (fleet.first().clone(), Arc::clone(&account));
    let next = tokio::spawn(async move { ask(&gateway, &account, "a", MS * 10_000).await });
    waiting(fleet.first(), 1).await;
    sleep(MS * 5000).await;
    let began = Instant::now();
    fleet.first().settle(taken, Used::default());
    next.await.unwrap().unwrap();
    assert!(began.elapsed() < MS * 10, "{:?}", began.elapsed());
    assert_eq!(fleet.first().ledger.queued(), []);
}

/// One caller has queued fifty requests before three others come with two each.
#[tokio::test(start_paused = true)]
async fn a_caller_with_many_requests_does_not_keep_out_the_others() {
    let fleet = Fleet::new(1);
    let account = places(2);
    let taken = [ask(fleet.first(), &account, "greedy", Duration::ZERO).await.unwrap()];
    let other = ask(fleet.first(), &account, "greedy", Duration::ZERO).await.unwrap();
    let (order, mut clients) = (Arc::new(Mutex::new(Vec::new())), JoinSet::new());
    let callers = std::iter::repeat_n("greedy", 50).chain(["b", "b", "c", "c", "d", "d"]);
    for (count, caller) in callers.enumerate() {
        let (gateway, account, order) = (fleet.first().clone(), Arc::clone(&account), Arc::clone(&order));
        clients.spawn(async move {
            let hold = ask(&gateway, &account, caller, MS * 60_000).await.unwrap();
            order.lock().unwrap().push(caller);
            sleep(MS * 100).await;
            gateway.settle(hold, Used::default());
        });
        waiting(fleet.first(), count + 1).await;
    }
    drop((taken, other));
    while let Some(done) = clients.join_next().await {
        done.unwrap();
    }
    let order = order.lock().unwrap();
    let place = |caller| order.iter().rposition(|other| *other == caller).unwrap();
    assert!(["b", "c", "d"].into_iter().all(|caller| place(caller) < 10), "{order:?}");
    assert_eq!(order.len(), 56);
}

#[tokio::test(start_paused = true)]
async fn one_caller_has_a_hundred_requests_waiting_at_most() {
    let fleet = Fleet::new(1);
    let account = places(1);
    let taken = ask(fleet.first(), &account, "a", Duration::ZERO).await.unwrap();
    let mut clients = JoinSet::new();
    for _ in 0..150 {
        let (gateway, account) = (fleet.first().clone(), Arc::clone(&account));
        clients.spawn(async move { ask(&gateway, &account, "a", MS * 60_000).await.is_ok() });
        yield_now().await;
        sleep(MS * 5).await;
    }
    // One has the turn, a hundred wait for it.
    waiting(fleet.first(), 101).await;
    let (gateway, other) = (fleet.first().clone(), Arc::clone(&account));
    let other = tokio::spawn(async move { ask(&gateway, &other, "b", MS * 60_000).await });
    waiting(fleet.first(), 102).await;
    let began = Instant::now();
    assert!(ask(fleet.first(), &account, "c", Duration::ZERO).await.is_err());
    assert_eq!(began.elapsed(), Duration::ZERO, "who may not wait does not queue behind those who do");
    drop(taken);
    assert!(other.await.unwrap().is_ok());
    let mut passed = 0;
    while let Some(one) = clients.join_next().await {
        passed += usize::from(one.unwrap());
    }
    assert_eq!(passed, 101);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_frees_its_place_in_the_queue() {
    let fleet = Fleet::new(1);
    let account = places(1);
    let taken = ask(fleet.first(), &account, "a", Duration::ZERO).await.unwrap();
    for _ in 0..3 {
        let mut clients = JoinSet::new();
        for _ in 0..5 {
            let (gateway, account) = (fleet.first().clone(), Arc::clone(&account));
            clients.spawn(async move { ask(&gateway, &account, "a", MS * 60_000).await.is_ok() });
        }
        waiting(fleet.first(), 5).await;
        clients.shutdown().await;
        waiting(fleet.first(), 0).await;
    }
    drop(taken);
    let began = Instant::now();
    ask(fleet.first(), &account, "a", Duration::ZERO).await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_waited_for_where_it_comes_back_in_time() {
    let fleet = Fleet::new(1);
    let account = Terms::rate(Unit::Requests, 30).account();
    for _ in 0..30 {
        fleet.first().settle(ask(fleet.first(), &account, "a", Duration::ZERO).await.unwrap(), Used::default());
    }
    // All of it was used just now, so that nothing of it is back in five seconds.
    let began = Instant::now();
    assert_eq!(ask(fleet.first(), &account, "a", MS * 5000).await.unwrap_err().cause, Cause::Exhausted);
    assert!(began.elapsed() < MS * 300, "{:?}", began.elapsed());
    ask(fleet.first(), &account, "a", MS * 70_000).await.unwrap();
    let took = began.elapsed();
    assert!((MS * 59_000..MS * 62_000).contains(&took), "as the first ones leave the window: {took:?}");
    // At one a minute there is no use in waiting for ten seconds.
    let slow = Terms { name: "slow", ..Terms::rate(Unit::Requests, 1) }.account();
    fleet.first().settle(ask(fleet.first(), &slow, "a", Duration::ZERO).await.unwrap(), Used::default());
    sleep(MS * 500).await;
    let began = Instant::now();
    assert!(ask(fleet.first(), &slow, "a", MS * 10_000).await.is_err());
    assert!(began.elapsed() < MS * 300, "{:?}", began.elapsed());
}

/// Two gateways of which one has all places: the other's requests wait for them too.
#[tokio::test(start_paused = true)]
async fn places_at_other_gateways_are_waited_for() {
    let fleet = Fleet::new(2);
    let account = places(2);
    let taken = [
        ask(&fleet.gateways[1], &account, "a", Duration::ZERO).await.unwrap(),
        ask(&fleet.gateways[1], &account, "a", Duration::ZERO).await.unwrap(),
    ];
    let (gateway, places) = (fleet.first().clone(), Arc::clone(&account));
    let next = tokio::spawn(async move { ask(&gateway, &places, "b", MS * 10_000).await });
    waiting(fleet.first(), 1).await;
    sleep(MS * 4000).await;
    drop(taken);
    let began = Instant::now();
    next.await.unwrap().unwrap();
    assert!(began.elapsed() < MS * 1500, "{:?}", began.elapsed());
}

/// Of two backends with one place each, the first that is free.
fn either(accounts: &[Arc<AccountSpec>; 2], wait: Duration) -> Vec<Vec<Need>> {
    accounts.iter().map(|account| vec![Need { wait, ..Need::new(Arc::clone(account), 1) }]).collect()
}

fn two() -> [Arc<AccountSpec>; 2] {
    ["one", "two"].map(|name| Terms { name, ..Terms::rate(Unit::Parallel, 1) }.account())
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_several_gets_the_first_that_is_free_in_the_order_in_which_they_came() {
    let fleet = Fleet::new(1);
    let accounts = two();
    let one = ask(fleet.first(), &accounts[0], "a", Duration::ZERO).await.unwrap();
    let other = ask(fleet.first(), &accounts[1], "a", Duration::ZERO).await.unwrap();
    let (order, mut clients) = (Arc::new(Mutex::new(Vec::new())), JoinSet::new());
    for number in 0..6 {
        let (gateway, options, order) = (fleet.first().clone(), either(&accounts, MS * 60_000), Arc::clone(&order));
        clients.spawn(async move {
            let mut hold = Hold::default();
            let at = gateway.ledger.extend_any(&mut hold, &options, "a").await.unwrap();
            order.lock().unwrap().push((number, at));
            sleep(MS * 100).await;
            gateway.settle(hold, Used::default());
        });
        // One in each queue.
        waiting(fleet.first(), (number + 1) * 2).await;
    }
    // Only the second is free for the first three of them, and then both.
    drop(other);
    while order.lock().unwrap().len() < 3 {
        sleep(MS).await;
    }
    drop(one);
    while let Some(done) = clients.join_next().await {
        done.unwrap();
    }
    let order = order.lock().unwrap();
    assert!(order.iter().map(|(number, _)| *number).eq(0..6), "{order:?}");
    assert!(order[..3].iter().all(|(_, at)| *at == 1), "{order:?}");
    assert!(order[3..].iter().any(|(_, at)| *at == 0), "{order:?}");
    assert_eq!(fleet.first().ledger.queued(), []);
    fleet.check();
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_several_has_its_bound_and_leaves_what_is_held() {
    let fleet = Fleet::new(1);
    let (accounts, key) = (two(), Terms { name: "key", ..Terms::rate(Unit::Parallel, 1) }.account());
    let ledger = &fleet.first().ledger;
    let mut hold = ask(fleet.first(), &key, "a", Duration::ZERO).await.unwrap();
    let taken = [
        ask(fleet.first(), &accounts[0], "b", Duration::ZERO).await.unwrap(),
        ask(fleet.first(), &accounts[1], "b", Duration::ZERO).await.unwrap(),
    ];
    let with_key = |wait| {
        let mut options = either(&accounts, wait);
        for needs in &mut options {
            needs.push(Need::new(Arc::clone(&key), 1));
            needs.sort_by(|a, b| a.account.id.cmp(&b.account.id));
        }
        options
    };
    let began = Instant::now();
    assert_eq!(ledger.extend_any(&mut hold, &with_key(MS * 3000), "a").await, None);
    assert!((MS * 3000..MS * 3300).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_eq!((hold.amount(&key), ledger.queued().len()), (1, 0));
    // Whoever leaves is in none of the queues any more.
    let options = either(&accounts, MS * 60_000);
    let left = timeout(MS * 500, ledger.extend_any(&mut hold, &options, "a")).await;
    assert!(left.is_err());
    assert_eq!(ledger.queued(), []);
    drop(taken);
    let at = ledger.extend_any(&mut hold, &with_key(MS * 3000), "a").await.unwrap();
    assert_eq!([&accounts[at], &key].map(|account| hold.amount(account)), [1, 1], "its own place is not taken twice");
    assert_eq!(hold.amount(&accounts[1 - at]), 0);
    fleet.check();
}

//! Random interleavings of all that can happen, on three gateways: no limit is passed, and nothing stays blocked.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::tz::TimeZone;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use turnpike_crds::budget::{Window, WindowType};
use turnpike_ledger::{
    account::{AccountId, AccountSpec, Unit},
    engine::{Need, Used},
    window::WindowSpec,
};

use crate::{
    fleet::{Fleet, Gateway, NOON, Rng, Terms, limited},
    world::Mode,
};

/// 2026-04-01T00:00:00Z.
const APRIL: i64 = 1_775_001_600_000_000;
/// After this long without requests nothing is kept at hand.
const QUIET: Duration = Duration::from_secs(35);

/// What the clients of one run share.
struct Run {
    accounts: Mutex<Vec<Arc<AccountSpec>>>,
    /// Really used, by account and slot.
    used: Mutex<BTreeMap<(AccountId, i64), i64>>,
}

fn millis(count: i64) -> Duration {
    Duration::from_millis(u64::try_from(count).unwrap())
}

fn accounts() -> Vec<Arc<AccountSpec>> {
    let rolling = WindowSpec::new(Window::Day, Some(WindowType::Rolling), TimeZone::UTC);
    let mut accounts = vec![
        Terms { name: "a", limit: 1000, ..Terms::default() }.account(),
        Terms { name: "b", limit: 1500, window: rolling, ..Terms::default() }.account(),
        Terms { name: "c", ..Terms::rate(Unit::Parallel, 8) }.account(),
        Terms { name: "d", ..Terms::rate(Unit::Requests, 40) }.account(),
    ];
    accounts.sort_by(|a, b| a.id.cmp(&b.id));
    accounts
}

/// One request of some of the accounts: perhaps given up while it waits, perhaps not sent after all.
async fn request(gateway: Gateway, run: Arc<Run>, mut rng: Rng) {
    let accounts = run.accounts.lock().unwrap().clone();
    let needs = accounts.into_iter().filter_map(|account| {
        let amount = if account.is_rate() { 1 } else { 1 + rng.below(300) };
        (!rng.one_in(3)).then_some(Need::new(account, amount))
    });
    let needs: Vec<Need> = needs.collect();
    let least = needs.iter().filter(|need| !need.account.is_rate()).map(|need| need.amount).min().unwrap_or(0);
    let patience = if rng.one_in(4) { millis(rng.below(400)) } else { Duration::from_mins(1) };
    let Ok(Ok(hold)) = timeout(patience, gateway.ledger.reserve(&needs, "somebody")).await else { return };
    let lasts = if rng.one_in(10) { 4000 } else { 200 };
    sleep(millis(rng.below(lasts))).await;
    if rng.one_in(5) {
        return;
    }
    let nano_usd = rng.below(least + 1);
    for posting in hold.bound(Used::MOST) {
        *run.used.lock().unwrap().entry((posting.account, posting.slot)).or_default() += nano_usd;
    }
    gateway.settle(hold, Used { nano_usd, tokens: 0 });
}

/// The highest limit of an account that there ever was.
type Highest = BTreeMap<AccountId, i64>;

async fn happen(fleet: &Fleet, run: &Arc<Run>, rng: &mut Rng, highest: &mut Highest) {
    let began = Instant::now();
    let mut clients = JoinSet::new();
    while began.elapsed() < Duration::from_secs(4) {
        match rng.below(40) {
            0 => {
                let modes = [Mode::Silent, Mode::Refuses, Mode::LosesReplies, Mode::Late, Mode::Suspended];
                fleet.world.set(modes[usize::try_from(rng.below(5)).unwrap()]);
            }
            1..=4 => fleet.world.set(Mode::Up),
            5 => {
                let mut accounts = run.accounts.lock().unwrap();
                let at = usize::try_from(rng.below(4)).unwrap();
                let limit = if accounts[at].is_rate() { 1 + rng.below(40) } else { 300 + rng.below(2000) };
                accounts[at] = limited(&accounts[at], limit);
                let most = highest.entry(accounts[at].id.clone()).or_default();
                *most = limit.max(*most);
            }
            _ => {
                let gateway = fleet.gateways[usize::try_from(rng.below(3)).unwrap()].clone();
                clients.spawn(request(gateway, Arc::clone(run), Rng(rng.below(i64::MAX).unsigned_abs())));
            }
        }
        sleep(millis(rng.below(100))).await;
    }
    fleet.world.set(Mode::Up);
    while let Some(done) = clients.join_next().await {
        done.unwrap();
    }
    fleet.booked().await;
}

/// A gateway that reaches the store no more is given up, and comes back.
async fn lose_one(fleet: &Fleet, run: &Arc<Run>, rng: &mut Rng, highest: &mut Highest) {
    let lost = fleet.gateways[usize::try_from(rng.below(3)).unwrap()].holder;
    fleet.world.lock().cut_off.insert(lost);
    happen(fleet, run, rng, highest).await;
    // 30 s for its longest request, 60 s more, and up to 30 s until somebody looks.
    sleep(Duration::from_secs(125)).await;
    fleet.world.lock().cut_off.clear();
    happen(fleet, run, rng, highest).await;
}

async fn interleave(seed: u64, loses_one: bool) {
    let mut rng = Rng(seed);
    // Every other run crosses the end of a month.
    let fleet = Fleet::at(if rng.one_in(2) { APRIL - rng.below(8_000_000) } else { NOON }, 3);
    let run = Arc::new(Run { accounts: Mutex::new(accounts()), used: Mutex::default() });
    let mut highest: Highest = accounts().iter().map(|account| (account.id.clone(), account.limit)).collect();
    happen(&fleet, &run, &mut rng, &mut highest).await;
    if loses_one {
        lose_one(&fleet, &run, &mut rng, &mut highest).await;
    }
    fleet.check();
    let used = run.used.lock().unwrap().clone();
    for account in run.accounts.lock().unwrap().iter() {
        let of = |slot: Option<i64>| -> i64 {
            let some = used.iter().filter(|((id, at), _)| *id == account.id && slot.is_none_or(|slot| slot == *at));
            some.map(|(_, amount)| amount).sum()
        };
        let is_calendar = account.window.window() == Window::Month;
        if !account.is_rate() {
            let booked = fleet.world.booked(&account.id);
            // What a gateway that was given up may have used stays booked.
            assert!(booked == of(None) || loses_one && booked > of(None), "seed {seed}: {booked} of {}", account.id);
        }
        let slots: Vec<Option<i64>> = if is_calendar {
            used.keys().filter(|(id, _)| *id == account.id).map(|(_, slot)| Some(*slot)).collect()
        } else {
            vec![None]
        };
        for slot in slots {
            assert!(of(slot) <= highest[&account.id], "seed {seed}: {} of {}", of(slot), account.id);
        }
    }
    sleep(QUIET).await;
    let accounts = run.accounts.lock().unwrap().clone();
    for account in accounts {
        assert_eq!(fleet.world.outstanding(&account.id), 0, "seed {seed}: {}", account.id);
        if account.is_rate() {
            continue;
        }
        let counted = account.window.counted_from(fleet.world.now());
        let booked =
            fleet.world.lock().accounts[&account.id].spent.range(counted..).map(|(_, amount)| amount).sum::<i64>();
        let left = account.limit - booked;
        let gateway = &fleet.gateways[usize::try_from(rng.below(3)).unwrap()];
        if left > 0 {
            drop(gateway.reserve(&account, left).await.unwrap_or_else(|refusal| panic!("seed {seed}: {refusal:?}")));
        }
        assert!(gateway.reserve(&account, left.max(0) + 1).await.is_err(), "seed {seed}");
    }
}

/// 1,000 runs, on all cores.
async fn interleave_all(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        interleave(seed, false).await;
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_no_limit_is_passed_and_nothing_stays_blocked() {
    interleave_all(0..250).await;
}

#[tokio::test(start_paused = true)]
async fn nor_in_the_second_quarter() {
    interleave_all(250..500).await;
}

#[tokio::test(start_paused = true)]
async fn nor_in_the_third_quarter() {
    interleave_all(500..750).await;
}

#[tokio::test(start_paused = true)]
async fn nor_in_the_last_quarter() {
    interleave_all(750..1000).await;
}

#[tokio::test(start_paused = true)]
async fn nor_when_gateways_are_lost_and_come_back() {
    for seed in 1000..1050 {
        interleave(seed, true).await;
    }
}

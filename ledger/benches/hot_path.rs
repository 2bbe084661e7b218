//! What a request pays for its limits: reserve and settle of five warm accounts, alone and with two threads at it.
#![expect(clippy::unwrap_used, reason = "a bench")]

use std::{
    collections::HashMap,
    hint::black_box,
    sync::{Arc, Barrier, Mutex},
    thread,
    time::Duration,
};

use criterion::Criterion;
use jiff::{Timestamp, tz::TimeZone};
use tokio::{
    runtime::{Builder, Runtime},
    time::Instant,
};
use turnpike_crds::budget::{Window, WindowType};
use turnpike_ledger::{
    account::{AccountId, AccountSpec, Charge, Excess, Outage, Owner, OwnerKind, Unit},
    engine::{Leases, Ledger, Need, Used},
    exchange::{Ask, Grants, Lease, LeaseId, Reply, Standing, exchange},
    spend_log::StoreError,
    store::{Answers, Balance, LeaseStore},
    window::WindowSpec,
};
use uuid::Uuid;

/// Grants as a database would, at once.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<HashMap<LeaseId, Lease>>>);

impl LeaseStore for Memory {
    async fn exchange(&mut self, asks: &[Ask]) -> Result<Answers, StoreError> {
        let now = Timestamp::now().as_microsecond();
        let mut leases = self.0.lock().unwrap();
        let mut answer = |ask: &Ask| -> Reply {
            let lease = leases.entry(ask.lease).or_default();
            let done = exchange(ask, now, Grants::Open, *lease, Standing::default());
            *lease = done.lease;
            done.reply
        };
        Ok(Answers { now, replies: asks.iter().map(&mut answer).collect() })
    }

    async fn beat(&mut self, _: Uuid, _: Duration) -> Result<i64, StoreError> {
        Ok(Timestamp::now().as_microsecond())
    }

    async fn close(&mut self, _: Uuid) -> Result<(), StoreError> {
        Ok(())
    }

    async fn reap(&mut self) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn balances(&mut self, accounts: &[(AccountId, i64, i64)]) -> Result<Vec<Balance>, StoreError> {
        Ok(vec![Balance::default(); accounts.len()])
    }
}

/// A budget in USD and one in tokens, a key's own budget, its rate, and its requests at the same time.
fn needs() -> Vec<Need> {
    let month = WindowSpec::new(Window::Month, Some(WindowType::Calendar), TimeZone::UTC);
    let day = WindowSpec::new(Window::Day, Some(WindowType::Rolling), TimeZone::UTC);
    let all = [
        (OwnerKind::Budget, Unit::NanoUsd, month.clone(), 2_000_000),
        (OwnerKind::Budget, Unit::Tokens, day, 2_000),
        (OwnerKind::VirtualKey, Unit::NanoUsd, month, 2_000_000),
        (OwnerKind::VirtualKey, Unit::Requests, WindowSpec::minute(), 1),
        (OwnerKind::VirtualKey, Unit::Parallel, WindowSpec::lifetime(), 1),
    ];
    let mut needs = all.map(|(kind, unit, window, amount)| {
        let owner = Owner { kind, namespace: "team-search".into(), name: "assistant".into() };
        let id = AccountId::new(&owner, unit, &window, "", None);
        let (excess, charge, outage) = (Excess::Refuse, Charge::Ahead, Outage::Refuse);
        let limit = i64::MAX / 4;
        let account = AccountSpec { id, owner, subject: "".into(), unit, window, limit, excess, charge, outage };
        Need::new(Arc::new(account), amount)
    });
    needs.sort_by(|a, b| a.account.id.cmp(&b.account.id));
    needs.to_vec()
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

async fn requests(ledger: &Ledger, needs: &[Need], count: u64) -> Duration {
    let began = Instant::now();
    for _ in 0..count {
        let hold = ledger.reserve(black_box(needs), "vk_1").await.unwrap();
        black_box(hold.settle(Used { nano_usd: 1_200_000, tokens: 900 }));
    }
    began.elapsed()
}

fn contended(ledger: &Ledger, needs: &[Need], count: u64) -> Duration {
    let start = Barrier::new(2);
    let work = || {
        let runtime = runtime();
        start.wait();
        runtime.block_on(requests(ledger, needs, count))
    };
    thread::scope(|scope| {
        let other = scope.spawn(work);
        work().max(other.join().unwrap())
    })
}

fn main() {
    let store = Memory::default();
    let leases = Leases { money: store.clone(), rates: store, holder: Uuid::new_v4(), longest: Duration::from_mins(1) };
    let (ledger, running) = Ledger::start(leases).unwrap();
    let (needs, runtime) = (needs(), runtime());
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("five accounts");
    group.bench_function("reserve and settle", |bencher| {
        bencher.iter_custom(|count| runtime.block_on(requests(&ledger, &needs, count)));
    });
    let (before, count) = (ledger.exchanges(), 100_000);
    runtime.block_on(requests(&ledger, &needs, count));
    println!("round trips to the store for {count} requests: {}", ledger.exchanges() - before);
    group.bench_function("reserve and settle, two threads", |bencher| {
        bencher.iter_custom(|count| contended(&ledger, &needs, count));
    });
    group.finish();
    criterion.final_summary();
    runtime.block_on(running.stop(Duration::from_secs(1)));
}

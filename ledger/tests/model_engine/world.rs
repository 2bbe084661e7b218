//! Gateways, their clients, and what is known of all that they let through.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, atomic::AtomicU64, atomic::Ordering},
    time::Duration,
};

use jiff::{Timestamp, tz::TimeZone};
use tokio::{task::JoinSet, time::sleep};
use turnpike_crds::budget::{Window, WindowType};
use turnpike_ledger::{
    account::{AccountId, AccountSpec, Charge, Excess, Outage, Owner, OwnerKind, Unit},
    engine::{Leases, Ledger, Need, Running, Used},
    spend_log::{EventId, Posting},
    store::LeaseStore as _,
    window::WindowSpec,
};
use uuid::Uuid;

use crate::{chance::Chance, memory::Memory};

/// What happens in one run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    seed: u64,
    gateways: u128,
    clients: u64,
    requests: u64,
    limit: i64,
    /// The largest bound of a request.
    largest: i64,
    slowness: u64,
    outage: bool,
    crash: bool,
    window: (Window, Option<WindowType>),
    /// From the start to the end of the window, seconds.
    window_ends: i64,
}

impl Plan {
    pub(crate) fn of(seed: u64) -> Self {
        let chance = Chance::new(seed);
        let windows = [
            (Window::Hour, Some(WindowType::Calendar)),
            (Window::Hour, Some(WindowType::Rolling)),
            (Window::Lifetime, None),
        ];
        let limit = 20 + chance.amount(2000);
        Self {
            seed,
            gateways: 1 + u128::from(chance.below(3)),
            clients: 1 + chance.below(6),
            requests: 1 + chance.below(20),
            limit,
            largest: 1 + limit / chance.amount(50),
            slowness: [1, 20, 200, 400][usize::try_from(chance.below(4)).unwrap()],
            outage: chance.percent(30),
            crash: chance.percent(30),
            window: windows[usize::try_from(chance.below(3)).unwrap()],
            window_ends: chance.amount(20),
        }
    }
}

/// What is known of an attempt from its OPEN on.
#[derive(Default)]
struct Attempts {
    /// Postings at the bound, then of what was used; gone when they are booked.
    open: BTreeMap<(Uuid, u64), Vec<Posting>>,
    /// What was let through, by account and slot.
    real: BTreeMap<(AccountId, i64), i64>,
}

impl Attempts {
    fn count(&mut self, postings: &[Posting], sign: i64, limit: i64) {
        for posting in postings {
            let real = self.real.entry((posting.account.clone(), posting.slot)).or_default();
            *real += sign * posting.amount;
            assert!(*real <= limit, "{} is overspent: {real} of {limit}", posting.account);
        }
    }
}

#[derive(Clone)]
struct Shared {
    memory: Memory,
    attempts: Arc<Mutex<Attempts>>,
    accounts: [Arc<AccountSpec>; 2],
    events: Arc<AtomicU64>,
    plan: Plan,
}

struct Gateway {
    holder: Uuid,
    running: Running,
    tasks: JoinSet<()>,
    clients: JoinSet<()>,
}

pub(crate) struct World {
    shared: Shared,
    gateways: Vec<Gateway>,
    chance: Chance,
}

fn account(plan: &Plan, unit: Unit) -> Arc<AccountSpec> {
    let owner = Owner { kind: OwnerKind::Budget, namespace: "llm".into(), name: "team".into() };
    let window = WindowSpec::new(plan.window.0, plan.window.1, TimeZone::UTC);
    Arc::new(AccountSpec {
        id: AccountId::new(&owner, unit, &window, "", None),
        owner,
        subject: "".into(),
        unit,
        window,
        limit: plan.limit,
        excess: Excess::Refuse,
        charge: Charge::Ahead,
        outage: Outage::Refuse,
    })
}

impl World {
    pub(crate) fn new(plan: Plan) -> Self {
        let chance = Chance::new(plan.seed + 1_000_000);
        // The hour of now, so that ledgers begin in the same window as the store.
        let hour = 3_600_000_000;
        let end = (Timestamp::now().as_microsecond().div_euclid(hour) + 1) * hour;
        let memory = Memory::new(Chance::new(plan.seed + 2_000_000), end - plan.window_ends * 1_000_000);
        let shared = Shared {
            memory,
            attempts: Arc::default(),
            // In the order of their ids.
            accounts: [account(&plan, Unit::Tokens), account(&plan, Unit::NanoUsd)],
            events: Arc::default(),
            plan,
        };
        let mut world = Self { shared, gateways: Vec::new(), chance };
        world.gateways = (1..=world.shared.plan.gateways).map(|n| world.gateway(Uuid::from_u128(n))).collect();
        world
    }

    fn gateway(&self, holder: Uuid) -> Gateway {
        let memory = &self.shared.memory;
        let leases = Leases { money: memory.clone(), rates: memory.clone(), holder, longest: Duration::from_secs(10) };
        let (ledger, running, tasks) = Ledger::with_tasks(leases);
        let mut gateway = Gateway { holder, running, tasks: JoinSet::new(), clients: JoinSet::new() };
        gateway.tasks.spawn(tasks);
        for _ in 0..self.shared.plan.clients {
            let seed = self.chance.below(u64::MAX);
            gateway.clients.spawn(client(self.shared.clone(), ledger.clone(), holder, seed));
        }
        gateway
    }

    /// Clients make their requests, and what the plan says goes wrong.
    pub(crate) async fn live(&mut self) {
        let plan = self.shared.plan.clone();
        self.shared.memory.books().slowness = plan.slowness;
        if plan.outage {
            sleep(self.chance.millis(5000)).await;
            self.shared.memory.books().is_down = true;
            sleep(self.chance.millis(10_000)).await;
            self.shared.memory.books().is_down = false;
        }
        if plan.crash {
            sleep(self.chance.millis(10_000)).await;
            let crashed = self.gateways.remove(0);
            self.recover(crashed).await;
        }
        for gateway in &mut self.gateways {
            while let Some(ended) = gateway.clients.join_next().await {
                ended.unwrap();
            }
        }
    }

    /// Kills a gateway; its write-ahead file is read, its rows are written, its leases closed.
    async fn recover(&mut self, mut gateway: Gateway) {
        gateway.clients.shutdown().await;
        gateway.tasks.shutdown().await;
        let left = {
            let attempts = self.shared.attempts.lock().unwrap();
            let of_it = attempts.open.iter().filter(|((holder, _), _)| *holder == gateway.holder);
            of_it.map(|(event, postings)| (*event, postings.clone())).collect::<Vec<_>>()
        };
        for ((incarnation, sequence), postings) in left {
            self.shared.memory.append(EventId { incarnation, sequence }, &postings).await;
        }
        self.shared.memory.close(gateway.holder).await.unwrap();
    }

    /// The network is quick again; gateways have time to hear of it, and end.
    pub(crate) async fn come_to_rest(&mut self) {
        self.shared.memory.books().slowness = 1;
        sleep(Duration::from_secs(3)).await;
        for mut gateway in self.gateways.drain(..) {
            gateway.running.stop(Duration::from_secs(5)).await;
            gateway.tasks.join_next().await.unwrap().unwrap();
        }
    }

    /// What the books say is what was used, no lease keeps anything, and all that is left can be had.
    pub(crate) async fn check(&mut self) {
        let plan = &self.shared.plan;
        let (spent, real) = {
            let books = self.shared.memory.books();
            for (id, kept) in &books.leases {
                assert_eq!(kept.lease.outstanding(), 0, "{id:?} of {} keeps something: {:?}", kept.account, kept.lease);
            }
            let (mut spent, mut real) = (books.spent.clone(), self.shared.attempts.lock().unwrap().real.clone());
            spent.retain(|_, amount| *amount != 0);
            real.retain(|_, amount| *amount != 0);
            (spent, real)
        };
        assert_eq!(spent, real, "{plan:?}");
        // A gateway that comes now.
        let memory = &self.shared.memory;
        let holder = Uuid::from_u128(99);
        let leases = Leases { money: memory.clone(), rates: memory.clone(), holder, longest: Duration::from_secs(10) };
        let (ledger, _running, tasks) = Ledger::with_tasks(leases);
        let _tasks = tokio::spawn(tasks);
        // Its clock is right after its first beat.
        sleep(Duration::from_secs(1)).await;
        for account in &self.shared.accounts {
            let from = account.window.counted_from(ledger.now());
            let counted = spent.iter().filter(|((id, slot), _)| *id == account.id && *slot >= from);
            let amount = account.limit - counted.map(|(_, amount)| amount).sum::<i64>();
            if amount > 0 {
                let need = Need { account: Arc::clone(account), amount };
                assert!(ledger.reserve(&[need], "").await.is_ok(), "{amount} of {} cannot be had", account.id);
            }
        }
    }
}

async fn client(shared: Shared, ledger: Ledger, holder: Uuid, seed: u64) {
    let chance = Chance::new(seed);
    let plan = &shared.plan;
    for _ in 0..plan.requests {
        sleep(chance.millis(1000)).await;
        let needs = shared
            .accounts
            .each_ref()
            .map(|account| Need { account: Arc::clone(account), amount: chance.amount(plan.largest) });
        let Ok(hold) = ledger.reserve(&needs, "").await else { continue };
        let bound = hold.bound();
        let sequence = shared.events.fetch_add(1, Ordering::Relaxed);
        {
            let mut attempts = shared.attempts.lock().unwrap();
            attempts.count(&bound, 1, plan.limit);
            attempts.open.insert((holder, sequence), bound.clone());
        }
        sleep(chance.millis(1500)).await;
        let part = |amount: i64| amount * i64::try_from(chance.below(101)).unwrap() / 100;
        let used = if chance.percent(10) {
            Used::default()
        } else {
            Used { tokens: part(needs[0].amount), nano_usd: part(needs[1].amount) }
        };
        let postings = {
            // No await between: a crash is before or after.
            let settled = hold.settle(used);
            assert_eq!(settled.exceeded, 0);
            let mut attempts = shared.attempts.lock().unwrap();
            attempts.count(&bound, -1, plan.limit);
            attempts.count(&settled.postings, 1, plan.limit);
            attempts.open.insert((holder, sequence), settled.postings.clone());
            settled.postings
        };
        // The spend log's own batches.
        sleep(chance.millis(200)).await;
        shared.memory.append(EventId { incarnation: holder, sequence }, &postings).await;
        shared.attempts.lock().unwrap().open.remove(&(holder, sequence));
    }
}

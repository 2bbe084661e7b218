//! Several gateways on one store, in one process and one simulated time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::sleep;
use turnpike_crds::budget::{Window, WindowType};
use turnpike_ledger::{
    account::{AccountId, AccountSpec, Charge, Excess, Outage, Owner, OwnerKind, Unit},
    engine::{Hold, Leases, Ledger, Need, Refusal, Running, Used},
    store::LeaseStore,
    window::WindowSpec,
};
use uuid::Uuid;

use crate::world::World;

/// 2026-03-10T12:00:00Z.
pub(crate) const NOON: i64 = 1_773_144_000_000_000;
/// nano-USD.
pub(crate) const USD: i64 = 1_000_000_000;

pub(crate) struct Fleet {
    pub(crate) world: World,
    pub(crate) gateways: Vec<Gateway>,
}

#[derive(Clone)]
pub(crate) struct Gateway {
    pub(crate) ledger: Ledger,
    pub(crate) holder: Uuid,
    world: World,
    running: Arc<std::sync::Mutex<Option<Running>>>,
    /// How long its spend writer takes.
    booking: Duration,
    /// Rows that are not booked yet.
    unbooked: Arc<AtomicUsize>,
    /// What was really used.
    pub(crate) used: Arc<AtomicI64>,
}

impl Fleet {
    pub(crate) fn new(gateways: usize) -> Self {
        Self::at(NOON, gateways)
    }

    /// The store's clock says `clock`.
    pub(crate) fn at(clock: i64, gateways: usize) -> Self {
        let world = World::new(clock);
        let gateways = (0..gateways).map(|_| Gateway::new(&world)).collect();
        Self { world, gateways }
    }

    pub(crate) fn first(&self) -> &Gateway {
        &self.gateways[0]
    }

    /// Until all rows are booked.
    pub(crate) async fn booked(&self) {
        while self.gateways.iter().any(|gateway| gateway.unbooked.load(Ordering::Acquire) > 0) {
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// nano-USD really used.
    pub(crate) fn used(&self) -> i64 {
        self.gateways.iter().map(|gateway| gateway.used.load(Ordering::Acquire)).sum()
    }

    /// No grant went beyond a limit.
    pub(crate) fn check(&self) {
        assert_eq!(self.world.lock().violations, Vec::<String>::new());
    }
}

impl Gateway {
    pub(crate) fn new(world: &World) -> Self {
        let holder = Uuid::new_v4();
        Self::with_rates(world, holder, world.store(holder))
    }

    /// One whose rates are kept elsewhere.
    pub(crate) fn with_rates(world: &World, holder: Uuid, rates: impl LeaseStore) -> Self {
        let money = world.store(holder);
        let leases = Leases { money, rates, holder, longest: Duration::from_secs(30) };
        let (ledger, running, tasks) = Ledger::open(leases);
        tokio::spawn(tasks);
        let running = Arc::new(std::sync::Mutex::new(Some(running)));
        let booking = Duration::from_millis(300);
        let (unbooked, used) = Default::default();
        Self { ledger, holder, world: world.clone(), running, booking, unbooked, used }
    }

    pub(crate) async fn reserve(&self, account: &Arc<AccountSpec>, amount: i64) -> Result<Hold, Refusal> {
        self.ledger.reserve(&[Need::new(Arc::clone(account), amount)], "somebody").await
    }

    /// Settles, and books the row a little later.
    pub(crate) fn settle(&self, hold: Hold, used: Used) {
        self.used.fetch_add(used.nano_usd, Ordering::AcqRel);
        let settled = hold.settle(used);
        assert_eq!(settled.exceeded, 0);
        self.unbooked.fetch_add(1, Ordering::AcqRel);
        let this = self.clone();
        tokio::spawn(async move {
            sleep(this.booking).await;
            this.world.book(this.holder, &settled.postings);
            this.unbooked.fetch_sub(1, Ordering::AcqRel);
        });
    }

    pub(crate) fn pay(&self, hold: Hold, nano_usd: i64) {
        self.settle(hold, Used { nano_usd, tokens: 0 });
    }

    pub(crate) async fn stop(&self) {
        let running = self.running.lock().unwrap().take();
        running.unwrap().stop(Duration::from_secs(5)).await;
    }
}

/// An account with these in place of the usual.
pub(crate) struct Terms {
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
    pub(crate) window: WindowSpec,
    pub(crate) limit: i64,
    pub(crate) excess: Excess,
    pub(crate) charge: Charge,
    pub(crate) outage: Outage,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            name: "team",
            unit: Unit::NanoUsd,
            window: WindowSpec::new(Window::Month, Some(WindowType::Calendar), jiff::tz::TimeZone::UTC),
            limit: USD,
            excess: Excess::Refuse,
            charge: Charge::Ahead,
            outage: Outage::Refuse,
        }
    }
}

impl Terms {
    pub(crate) fn rate(unit: Unit, limit: i64) -> Self {
        let window = if unit == Unit::Parallel { WindowSpec::lifetime() } else { WindowSpec::minute() };
        Self { unit, window, limit, ..Self::default() }
    }

    pub(crate) fn account(self) -> Arc<AccountSpec> {
        let Self { name, unit, window, limit, excess, charge, outage } = self;
        let owner = Owner { kind: OwnerKind::Budget, namespace: "ns".into(), name: name.into() };
        let id = AccountId::new(&owner, unit, &window, "", None);
        Arc::new(AccountSpec { id, owner, subject: "".into(), unit, window, limit, excess, charge, outage })
    }
}

/// The same account with another limit.
pub(crate) fn limited(account: &AccountSpec, limit: i64) -> Arc<AccountSpec> {
    Arc::new(AccountSpec { limit, ..account.clone() })
}

/// Random numbers that a seed repeats.
#[derive(Clone, Debug)]
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    /// From `0` to below `most`.
    pub(crate) fn below(&mut self, most: i64) -> i64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        i64::try_from((z ^ (z >> 31)) % u64::try_from(most).unwrap()).unwrap()
    }

    pub(crate) fn one_in(&mut self, many: i64) -> bool {
        self.below(many) == 0
    }
}

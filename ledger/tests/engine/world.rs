//! A store in memory that runs the shipped transitions, and can be silent, refuse, be late or lose its answers.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use turnpike_ledger::{
    account::{AccountId, Unit},
    exchange::{self, Ask, Grants, Lease, LeaseId, Reply, Standing},
    spend_log::{Posting, StoreError},
    store::{Answers, Balance, LeaseStore},
    window::{Slot, WindowSpec},
};
use uuid::Uuid;

/// Beyond a holder's longest request, until it is given up; microseconds.
const SILENCE: i64 = 60_000_000;

/// A holder that was heard of within this time lives; microseconds.
const LIVING: i64 = 15_000_000;

/// How the store behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    #[default]
    Up,
    /// Says that it cannot.
    Refuses,
    /// Does nothing and says nothing.
    Silent,
    /// Does what it is asked and says nothing.
    LosesReplies,
    /// Does what it is asked long after the asker gave up.
    Late,
    /// Answers, but takes its time.
    Busy,
    /// Answers and grants nothing, as after a failover.
    Suspended,
}

/// One database for several gateways.
#[derive(Clone)]
pub(crate) struct World {
    inner: Arc<Mutex<Inner>>,
    base: Instant,
}

#[derive(Default)]
pub(crate) struct Inner {
    pub(crate) accounts: BTreeMap<AccountId, Account>,
    beats: HashMap<Uuid, (i64, Duration)>,
    pub(crate) mode: Mode,
    listeners: Vec<(Uuid, mpsc::Sender<AccountId>)>,
    /// Gateways that do not reach it.
    pub(crate) cut_off: HashSet<Uuid>,
    /// What its clock said at the start, and by how much it was moved since.
    pub(crate) clock: i64,
    pub(crate) exchanges: u64,
    /// Grants that went beyond a limit.
    pub(crate) violations: Vec<String>,
}

#[derive(Default)]
pub(crate) struct Account {
    window: Option<WindowSpec>,
    pub(crate) spent: BTreeMap<i64, i64>,
    pub(crate) leases: BTreeMap<LeaseId, Kept>,
}

#[derive(Clone, Debug)]
pub(crate) struct Kept {
    slot: Slot,
    unit: Unit,
    pub(crate) lease: Lease,
    finished_at: i64,
}

/// A gateway's way to it.
pub(crate) struct MemoryStore {
    world: World,
    holder: Uuid,
}

impl World {
    /// Its clock says `clock` now, microseconds since the epoch.
    pub(crate) fn new(clock: i64) -> Self {
        let inner = Inner { clock, ..Inner::default() };
        Self { inner: Arc::new(Mutex::new(inner)), base: Instant::now() }
    }

    pub(crate) fn store(&self, holder: Uuid) -> MemoryStore {
        MemoryStore { world: self.clone(), holder }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    pub(crate) fn now(&self) -> i64 {
        self.time(&self.lock())
    }

    fn time(&self, inner: &Inner) -> i64 {
        inner.clock + i64::try_from(self.base.elapsed().as_micros()).unwrap()
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.lock().mode = mode;
    }

    /// What a spend row says, as a spend writer books it.
    pub(crate) fn book(&self, holder: Uuid, postings: &[Posting]) {
        let mut inner = self.lock();
        for posting in postings {
            let account = inner.accounts.entry(posting.account.clone()).or_default();
            let lease = posting.lease.and_then(|number| account.leases.get_mut(&LeaseId { holder, number }));
            let amount = lease.map_or(posting.amount, |kept| exchange::book(&mut kept.lease, posting.amount));
            *account.spent.entry(posting.slot).or_default() += amount;
        }
    }

    /// All that was ever booked on an account.
    pub(crate) fn booked(&self, id: &AccountId) -> i64 {
        self.lock().accounts.get(id).map_or(0, |account| account.spent.values().sum())
    }

    /// What gateways hold of an account.
    pub(crate) fn outstanding(&self, id: &AccountId) -> i64 {
        let inner = self.lock();
        let leases = inner.accounts.get(id).into_iter().flat_map(|account| account.leases.values());
        leases.map(|kept| kept.lease.outstanding()).sum()
    }

    fn apply(&self, asks: &[Ask]) -> Answers {
        let mut inner = self.lock();
        let now = self.time(&inner);
        inner.exchanges += 1;
        let grants = if inner.mode == Mode::Suspended { Grants::Suspended } else { Grants::Open };
        let replies = asks.iter().map(|ask| inner.answer(ask, now, grants)).collect();
        Answers { now, replies }
    }
}

impl Inner {
    fn answer(&mut self, ask: &Ask, now: i64, grants: Grants) -> Reply {
        let account = self.accounts.entry(ask.account.clone()).or_default();
        account.window = Some(ask.window.clone());
        let from = ask.window.counted_from(now);
        let others = account.leases.iter().filter(|(id, kept)| **id != ask.lease && kept.slot == ask.slot);
        let others: Vec<_> = others.filter(|(_, kept)| kept.lease.outstanding() > 0).collect();
        let holders: HashSet<Uuid> = others.iter().map(|(id, _)| id.holder).chain([ask.lease.holder]).collect();
        let standing = Standing {
            spent: account.spent.range(from..).map(|(_, amount)| amount).sum(),
            others: others.iter().map(|(_, kept)| kept.lease.outstanding()).sum(),
            holders: i64::try_from(holders.len()).unwrap(),
        };
        let before = account.leases.get(&ask.lease).map(|kept| kept.lease).unwrap_or_default();
        let done = exchange::exchange(ask, now, grants, before, standing);
        let kept = Kept { slot: ask.slot, unit: ask.unit, lease: done.lease, finished_at: now };
        if done.lease.sequence > 0 {
            account.leases.insert(ask.lease, kept);
        }
        *account.spent.entry(ask.window.slot(now).start).or_default() += done.book;
        let known = before.granted.max(ask.held).max(done.lease.booked);
        let all = standing.spent + done.book + standing.others + done.lease.outstanding();
        if done.lease.granted > known && all > ask.limit {
            self.violations.push(format!("{ask:?} {before:?} {standing:?} {done:?}"));
        }
        done.reply
    }

    fn reap(&mut self, now: i64) -> u64 {
        let silent =
            |(beat, longest): &(i64, Duration)| now - beat > SILENCE + i64::try_from(longest.as_micros()).unwrap();
        let gone: HashSet<Uuid> = self.beats.iter().filter(|(_, beat)| silent(beat)).map(|(id, _)| *id).collect();
        for account in self.accounts.values_mut() {
            for (id, kept) in &mut account.leases {
                if gone.contains(&id.holder) && !kept.lease.closed {
                    let lost = exchange::expire(&mut kept.lease);
                    let slot =
                        if kept.slot == Slot::ALWAYS { account.window.as_ref().unwrap().slot(now) } else { kept.slot };
                    if kept.unit != Unit::Parallel {
                        *account.spent.entry(slot.start).or_default() += lost;
                    }
                }
            }
            account.leases.retain(|_, kept| {
                let ended = kept.lease.finished && kept.lease.outstanding() == 0 && kept.lease.unattributed == 0;
                !ended || now - kept.finished_at < 1_000_000
            });
        }
        for id in &gone {
            self.beats.remove(id);
        }
        u64::try_from(gone.len()).unwrap()
    }
}

impl MemoryStore {
    async fn reach(&self) -> Result<Mode, StoreError> {
        sleep(Duration::from_millis(1)).await;
        let (mode, cut_off) = {
            let inner = self.world.lock();
            (inner.mode, inner.cut_off.contains(&self.holder))
        };
        match mode {
            Mode::Silent => std::future::pending().await,
            _ if cut_off => std::future::pending().await,
            Mode::Refuses => Err(StoreError::Write(sqlx::Error::PoolClosed)),
            Mode::Busy => {
                sleep(Duration::from_millis(600)).await;
                Ok(mode)
            }
            mode => Ok(mode),
        }
    }
}

impl LeaseStore for MemoryStore {
    async fn exchange(&mut self, asks: &[Ask]) -> Result<Answers, StoreError> {
        match self.reach().await? {
            Mode::LosesReplies => {
                self.world.apply(asks);
                std::future::pending().await
            }
            Mode::Late => {
                let (world, asks) = (self.world.clone(), asks.to_vec());
                tokio::spawn(async move {
                    sleep(Duration::from_millis(700)).await;
                    world.apply(&asks);
                });
                std::future::pending().await
            }
            _ => Ok(self.world.apply(asks)),
        }
    }

    async fn beat(&mut self, holder: Uuid, longest: Duration) -> Result<i64, StoreError> {
        self.reach().await?;
        let mut inner = self.world.lock();
        let now = self.world.time(&inner);
        inner.beats.insert(holder, (now, longest));
        Ok(now)
    }

    async fn probe(&mut self) -> Result<Option<i64>, StoreError> {
        self.reach().await?;
        let inner = self.world.lock();
        let now = self.world.time(&inner);
        Ok(Some(i64::try_from(inner.beats.values().filter(|(beat, _)| now - beat < LIVING).count()).unwrap()))
    }

    async fn close(&mut self, holder: Uuid) -> Result<(), StoreError> {
        self.reach().await?;
        for account in self.world.lock().accounts.values_mut() {
            for (_, kept) in account.leases.iter_mut().filter(|(id, _)| id.holder == holder) {
                exchange::close(&mut kept.lease);
            }
        }
        Ok(())
    }

    async fn reap(&mut self) -> Result<u64, StoreError> {
        self.reach().await?;
        let mut inner = self.world.lock();
        let now = self.world.time(&inner);
        Ok(inner.reap(now))
    }

    async fn balances(&mut self, accounts: &[(AccountId, i64, i64)]) -> Result<Vec<Balance>, StoreError> {
        self.reach().await?;
        let inner = self.world.lock();
        let balance = |(id, from, slot): &(AccountId, i64, i64)| {
            inner.accounts.get(id).map_or_else(Balance::default, |account| Balance {
                spent: account.spent.range(from..).map(|(_, amount)| amount).sum(),
                reserved: account
                    .leases
                    .values()
                    .filter(|kept| kept.slot.start == *slot)
                    .map(|kept| kept.lease.outstanding())
                    .sum(),
            })
        };
        Ok(accounts.iter().map(balance).collect())
    }

    async fn recall(&mut self, holder: Uuid, accounts: &[AccountId]) -> Result<(), StoreError> {
        self.reach().await?;
        for (_, listener) in self.world.lock().listeners.iter().filter(|(other, _)| *other != holder) {
            for account in accounts {
                // As PostgreSQL does: a recall may be lost.
                let _ = listener.try_send(account.clone());
            }
        }
        Ok(())
    }

    fn recalls(&mut self, holder: Uuid) -> mpsc::Receiver<AccountId> {
        let (sender, receiver) = mpsc::channel(16);
        self.world.lock().listeners.push((holder, sender));
        receiver
    }
}

//! A store in memory, behind a network that is slow, loses answers, and is down at times.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};
use turnpike_ledger::{
    account::AccountId,
    exchange::{self, Ask, Grants, Lease, LeaseId, Reply, Standing},
    spend_log::{EventId, Posting, StoreError},
    store::{Answers, Balance, LeaseStore},
};
use uuid::Uuid;

use crate::chance::Chance;

pub(crate) struct Kept {
    pub(crate) account: AccountId,
    pub(crate) slot: i64,
    pub(crate) lease: Lease,
}

pub(crate) struct Books {
    started: Instant,
    /// The time at `started`.
    epoch: i64,
    pub(crate) leases: BTreeMap<LeaseId, Kept>,
    /// By account and slot.
    pub(crate) spent: BTreeMap<(AccountId, i64), i64>,
    rows: BTreeSet<(Uuid, u64)>,
    closed: BTreeSet<Uuid>,
    pub(crate) is_down: bool,
    /// Longest time of a message, milliseconds.
    pub(crate) slowness: u64,
    chance: Chance,
}

/// One gateway's connection, or the test's own.
#[derive(Clone)]
pub(crate) struct Memory(Arc<Mutex<Books>>);

impl Books {
    fn now(&self) -> i64 {
        self.epoch + i64::try_from(self.started.elapsed().as_micros()).unwrap()
    }

    fn exchange(&mut self, ask: &Ask) -> Reply {
        let (account, slot) = (&ask.account, ask.slot.start);
        let now = self.now();
        let known = self.leases.get(&ask.lease).map(|kept| kept.lease);
        let mut before = known.unwrap_or_default();
        before.closed |= self.closed.contains(&ask.lease.holder);
        let counted = (account.clone(), ask.window.counted_from(now))..=(account.clone(), i64::MAX);
        let spent = self.spent.range(counted).map(|(_, amount)| amount).sum();
        let others = self.leases.iter().filter(|(id, kept)| {
            **id != ask.lease && kept.account == *account && kept.slot == slot && kept.lease.outstanding() > 0
        });
        let holders = others.clone().map(|(id, _)| id.holder).chain([ask.lease.holder]).collect::<BTreeSet<_>>();
        let standing = Standing {
            spent,
            others: others.map(|(_, kept)| kept.lease.outstanding()).sum(),
            holders: i64::try_from(holders.len()).unwrap(),
        };
        let done = exchange::exchange(ask, now, Grants::Open, before, standing);
        if done.lease != before {
            self.leases.insert(ask.lease, Kept { account: account.clone(), slot, lease: done.lease });
        }
        done.reply
    }

    /// Books a row, if it is new.
    fn append(&mut self, event: EventId, postings: &[Posting]) {
        if !self.rows.insert((event.incarnation, event.sequence)) {
            return;
        }
        for posting in postings {
            let lease = posting.lease.map(|number| LeaseId { holder: event.incarnation, number });
            let kept = lease.and_then(|lease| self.leases.get_mut(&lease));
            let extra = kept.map_or(posting.amount, |kept| exchange::book(&mut kept.lease, posting.amount));
            *self.spent.entry((posting.account.clone(), posting.slot)).or_default() += extra;
        }
    }
}

impl Memory {
    pub(crate) fn new(chance: Chance, epoch: i64) -> Self {
        Self(Arc::new(Mutex::new(Books {
            started: Instant::now(),
            epoch,
            leases: BTreeMap::new(),
            spent: BTreeMap::new(),
            rows: BTreeSet::new(),
            closed: BTreeSet::new(),
            is_down: false,
            slowness: 1,
            chance,
        })))
    }

    pub(crate) fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap()
    }

    /// Writes a row however often that takes; now and then twice.
    pub(crate) async fn append(&self, event: EventId, postings: &[Posting]) {
        loop {
            let (delay, again) = self.network();
            tokio::time::sleep(delay).await;
            let mut books = self.books();
            if !books.is_down {
                books.append(event, postings);
                if again > Duration::from_millis(50) {
                    books.append(event, postings);
                }
                return;
            }
        }
    }

    /// Times of a message there and back.
    fn network(&self) -> (Duration, Duration) {
        let books = self.books();
        let time = || Duration::from_millis(1) + books.chance.millis(books.slowness);
        (time(), time())
    }
}

fn down() -> StoreError {
    StoreError::Exchange(sqlx::Error::Io(io::ErrorKind::ConnectionRefused.into()))
}

impl LeaseStore for Memory {
    async fn exchange(&mut self, asks: &[Ask]) -> Result<Answers, StoreError> {
        let ((there, back), memory, asks) = (self.network(), self.clone(), asks.to_vec());
        let (answer, answered) = oneshot::channel();
        // It arrives even if the gateway has given up waiting, or is dead.
        tokio::spawn(async move {
            tokio::time::sleep(there).await;
            let mut books = memory.books();
            if books.is_down {
                return;
            }
            let replies = asks.iter().map(|ask| books.exchange(ask)).collect();
            // Nobody may be waiting any more.
            let _ = answer.send(Answers { now: books.now(), replies });
        });
        let answers = answered.await.map_err(|_| down())?;
        tokio::time::sleep(back).await;
        Ok(answers)
    }

    async fn beat(&mut self, _: Uuid, _: Duration) -> Result<i64, StoreError> {
        let (there, back) = self.network();
        tokio::time::sleep(there).await;
        let now = {
            let books = self.books();
            if books.is_down {
                return Err(down());
            }
            books.now()
        };
        tokio::time::sleep(back).await;
        Ok(now)
    }

    async fn close(&mut self, holder: Uuid) -> Result<(), StoreError> {
        let mut books = self.books();
        books.closed.insert(holder);
        for (_, kept) in books.leases.iter_mut().filter(|(id, _)| id.holder == holder) {
            exchange::close(&mut kept.lease);
        }
        Ok(())
    }

    async fn reap(&mut self) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn balances(&mut self, accounts: &[(AccountId, i64, i64)]) -> Result<Vec<Balance>, StoreError> {
        Ok(vec![Balance::default(); accounts.len()])
    }
}

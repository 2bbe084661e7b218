//! One account in memory: what this gateway may use of it without asking, as atomics that all runtimes share.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, Semaphore};

use crate::{account::AccountSpec, window::Slot};

/// What is leased of an account for one slot.
#[derive(Debug)]
pub(super) struct Grant {
    /// Number of the lease.
    pub(super) number: u64,
    /// The slot that the lease is bound to.
    pub(super) slot: Slot,
    /// Granted, not taken. Below zero after a bound was exceeded.
    pub(super) free: Padded,
    /// Taken by requests that have not ended.
    pub(super) held: AtomicI64,
    /// Below this the lease task is woken to get more before somebody must wait.
    pub(super) low: AtomicI64,
}

/// Alone in its cache lines: every request on every core changes it.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Padded(AtomicI64);

impl Grant {
    pub(super) fn new(number: u64, slot: Slot) -> Self {
        Self { number, slot, free: Padded(AtomicI64::new(0)), held: AtomicI64::new(0), low: AtomicI64::new(0) }
    }

    /// Takes `amount` if that much is free. Returns what is left.
    pub(super) fn take(&self, amount: i64) -> Option<i64> {
        // Held first: whoever takes back all that is free and then sees nothing held may conclude that nothing is taken.
        self.held.fetch_add(amount, Ordering::AcqRel);
        let taken = self.free.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |free| {
            let left = free.checked_sub(amount)?;
            (left >= 0).then_some(left)
        });
        if taken.is_err() {
            self.held.fetch_sub(amount, Ordering::AcqRel);
        }
        Some(taken.ok()? - amount)
    }

    /// What was taken has ended and used `used` of it.
    pub(super) fn settle(&self, taken: i64, used: i64) {
        // Free first: whoever sees nothing held and nothing free may conclude that nothing comes back.
        self.free.0.fetch_add(taken - used, Ordering::AcqRel);
        self.held.fetch_sub(taken, Ordering::AcqRel);
    }

    pub(super) fn add(&self, amount: i64) {
        self.free.0.fetch_add(amount, Ordering::AcqRel);
    }

    /// Takes back at most `amount` of what is free, to return it to the store.
    pub(super) fn withdraw(&self, amount: i64) -> i64 {
        let mut taken = 0;
        // Never fails: the closure always gives a value.
        let _ = self.free.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |free| {
            taken = amount.min(free).max(0);
            Some(free - taken)
        });
        taken
    }

    pub(super) fn free(&self) -> i64 {
        self.free.0.load(Ordering::Acquire)
    }

    pub(super) fn held(&self) -> i64 {
        self.held.load(Ordering::Acquire)
    }
}

/// What the store last said of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// Asks answered so far.
    pub(super) answers: u64,
    /// Spent in the window, as booked.
    pub(super) spent: i64,
    /// Outstanding at other gateways.
    pub(super) others: i64,
    /// What nobody has.
    pub(super) left: i64,
}

/// An account that requests use, or used within the last minute.
#[derive(Debug)]
pub(super) struct Pot {
    /// The limit in force; a reload may change it.
    pub(super) spec: ArcSwap<AccountSpec>,
    /// The lease in force.
    pub(super) grant: ArcSwap<Grant>,
    pub(super) known: ArcSwap<Known>,
    /// Requests that wait for it.
    pub(super) waiting: AtomicUsize,
    /// What they wait for, together.
    pub(super) wanted: AtomicI64,
    /// What the first of them waits for.
    pub(super) first: AtomicI64,
    /// The largest amount that was ever asked of it at once.
    pub(super) largest: AtomicI64,
    /// Something may have become free.
    pub(super) changed: Notify,
    /// First come, first served: only whoever has the turn tries again.
    pub(super) turn: Semaphore,
    /// It is in the lease task's queue.
    pub(super) queued: AtomicBool,
    /// The store refused or was silent when last asked.
    pub(super) down: AtomicBool,
    /// Let through while the store was down.
    pub(super) overdraft: AtomicI64,
    /// The store's time when it was last used.
    pub(super) used_at: AtomicI64,
    /// It was dropped from memory; look it up again.
    pub(super) gone: AtomicBool,
}

impl Pot {
    pub(super) fn new(spec: Arc<AccountSpec>, number: u64, now: i64) -> Self {
        let slot = spec.lease_slot(now);
        Self {
            spec: ArcSwap::new(spec),
            grant: ArcSwap::from_pointee(Grant::new(number, slot)),
            known: ArcSwap::from_pointee(Known::default()),
            waiting: AtomicUsize::new(0),
            wanted: AtomicI64::new(0),
            first: AtomicI64::new(0),
            largest: AtomicI64::new(0),
            changed: Notify::new(),
            turn: Semaphore::new(1),
            queued: AtomicBool::new(false),
            down: AtomicBool::new(false),
            overdraft: AtomicI64::new(0),
            used_at: AtomicI64::new(now),
            gone: AtomicBool::new(false),
        }
    }

    /// Somebody waits for it.
    pub(super) fn is_waited_for(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    /// A request uses it.
    pub(super) fn touch(&self, now: i64, amount: i64) {
        // Read first: a line that is only read stays with every core.
        if self.largest.load(Ordering::Relaxed) < amount {
            self.largest.fetch_max(amount, Ordering::Relaxed);
        }
        if now - self.used_at.load(Ordering::Relaxed) > 1_000_000 {
            self.used_at.store(now, Ordering::Relaxed);
        }
    }

    /// Something was given back; whoever waits should look.
    pub(super) fn notify(&self) {
        if self.is_waited_for() {
            self.changed.notify_waiters();
        }
    }

    /// What could be had at most: what nobody had when the store was last asked, and what is free here. `None` = never asked.
    pub(super) fn affordable(&self) -> Option<i64> {
        let known = self.known.load();
        (known.answers > 0).then(|| known.left.max(0).saturating_add(self.grant.load().free().max(0)))
    }
}

//! One account in memory: what this gateway may use of it without asking, as atomics that all runtimes share.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering},
};

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use turnpike_crds::budget::WindowType;

use super::{Now, turn::Turns};
use crate::{
    account::{AccountSpec, Unit},
    store::SILENCE,
    window::Slot,
};

/// What a rate is counted over; microseconds.
const MINUTE: i64 = 60_000_000;

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
    held: AtomicI64,
    /// What is used of it for good. Only rates are counted here, to be told to the store.
    used: AtomicI64,
    /// How often `used` was read to be told.
    reports: AtomicU64,
    /// Below this the lease task is woken to get more before somebody must wait.
    pub(super) low: AtomicI64,
}

/// What one request took of a grant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) amount: i64,
    /// How much of it was counted as used when it was taken.
    counted: i64,
    /// The reports at that time.
    reports: u64,
}

/// Alone in its cache lines: every request on every core changes it.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Padded(AtomicI64);

impl Grant {
    pub(super) fn new(number: u64, slot: Slot) -> Self {
        Self {
            number,
            slot,
            free: Padded(AtomicI64::new(0)),
            held: AtomicI64::new(0),
            used: AtomicI64::new(0),
            reports: AtomicU64::new(0),
            low: AtomicI64::new(i64::MIN),
        }
    }

    /// Takes `amount` if that much is free.
    pub(super) fn take(&self, amount: i64, spec: &AccountSpec) -> Option<Taken> {
        // Held first: whoever takes back all that is free and then sees nothing held may conclude that nothing is taken.
        self.held.fetch_add(amount, Ordering::AcqRel);
        let taken = self.free.0.fetch_update(Ordering::SeqCst, Ordering::Relaxed, |free| {
            let left = free.checked_sub(amount)?;
            (left >= 0).then_some(left)
        });
        if taken.is_err() {
            self.held.fetch_sub(amount, Ordering::AcqRel);
            return None;
        }
        // A request counts from its admission: it would take up its place twice if it were counted when it ends.
        let counted = if spec.unit == Unit::Requests && spec.is_rate() { amount } else { 0 };
        let reports = self.reports.load(Ordering::Acquire);
        if counted != 0 {
            self.used.fetch_add(counted, Ordering::AcqRel);
        }
        Some(Taken { amount, counted, reports })
    }

    /// What was taken has ended and used `used` of it.
    pub(super) fn settle(&self, taken: Taken, used: i64, spec: &AccountSpec) {
        if spec.is_rate() && used != taken.counted {
            self.used.fetch_add(used - taken.counted, Ordering::AcqRel);
        }
        // Free first: whoever sees nothing held and nothing free may conclude that nothing comes back.
        self.free.0.fetch_add(taken.amount - used, Ordering::SeqCst);
        self.held.fetch_sub(taken.amount, Ordering::AcqRel);
    }

    /// What was taken has ended and nothing of it was used; but what the store was told to be used cannot be taken back.
    pub(super) fn release(&self, taken: Taken, spec: &AccountSpec) {
        let told = self.reports.load(Ordering::Acquire) != taken.reports;
        self.settle(taken, if told { taken.counted } else { 0 }, spec);
    }

    /// What is used for good, to be told to the store.
    pub(super) fn report(&self) -> i64 {
        self.reports.fetch_add(1, Ordering::AcqRel);
        self.used()
    }

    pub(super) fn used(&self) -> i64 {
        self.used.load(Ordering::Acquire)
    }

    pub(super) fn add(&self, amount: i64) {
        self.free.0.fetch_add(amount, Ordering::SeqCst);
    }

    /// Takes back at most `amount` of what is free, to return it to the store.
    pub(super) fn withdraw(&self, amount: i64) -> i64 {
        let mut taken = 0;
        // Never fails: the closure always gives a value.
        let _ = self.free.0.fetch_update(Ordering::SeqCst, Ordering::Relaxed, |free| {
            taken = amount.min(free).max(0);
            Some(free - taken)
        });
        taken
    }

    pub(super) fn free(&self) -> i64 {
        self.free.0.load(Ordering::SeqCst)
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
    /// When the last one was, by the steady clock.
    pub(super) at: i64,
    /// When it was asked for.
    pub(super) asked: i64,
    /// Which lease was asked about.
    pub(super) lease: u64,
    /// The limit that was in force.
    pub(super) limit: i64,
    /// More was asked for, and nothing of use was given.
    pub(super) in_vain: bool,
    /// And not for want of it: the store has it and may not give it, as after its failover.
    pub(super) withheld: bool,
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
    /// When that one asked to pass, by the steady clock.
    pub(super) first_since: AtomicI64,
    /// The largest amount that was lately taken at once.
    pub(super) largest: AtomicI64,
    /// Something may have become free.
    pub(super) changed: Notify,
    /// Only whoever has the turn tries again.
    pub(super) turns: Arc<Turns>,
    /// Whoever has the turn waits for others to end, as nothing is left.
    pub(super) full: AtomicBool,
    /// It is in the lease task's queue.
    pub(super) queued: AtomicBool,
    /// The limit that the store last heard of. What was leased under a higher one is not taken from before it is asked again.
    pub(super) limit: AtomicI64,
    /// The store refused or was silent when last asked.
    pub(super) down: AtomicBool,
    /// Since when, by the steady clock.
    down_since: AtomicI64,
    /// Let through while the store was down: of a budget in this outage, of a rate in this minute, of parallel requests now.
    overdraft: AtomicI64,
    /// The minute of it, by the steady clock.
    minute: AtomicI64,
    /// When it was last used, by the steady clock.
    pub(super) used_at: AtomicI64,
    /// Since when it has been used without a minute's pause, by the steady clock.
    busy_since: AtomicI64,
    /// It was dropped from memory; look it up again.
    pub(super) gone: AtomicBool,
}

impl Pot {
    pub(super) fn new(spec: Arc<AccountSpec>, number: u64, now: Now) -> Self {
        let slot = spec.lease_slot(now.time);
        Self {
            spec: ArcSwap::new(spec),
            grant: ArcSwap::from_pointee(Grant::new(number, slot)),
            known: ArcSwap::from_pointee(Known::default()),
            waiting: AtomicUsize::new(0),
            wanted: AtomicI64::new(0),
            first: AtomicI64::new(0),
            first_since: AtomicI64::new(0),
            largest: AtomicI64::new(0),
            changed: Notify::new(),
            turns: Arc::default(),
            full: AtomicBool::new(false),
            queued: AtomicBool::new(false),
            limit: AtomicI64::new(i64::MIN),
            down: AtomicBool::new(false),
            down_since: AtomicI64::new(0),
            overdraft: AtomicI64::new(0),
            minute: AtomicI64::new(0),
            used_at: AtomicI64::new(now.steady),
            busy_since: AtomicI64::new(now.steady),
            gone: AtomicBool::new(false),
        }
    }

    /// Whether this gateway may have been given up since it was last heard of. What it held is then booked in the rolling window
    /// where it was missed, and leaves it from there on: nothing more may be taken of that. Of a calendar's window it is booked
    /// for as long as the lease is good, and rates are not worth a refusal.
    pub(super) fn may_be_given_up(&self, spec: &AccountSpec, now: Now) -> bool {
        spec.window.window_type() == Some(WindowType::Rolling)
            && !spec.is_rate()
            && now.steady - self.known.load().asked > SILENCE
    }

    /// Somebody waits for it.
    pub(super) fn is_waited_for(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// A request uses it.
    pub(super) fn touch(&self, now: Now, amount: i64) {
        // Read first: a line that is only read stays with every core.
        if self.largest.load(Ordering::Relaxed) < amount {
            self.largest.fetch_max(amount, Ordering::Relaxed);
        }
        let idle = now.steady - self.used_at.load(Ordering::Relaxed);
        if idle > 1_000_000 {
            self.used_at.store(now.steady, Ordering::Relaxed);
            if idle > MINUTE {
                self.busy_since.store(now.steady, Ordering::Relaxed);
            }
        }
    }

    /// When the first of what was used here as a rate leaves the last minute, by the steady clock.
    pub(super) fn comes_back(&self) -> i64 {
        self.busy_since.load(Ordering::Relaxed).saturating_add(MINUTE)
    }

    /// The largest amount is forgotten bit by bit while others are taken.
    pub(super) fn age(&self) {
        let largest = self.largest.load(Ordering::Relaxed);
        self.largest.fetch_sub(largest / 16, Ordering::Relaxed);
    }

    /// Something was given back; whoever waits should look.
    pub(super) fn notify(&self) {
        if self.is_waited_for() {
            self.changed.notify_waiters();
        }
    }

    /// Lets `amount` through without the store, if no more than `most` were let through.
    pub(super) fn overdraw(&self, amount: i64, most: i64, now: Now) -> bool {
        let spec = self.spec.load();
        let minute = now.steady.div_euclid(MINUTE);
        if spec.window.is_minute() && self.minute.swap(minute, Ordering::AcqRel) != minute {
            self.overdraft.store(0, Ordering::Release);
        }
        let more = |overdraft: i64| overdraft.checked_add(amount).filter(|sum| *sum <= most);
        self.overdraft.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok()
    }

    /// What was let through did not happen, or has ended.
    pub(super) fn restore(&self, amount: i64) {
        let less = |overdraft: i64| Some(overdraft.saturating_sub(amount).max(0));
        // Never fails: the closure always gives a value.
        let _ = self.overdraft.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
    }

    /// The store did not answer what it was asked then.
    pub(super) fn is_down(&self, asked: Now) {
        if !self.down.load(Ordering::Acquire) {
            self.down_since.store(asked.steady, Ordering::Release);
            self.down.store(true, Ordering::Release);
        }
    }

    /// For how long it has not answered, microseconds; `None` = it does.
    pub(super) fn down_for(&self, now: Now) -> Option<i64> {
        self.down.load(Ordering::Acquire).then(|| now.steady - self.down_since.load(Ordering::Acquire))
    }

    /// The store answers again.
    pub(super) fn is_up(&self) {
        self.overdraft.store(0, Ordering::Release);
        self.down.store(false, Ordering::Release);
    }

    /// What could be had at most: what nobody had when the store was last asked, and what is free here. `None` = never asked.
    pub(super) fn affordable(&self) -> Option<i64> {
        let known = self.known.load();
        (known.answers > 0).then(|| known.left.max(0).saturating_add(self.grant.load().free().max(0)))
    }
}

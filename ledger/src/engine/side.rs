//! What the lease task knows of one account: its leases, and how fast it is used. Pure but for the balances.

use std::{
    mem,
    sync::{Arc, atomic::Ordering},
};

use uuid::Uuid;

use super::pot::{Grant, Known, Pot};
use crate::{
    account::{Charge, Unit},
    exchange::{Ask, LeaseId, Reply},
    holder::{Holder, Wish},
};

/// How much is kept at hand: what is used in this time, microseconds.
const AHEAD: f64 = 1e6;
/// An account that nobody used for this long leaves memory; microseconds.
const IDLE: i64 = 60_000_000;
/// Weight of the latest measurement of the pace.
const WEIGHT: f64 = 0.5;

/// One account's leases.
pub(super) struct Side {
    pub(super) pot: Arc<Pot>,
    current: Leased,
    /// Of slots that are over and of leases that others closed: until all that is held has ended and all that is free is given
    /// back.
    retired: Vec<Leased>,
    pace: Pace,
}

struct Leased {
    grant: Arc<Grant>,
    holder: Holder,
    /// Said with the last ask that was not answered yet.
    asked: Option<Wish>,
    finished: bool,
}

/// Use per microsecond, smoothed.
#[derive(Default)]
struct Pace {
    at: i64,
    taken: i64,
    rate: f64,
}

impl Leased {
    fn new(grant: Arc<Grant>) -> Self {
        Self { grant, holder: Holder::default(), asked: None, finished: false }
    }

    /// All that requests have taken of it: what they used, and what they hold.
    fn taken(&self) -> i64 {
        self.holder.granted() - self.grant.free()
    }

    fn ask(&mut self, pot: &Pot, holder: Uuid, wish: Wish) -> Ask {
        self.asked = Some(wish);
        let spec = pot.spec.load();
        // What is held may yet be given back. Held before free: what moves between the two reads is counted too little.
        let held = self.grant.held();
        let used = (self.holder.granted() - self.grant.free() - held).max(0);
        Ask {
            lease: LeaseId { holder, number: self.grant.number },
            account: spec.id.clone(),
            window: spec.window.clone(),
            unit: spec.unit,
            limit: spec.limit,
            slot: self.grant.slot,
            sequence: wish.sequence,
            held: wish.held,
            target: wish.target,
            least: wish.least,
            used: (spec.is_rate() && spec.unit != Unit::Parallel).then_some(used),
            last: wish.last,
        }
    }
}

impl Side {
    pub(super) fn new(pot: Arc<Pot>) -> Self {
        let current = Leased::new(pot.grant.load_full());
        Self { pot, current, retired: Vec::new(), pace: Pace::default() }
    }

    /// What to ask now. `number` numbers a new lease. In order: [`Self::answered`] must be told the replies.
    pub(super) fn asks(&mut self, holder: Uuid, now: i64, number: impl FnOnce() -> u64) -> Vec<Ask> {
        let mut asks = Vec::new();
        let slot = self.pot.spec.load().lease_slot(now);
        if self.current.finished || slot.start > self.current.grant.slot.start {
            self.renew(Arc::new(Grant::new(number(), slot)));
        }
        for leased in &mut self.retired {
            let unused = leased.grant.withdraw(i64::MAX);
            let wish = if leased.grant.held() == 0 && leased.grant.free() <= 0 {
                leased.finished = true;
                leased.holder.finish(unused)
            } else {
                leased.holder.give_back(unused)
            };
            asks.push(leased.ask(&self.pot, holder, wish));
        }
        let wish = self.wish(now);
        asks.push(self.current.ask(&self.pot, holder, wish));
        asks
    }

    fn renew(&mut self, grant: Arc<Grant>) {
        let old = mem::replace(&mut self.current, Leased::new(Arc::clone(&grant)));
        self.pot.grant.store(grant);
        self.retired.push(Leased { finished: false, ..old });
        self.pace.taken = 0;
    }

    fn wish(&mut self, now: i64) -> Wish {
        let (pot, grant) = (&self.pot, &self.current.grant);
        let rate = self.pace.measure(now, self.current.taken());
        let (free, wanted) = (grant.free(), pot.wanted.load(Ordering::Acquire));
        let first = pot.first.load(Ordering::Acquire);
        let largest = pot.largest.load(Ordering::Relaxed);
        let idle = rate == 0.0 && wanted == 0 && !pot.is_waited_for();
        // An account that charges after the answer needs something at hand, though nobody takes from it before.
        let least_goal =
            if pot.spec.load().charge == Charge::After { pot.spec.load().limit / 100 + 1 } else { largest };
        #[expect(clippy::cast_possible_truncation, reason = "an amount; saturates")]
        let ahead = if idle { 0 } else { ((rate * AHEAD) as i64).max(least_goal) };
        let goal = wanted.saturating_add(ahead);
        grant.low.store(goal / 2, Ordering::Relaxed);
        let surplus = free.saturating_sub(goal.saturating_mul(2));
        let overdrawn = -pot.known.load().left;
        let back = surplus.max(overdrawn.min(free));
        if back > 0 {
            return self.current.holder.give_back(grant.withdraw(back));
        }
        let need = if pot.is_waited_for() { first.max(1).saturating_sub(free).max(1) } else { 1 };
        let want = goal.saturating_sub(free).max(if pot.is_waited_for() { need } else { 0 });
        if want > 0 { self.current.holder.raise(want, need) } else { self.current.holder.raise(0, 0) }
    }

    /// Whether anything has changed since it was last asked about.
    pub(super) fn is_due(&self, now: i64) -> bool {
        !self.retired.is_empty()
            || self.pot.is_waited_for()
            || self.current.taken() != self.pace.taken
            || self.current.grant.free() > 0
            || !self.current.grant.slot.holds(now)
    }

    /// The replies to the last asks, in their order; `None` = the store did not answer.
    pub(super) fn answered(&mut self, replies: Option<&[Reply]>) {
        let Some((last, earlier)) = replies.and_then(<[Reply]>::split_last) else {
            for leased in &mut self.retired {
                // It is said again, with what is free by then.
                leased.finished = false;
            }
            self.pot.down.store(true, Ordering::Release);
            self.pot.changed.notify_waiters();
            return;
        };
        for (leased, reply) in self.retired.iter_mut().zip(earlier) {
            leased.hear(reply);
        }
        self.retired.retain(|leased| !leased.finished);
        let more = self.current.hear(last);
        // What is free of it goes back when it is replaced, at the next ask. Until then using it is safe: the store counts it.
        self.current.finished |= last.closed;
        self.current.grant.add(more);
        if last.left <= 0 {
            // There is no more to be had: do not ask at every request.
            self.current.grant.low.store(i64::MIN, Ordering::Relaxed);
        }
        let answers = self.pot.known.load().answers + 1;
        let known = Known { answers, spent: last.spent, others: last.others, left: last.left };
        self.pot.known.store(Arc::new(known));
        self.pot.overdraft.store(0, Ordering::Release);
        self.pot.down.store(false, Ordering::Release);
        self.pot.changed.notify_waiters();
    }

    /// Nobody used it for a while and nothing of it is held here: it can leave memory.
    pub(super) fn is_idle(&self, now: i64) -> bool {
        let grant = &self.current.grant;
        now - self.pot.used_at.load(Ordering::Relaxed) > IDLE
            && self.retired.is_empty()
            && !self.pot.is_waited_for()
            && grant.held() == 0
            && grant.free() <= 0
    }

    /// The last word on all leases: everything unused goes back.
    pub(super) fn last_asks(&mut self, holder: Uuid) -> Vec<Ask> {
        let pot = &self.pot;
        let all = self.retired.iter_mut().chain([&mut self.current]);
        all.map(|leased| {
            let unused = leased.grant.withdraw(i64::MAX);
            let wish = leased.holder.finish(unused);
            leased.ask(pot, holder, wish)
        })
        .collect()
    }
}

impl Leased {
    fn hear(&mut self, reply: &Reply) -> i64 {
        self.asked.take().map_or(0, |wish| self.holder.heard(wish.sequence, reply))
    }
}

impl Pace {
    /// Use per microsecond since the last call, smoothed.
    #[expect(clippy::cast_precision_loss, reason = "a pace need not be exact")]
    fn measure(&mut self, now: i64, taken: i64) -> f64 {
        let span = (now - self.at).max(1);
        let latest = if self.at == 0 { 0.0 } else { (taken - self.taken).max(0) as f64 / span as f64 };
        self.rate = WEIGHT.mul_add(latest, (1.0 - WEIGHT) * self.rate);
        if latest == 0.0 && self.rate * 1e6 < 0.5 {
            self.rate = 0.0;
        }
        (self.at, self.taken) = (now, taken);
        self.rate
    }
}

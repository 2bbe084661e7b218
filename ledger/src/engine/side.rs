//! What the lease task knows of one account: its leases, and how fast it is used. Pure but for the balances.

use std::{
    mem,
    sync::{Arc, atomic::Ordering},
};

use uuid::Uuid;

use super::{
    Now,
    outlook::{Outlook, Pace, Step},
    pot::{Grant, Known, Pot},
    wait::FRESH,
};
use crate::{
    account::{Charge, Unit},
    exchange::{Ask, LeaseId, Reply},
    holder::{Holder, Wish},
    window::Slot,
};

/// An account that nobody used for this long leaves memory; microseconds.
const IDLE: i64 = 60_000_000;
/// The same of a rate: until what was used last is surely over.
const RATE_IDLE: i64 = 63_000_000;
/// What is at hand of an account of which plenty is left is asked about this often; microseconds.
const POLL: i64 = 1_000_000;
/// Others are asked to give back what is idle this often, while somebody waits; microseconds.
const RECALL: i64 = 500_000;
/// A clock that goes back further than this was wrong before; microseconds.
const CORRECTION: i64 = 3_600_000_000;

/// One account's leases.
pub(super) struct Side {
    pub(super) pot: Arc<Pot>,
    current: Leased,
    /// Of slots that are over and of leases that others closed: until all that is held has ended and all that is free is given
    /// back.
    retired: Vec<Leased>,
    pace: Pace,
    /// Use in a second and for how long there was none, as last measured.
    used: (i64, i64),
    /// By the last answer there is something to give back.
    surplus: bool,
    /// Somebody waits for it at another gateway.
    recalled: bool,
    /// When others were last asked to give back what is idle, by the steady clock.
    recalled_at: Option<i64>,
}

struct Leased {
    grant: Arc<Grant>,
    holder: Holder,
    /// What was said last, and the limit then, until it is answered.
    asked: Option<(Wish, i64)>,
    /// What the store was last told to be used.
    told: i64,
    /// Something was granted on it.
    had: bool,
    finished: bool,
}

impl Leased {
    fn new(grant: Arc<Grant>) -> Self {
        Self { grant, holder: Holder::default(), asked: None, told: 0, had: false, finished: false }
    }

    /// All that requests have taken of it: what they used, and what they hold.
    fn taken(&self) -> i64 {
        self.holder.granted() - self.grant.free()
    }

    /// Whether its slot gives way to the one of now. Time that goes back a little does not reopen a slot of which something was
    /// had; by more than an hour it is put right.
    fn gives_way(&self, slot: Slot, time: i64) -> bool {
        let current = self.grant.slot;
        let early = if self.had { current.start - CORRECTION } else { current.start };
        slot.start > current.start || time < early
    }

    fn ask(&mut self, pot: &Pot, holder: Uuid, wish: Wish) -> Ask {
        let spec = pot.spec.load();
        self.asked = Some((wish, spec.limit));
        let used = (spec.is_rate() && spec.unit != Unit::Parallel).then(|| self.grant.report());
        self.told = used.unwrap_or(0);
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
            used,
            last: wish.last,
        }
    }

    /// Takes the answer to what was said last; returns what is to be added to the free balance, and whether more was asked for
    /// in vain and why: as [`Known`] has it.
    fn hear(&mut self, reply: &Reply) -> (i64, bool, bool) {
        let Some((wish, _)) = self.asked.take() else { return (0, false, false) };
        let more = self.holder.heard(wish.sequence, reply);
        self.had |= more > 0;
        let in_vain = wish.target > wish.held && more < wish.least.max(1);
        (more, in_vain, in_vain && reply.left >= wish.least)
    }
}

impl Side {
    pub(super) fn new(pot: Arc<Pot>) -> Self {
        let current = Leased::new(pot.grant.load_full());
        let (pace, used) = (Pace::default(), (0, 0));
        Self { pot, current, retired: Vec::new(), pace, used, surplus: false, recalled: false, recalled_at: None }
    }

    /// What to ask now. `number` numbers a new lease. In order: [`Self::answered`] must be told the replies.
    pub(super) fn asks(&mut self, holder: Uuid, now: Now, number: impl FnOnce() -> u64) -> Vec<Ask> {
        let mut asks = Vec::new();
        let slot = self.pot.spec.load().lease_slot(now.time);
        if self.current.finished || self.current.gives_way(slot, now.time) {
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
        self.pace.restart();
    }

    fn outlook(&self) -> Outlook {
        let (pot, spec) = (&self.pot, self.pot.spec.load());
        let (pace, still) = self.used;
        let largest = match spec.charge {
            Charge::Ahead => pot.largest.load(Ordering::Relaxed),
            // Nobody takes from it before the answer, but something must be there.
            Charge::After => spec.limit / 100 + 1,
        };
        let mut known = **pot.known.load();
        if self.recalled {
            // As the one who waits was told.
            known.left = known.left.min(0);
        }
        Outlook {
            known,
            free: self.current.grant.free(),
            first: pot.is_waited_for().then(|| pot.first.load(Ordering::Acquire)),
            wanted: pot.wanted.load(Ordering::Acquire),
            largest,
            pace,
            still,
        }
    }

    fn wish(&mut self, now: Now) -> Wish {
        let taken = self.current.taken();
        if !self.pace.is_at(taken) {
            self.pot.age();
        }
        self.used = self.pace.measure(now.steady, taken);
        let outlook = self.outlook();
        self.recalled = false;
        let Leased { grant, holder, .. } = &mut self.current;
        grant.low.store(outlook.low(), Ordering::Relaxed);
        match outlook.step() {
            Step::Raise { want, least } => holder.raise(want, least),
            Step::GiveBack(amount) => holder.give_back(grant.withdraw(amount)),
        }
    }

    /// Whether there is anything to say or to hear.
    pub(super) fn is_due(&self, now: Now) -> bool {
        let (current, known) = (&self.current, self.pot.known.load());
        let spec = self.pot.spec.load();
        let old = now.steady - known.at >= POLL;
        let idle = current.grant.free() > 0 && (old || self.outlook().is_scarce());
        !self.retired.is_empty()
            || self.pot.is_waited_for()
            || current.asked.is_some()
            || now.time >= current.grant.slot.end
            || spec.limit != known.limit
            || spec.is_rate() && current.told != current.grant.used()
            || idle
            || old && !self.pace.is_at(current.taken())
    }

    /// Whether a store that lost what it knew would have to be told of it: what was granted here counts there, used or not.
    pub(super) fn has_any(&self) -> bool {
        self.current.holder.granted() > 0
    }

    /// Whether it should not be left to the next round: somebody waits here, or may wait elsewhere.
    pub(super) fn is_urgent(&self, now: Now) -> bool {
        (self.pot.is_waited_for() || self.surplus) && now.steady - self.pot.known.load().at >= FRESH
    }

    /// Somebody waits for it at another gateway. Whether there is anything to give back.
    pub(super) fn is_recalled(&mut self) -> bool {
        self.recalled = self.current.grant.free() > 0;
        self.recalled
    }

    /// Whether to ask others for what they do not use: somebody waits here, nobody but them has it, and they were not asked
    /// just now.
    pub(super) fn recalls(&mut self, now: Now) -> bool {
        let known = self.pot.known.load();
        let in_vain = self.pot.is_waited_for() && known.in_vain && !known.withheld && known.others > 0;
        let recalls =
            in_vain && !self.pot.spec.load().is_rate() && self.recalled_at.is_none_or(|at| now.steady - at >= RECALL);
        if recalls {
            self.recalled_at = Some(now.steady);
        }
        recalls
    }

    /// The replies to the last asks of `asked`, in their order, at the store's time `time`; `None` = the store did not answer.
    pub(super) fn answered(&mut self, replies: Option<&[Reply]>, time: i64, asked: Now, now: Now) {
        let Some((last, earlier)) = replies.and_then(<[Reply]>::split_last) else {
            for leased in &mut self.retired {
                // It is said again, with what is free by then.
                leased.finished = false;
            }
            self.pot.is_down(asked);
            self.pot.changed.notify_waiters();
            return;
        };
        for (leased, reply) in self.retired.iter_mut().zip(earlier) {
            leased.hear(reply);
        }
        self.retired.retain(|leased| !leased.finished);
        let (pot, current) = (&self.pot, &mut self.current);
        let limit = current.asked.map_or(i64::MIN, |(_, limit)| limit);
        let (more, in_vain, withheld) = current.hear(last);
        // A slot that has not begun by the store's clock is waited for.
        if last.closed && time >= current.grant.slot.start {
            // Nothing of it may be used any more; what is held stays held.
            current.finished = true;
            let lost = current.grant.withdraw(i64::MAX);
            current.holder.give_back(lost + more);
        } else {
            current.grant.add(more);
            // A lowered limit holds from now on, before anybody takes what is too much; the next ask says so.
            let too_much = current.grant.withdraw(last.left.min(0).saturating_neg());
            current.holder.give_back(too_much);
        }
        if current.grant.free() < current.grant.low.load(Ordering::Relaxed) {
            // There is no more to be had now: do not ask at every request.
            current.grant.low.store(i64::MIN, Ordering::Relaxed);
        }
        let answers = pot.known.load().answers + 1;
        let Reply { spent, others, left, .. } = *last;
        let lease = current.grant.number;
        pot.known.store(Arc::new(Known {
            answers,
            at: now.steady,
            asked: asked.steady,
            lease,
            limit,
            in_vain,
            withheld,
            spent,
            others,
            left,
        }));
        pot.limit.store(limit, Ordering::Release);
        pot.is_up();
        pot.changed.notify_waiters();
        self.surplus = last.left < 0 || matches!(self.outlook().step(), Step::GiveBack(_));
    }

    /// Nobody used it for a while and nothing of it is held here: it can leave memory.
    pub(super) fn is_idle(&self, now: Now) -> bool {
        let Leased { grant, asked, told, .. } = &self.current;
        let spec = self.pot.spec.load();
        let idle = if spec.is_rate() { RATE_IDLE } else { IDLE };
        now.steady - self.pot.used_at.load(Ordering::Relaxed) > idle
            && self.retired.is_empty()
            && !self.pot.is_waited_for()
            && grant.held() == 0
            && grant.free() <= 0
            // What the store does not know yet would be lost with the last word.
            && asked.is_none()
            && (!spec.is_rate() || *told == grant.used())
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

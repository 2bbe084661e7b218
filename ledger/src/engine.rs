//! Accounts in memory: reserve before dispatch, settle after, without a round trip while leases last.
//!
//! ```text
//!  request ─ reserve ─▶ Pot (one an account): take from the lease's free balance, one CAS ─▶ Hold ─ settle ─▶ postings
//!                        │ too little: wait, in order                                          │ frees the rest
//!                        ▼                                                                     ▼
//!                      lease task (one a store): asks ahead of need, gives back what is idle ◀─┘
//! ```

use std::{
    future::{Future, poll_fn},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use uuid::Uuid;

pub use self::{
    clock::{Clock, Now},
    hold::{Hold, Settled, Used},
    refusal::{Cause, Refusal},
    start::{Leases, Running},
};
use self::{
    hold::{Part, Source},
    lane::Lane,
    pot::Pot,
    wait::Turn,
};
use crate::{
    account::{AccountSpec, Charge, Excess, Owner, Unit},
    window::Slot,
};

mod clock;
mod hold;
mod lane;
mod outlook;
mod pot;
mod refusal;
mod side;
mod start;
mod task;
mod turn;
mod wait;

/// What a request needs of one account.
#[derive(Clone, Debug)]
pub struct Need {
    /// The account.
    pub account: Arc<AccountSpec>,
    /// The most that it may use, in the account's unit.
    pub amount: i64,
    /// How long it may wait for a rate, or for a place among parallel requests, that others have used up. For budgets it waits
    /// 2 s whatever this says, and only while others may give something back.
    pub wait: Duration,
}

impl Need {
    /// Refused at once where a rate or the places are used up.
    pub fn new(account: Arc<AccountSpec>, amount: i64) -> Self {
        Self { account, amount, wait: Duration::ZERO }
    }
}

/// All accounts of one gateway. Cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    holder: Uuid,
    /// Numbers leases.
    next: AtomicU64,
    /// Budgets: counted by spend rows.
    money: Lane,
    /// Rates and parallel requests: counted by the exchange.
    rates: Lane,
    /// Allowed past limits while the store was down, since the start; nano-USD.
    overdrawn: AtomicI64,
    /// Round trips to the stores, since the start.
    exchanges: AtomicU64,
    /// How long a request may take, microseconds.
    longest: AtomicU64,
}

/// How a need is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// Out of a lease.
    Held,
    /// Nothing is held: what is used is only booked.
    Counted,
}

/// One account that has too little at hand.
struct Short {
    /// Which need.
    at: usize,
    pot: Arc<Pot>,
}

impl Ledger {
    /// The store's time, microseconds since the epoch.
    pub fn now(&self) -> i64 {
        self.shared.clock.now().time
    }

    /// Accounts in memory.
    pub fn accounts(&self) -> usize {
        self.shared.money.len() + self.shared.rates.len()
    }

    /// Requests that wait for a rate or for a place among parallel requests, by where that limit stands.
    pub fn queued(&self) -> Vec<(Owner, usize)> {
        self.shared.rates.queued()
    }

    /// Round trips to the stores for leases, since the start.
    pub fn exchanges(&self) -> u64 {
        self.shared.exchanges.load(Ordering::Relaxed)
    }

    /// Let through past limits while the store was down, since the start; nano-USD.
    pub fn overdrawn(&self) -> i64 {
        self.shared.overdrawn.load(Ordering::Relaxed)
    }

    /// A request may take this long from now on. Never shortened: those under way may have begun under an earlier configuration.
    pub fn requests_may_take(&self, longest: Duration) {
        self.shared.longest.fetch_max(micros(longest), Ordering::Relaxed);
    }

    /// What could be had of an account at most; `None` = the store was not asked yet.
    pub fn affordable(&self, account: &Arc<AccountSpec>) -> Option<i64> {
        self.shared.pot(account, self.shared.clock.now()).affordable()
    }

    /// What could be had of a rate at most, as far as is known here; all of it where nobody used it in the last minute.
    pub fn remaining(&self, account: &AccountSpec) -> i64 {
        let pot = self.shared.lane(account).peek(&account.id);
        pot.and_then(|pot| pot.affordable()).unwrap_or(account.limit).min(account.limit)
    }

    /// Takes what all accounts must give, or nothing. `needs` must be sorted by account id, each account once; `caller` names
    /// who is slowed down where a limit throttles, and who takes turns where several wait.
    ///
    /// # Errors
    /// The first account that does not give it, after as long as its need may wait.
    pub async fn reserve(&self, needs: &[Need], caller: &str) -> Result<Hold, Refusal> {
        let now = self.shared.clock.now();
        if let Some(need) = needs.iter().find(|need| need.never_fits()) {
            return Err(self.shared.refusal(&self.shared.pot(&need.account, now), need, Cause::TooLarge));
        }
        match self.shared.take(needs.iter().map(|need| (need, How::Held)), now, None) {
            Ok(hold) => Ok(hold),
            Err(short) => self.shared.reserve_slowly(needs, caller, short).await,
        }
    }
}

impl Ledger {
    /// Makes `hold` cover `needs`, for another attempt of the same request: what it lacks is taken, then what it has of other
    /// accounts goes back. What was held of the same accounts stays, in the windows that it was taken in. `needs` as in
    /// [`Self::reserve`].
    ///
    /// # Errors
    /// As [`Self::reserve`]; the hold is as it was.
    pub async fn extend(&self, hold: &mut Hold, needs: &[Need], caller: &str) -> Result<(), Refusal> {
        if hold.parts.is_empty() {
            *hold = self.reserve(needs, caller).await?;
            return Ok(());
        }
        let lacking = lacking(hold, needs);
        if !lacking.is_empty() {
            hold.join(self.reserve(&lacking, caller).await?);
        }
        hold.keep(needs);
        Ok(())
    }

    /// Makes `hold` cover one of `options`, each of them as [`Self::extend`] has it, and says which: the first that gives all
    /// that it must. The request waits for all of them at once, and has its place in each one's order. `None` = they refuse it,
    /// each after as long as its needs may wait; the hold is as it was.
    pub async fn extend_any(&self, hold: &mut Hold, options: &[Vec<Need>], caller: &str) -> Option<usize> {
        let lacking: Vec<Vec<Need>> = options.iter().map(|needs| lacking(hold, needs)).collect();
        let mut asked: Vec<_> = lacking.iter().map(|needs| Some(Box::pin(self.reserve(needs, caller)))).collect();
        let first = poll_fn(|context| {
            for (at, option) in asked.iter_mut().enumerate() {
                match option.as_mut().map(|waiting| waiting.as_mut().poll(context)) {
                    Some(Poll::Ready(Ok(taken))) => return Poll::Ready(Some((at, taken))),
                    Some(Poll::Ready(Err(_))) => *option = None,
                    Some(Poll::Pending) | None => {}
                }
            }
            if asked.iter().any(Option::is_some) { Poll::Pending } else { Poll::Ready(None) }
        });
        let first = first.await;
        // It leaves the other queues before anything else happens.
        drop(asked);
        let (at, taken) = first?;
        hold.join(taken);
        hold.keep(options.get(at)?);
        Some(at)
    }
}

/// What a hold lacks of them. What never fits is asked for whole, to be refused for that.
fn lacking(hold: &mut Hold, needs: &[Need]) -> Vec<Need> {
    let lacks = |need: &Need| if need.never_fits() { Some(need.clone()) } else { hold.lacks(need) };
    needs.iter().filter_map(lacks).collect()
}

impl Need {
    fn never_fits(&self) -> bool {
        let spec = &self.account;
        spec.excess == Excess::Refuse && spec.charge == Charge::Ahead && self.amount > spec.limit
    }
}

impl Shared {
    fn lane(&self, spec: &AccountSpec) -> &Lane {
        if spec.is_rate() { &self.rates } else { &self.money }
    }

    /// The account in memory.
    fn pot(&self, spec: &Arc<AccountSpec>, now: Now) -> Arc<Pot> {
        self.lane(spec).pot(spec, now, || self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Takes everything or, where one account has too little at hand, nothing.
    fn take<'a>(
        &self,
        needs: impl ExactSizeIterator<Item = (&'a Need, How)>,
        now: Now,
        turn: Option<&Turn>,
    ) -> Result<Hold, Short> {
        let mut hold = Hold { parts: Vec::with_capacity(needs.len()) };
        for (at, (need, how)) in needs.enumerate() {
            // What was taken so far goes back when `hold` is dropped.
            hold.parts.push(self.part(need, how, now, turn).map_err(|pot| Short { at, pot })?);
        }
        Ok(hold)
    }

    fn part(&self, need: &Need, how: How, now: Now, turn: Option<&Turn>) -> Result<Part, Arc<Pot>> {
        let spec = Arc::clone(&need.account);
        if how == How::Counted || spec.excess == Excess::Tell {
            let slot = spec.window.slot(now.time).start;
            return Ok(Part::new(spec, need.amount, Source::Nothing, slot));
        }
        let pot = self.pot(&spec, now);
        // Who waits goes first.
        if pot.is_waited_for() && !turn.is_some_and(|turn| turn.goes_first(&pot)) {
            return Err(pot);
        }
        let grant = pot.grant.load_full();
        if now.time >= grant.slot.end
            || pot.may_be_given_up(&spec, now)
            || spec.limit < pot.limit.load(Ordering::Relaxed) && !pot.down.load(Ordering::Relaxed)
        {
            return Err(pot);
        }
        let Some(taken) = grant.take(held(need), &spec) else {
            return Err(pot);
        };
        let left = grant.free();
        if spec.charge == Charge::After && left <= 0 {
            grant.release(taken, &spec);
            return Err(pot);
        }
        pot.touch(now, taken.amount);
        if left < grant.low.load(Ordering::Relaxed) {
            self.lane(&spec).urge(&pot);
        }
        // Of a lease without bounds each use has its own slot; time that went back does not lead out of one with bounds.
        let slot = if grant.slot == Slot::ALWAYS { spec.window.slot(now.time).start } else { grant.slot.start };
        Ok(Part::new(spec, need.amount, Source::Lease(pot, grant, taken), slot))
    }

    fn refusal(&self, pot: &Pot, need: &Need, cause: Cause) -> Refusal {
        let (now, known, spec) = (self.clock.now(), pot.known.load(), &need.account);
        // All but what is left and spent is held, here or elsewhere; what has ended but is not booked yet counts as held.
        let free = known.left.max(0).saturating_add(pot.grant.load().free().max(0));
        let reserved = spec.limit.saturating_sub(known.spent).saturating_sub(free).max(0);
        Refusal {
            account: Arc::clone(spec),
            cause,
            needed: need.amount,
            spent: known.spent,
            reserved: if known.answers == 0 { 0 } else { reserved },
            resets_at: spec.window.resets_at(now.time),
            retry_after: spec.is_rate().then(|| retry_after(spec, need.amount)),
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// What is taken before dispatch.
fn held(need: &Need) -> i64 {
    match need.account.charge {
        Charge::Ahead => need.amount,
        Charge::After => 0,
    }
}

/// When a rate that is used up evenly has this much again: at least 1 s, at most a minute.
fn retry_after(spec: &AccountSpec, amount: i64) -> Duration {
    let seconds = amount.saturating_mul(60).checked_div(spec.limit).unwrap_or(60);
    let seconds = if spec.unit == Unit::Parallel { 1 } else { seconds };
    Duration::from_secs(u64::try_from(seconds.clamp(1, 60)).unwrap_or(60))
}

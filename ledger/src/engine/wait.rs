//! The slow way to a hold: wait in order until others settle or the store grants more, and find out that neither will.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::{Instant, timeout_at};

use super::{Cause, Hold, How, Need, Refusal, Shared, Short, held, hold::Source, pot::Pot, retry_after, turn::Permit};
use crate::{
    account::{AccountId, AccountSpec, Charge, Excess, Outage, Unit},
    window::WindowSpec,
};

/// Longest that a request waits for others to settle before a budget refuses it, and for the store to say how things stand.
const WAIT: Duration = Duration::from_secs(2);
/// Requests of one caller that wait for one rate; more are refused at once.
const MOST_WAITING: usize = 100;
/// A store that has been silent for less is waited for: longer than [the longest exchange](crate::store::LONGEST_EXCHANGE), so
/// that another one follows, and less than [`WAIT`]; microseconds.
const HICCUP: i64 = 1_750_000;
/// What the store said is believed for this long before it is asked again; microseconds.
pub(super) const FRESH: i64 = 100_000;

/// What the subjects of accounts begin with that slow callers down.
pub(super) const THROTTLE: &str = "throttle:";

/// Counted among those who wait for a pot.
struct Waiting {
    pot: Arc<Pot>,
    amount: i64,
}

impl Waiting {
    fn new(pot: Arc<Pot>, amount: i64) -> Self {
        // Sequentially consistent, as what is free is: either the waiter sees what was freed, or who frees sees the waiter.
        pot.wanted.fetch_add(amount, Ordering::SeqCst);
        pot.waiting.fetch_add(1, Ordering::SeqCst);
        Self { pot, amount }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.pot.waiting.fetch_sub(1, Ordering::SeqCst);
        self.pot.wanted.fetch_sub(self.amount, Ordering::SeqCst);
    }
}

/// The right to take from a pot before all others that wait for it.
pub(super) struct Turn<'a> {
    waiting: &'a Waiting,
    since: i64,
    /// `None`: out of turn.
    _permit: Option<Permit>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let pot = &self.waiting.pot;
        // Whoever has the turn next finds out anew.
        if pot.waiting.load(Ordering::SeqCst) <= 1 {
            pot.full.store(false, Ordering::Release);
        }
    }
}

impl Turn<'_> {
    /// Of another pot it takes before those who came later: requests that each need two scarce accounts would else send each
    /// other from queue to queue.
    pub(super) fn goes_first(&self, pot: &Arc<Pot>) -> bool {
        Arc::ptr_eq(&self.waiting.pot, pot) || self.since < pot.first_since.load(Ordering::Acquire)
    }
}

/// Let through beyond a limit. Dropped before the request passes all its limits, it is as if it was not.
struct Beyond {
    pot: Arc<Pot>,
    amount: i64,
}

impl Drop for Beyond {
    fn drop(&mut self) {
        self.pot.restore(self.amount);
    }
}

/// What becomes of a need that is not met.
enum Pass {
    No,
    /// It is only booked.
    Counted(Beyond),
    /// It is only booked, at this rate.
    Slowly(Need),
}

/// Why a request waits.
#[derive(Clone, Copy)]
enum Lack {
    /// The store has yet to say how things stand, or to give what it has.
    Unknown,
    /// Others have it.
    UsedUp,
}

/// Since when a request tries, and since when it waits for a budget and for a rate.
#[derive(Clone, Copy)]
struct Term {
    since: i64,
    budget: Option<Instant>,
    rate: Option<Instant>,
}

/// How long one need waits.
#[derive(Clone, Copy)]
struct Patience<'a> {
    caller: &'a str,
    since: i64,
    /// For the turn, and for the store to say how things stand.
    deadline: Instant,
    /// For a rate that others have used up.
    rate: Instant,
}

impl Term {
    fn patience<'a>(&mut self, need: &Need, caller: &'a str) -> Patience<'a> {
        let now = Instant::now();
        let begun = if need.account.is_rate() { &mut self.rate } else { &mut self.budget };
        let begun = *begun.get_or_insert(now);
        Patience { caller, since: self.since, deadline: begun + WAIT.max(need.wait), rate: begun + need.wait }
    }
}

impl Shared {
    pub(super) async fn reserve_slowly(&self, needs: &[Need], caller: &str, first: Short) -> Result<Hold, Refusal> {
        let mut term = Term { since: self.clock.now().steady, budget: None, rate: None };
        let mut needs: Vec<(Need, How)> = needs.iter().map(|need| (need.clone(), How::Held)).collect();
        let mut beyond = Vec::new();
        let mut short = first;
        loop {
            let Some((need, how)) = needs.get_mut(short.at) else {
                // `short` names one of the needs that were tried.
                return Ok(Hold::default());
            };
            let waiting = Waiting::new(Arc::clone(&short.pot), held(need));
            let turn = match self.wait(&waiting, need, term.patience(need, caller)).await {
                Ok(turn) => Some(turn),
                Err(cause) => {
                    match self.pass(&short.pot, need, cause, caller) {
                        Pass::No => return Err(self.refusal(&short.pot, need, cause)),
                        Pass::Counted(one) => {
                            *how = How::Counted;
                            beyond.push(one);
                        }
                        Pass::Slowly(rate) => {
                            *how = How::Counted;
                            needs.push((rate, How::Held));
                        }
                    }
                    None
                }
            };
            let tried = self.take(needs.iter().map(|(need, how)| (need, *how)), self.clock.now(), turn.as_ref());
            drop(turn);
            match tried {
                Ok(mut hold) => {
                    self.went_beyond(&mut hold, beyond);
                    return Ok(hold);
                }
                Err(next) => short = next,
            }
        }
    }

    /// The request passes all its limits.
    fn went_beyond(&self, hold: &mut Hold, beyond: Vec<Beyond>) {
        for mut one in beyond {
            let spec = one.pot.spec.load_full();
            let amount = std::mem::take(&mut one.amount);
            let source = match spec.unit {
                Unit::NanoUsd => {
                    self.overdrawn.fetch_add(amount, Ordering::Relaxed);
                    Source::Beyond
                }
                // The place is free again when the request ends.
                Unit::Parallel => Source::Overdraft(Arc::clone(&one.pot)),
                Unit::Tokens | Unit::Requests => continue,
            };
            if let Some(part) = hold.parts.iter_mut().find(|part| part.spec.id == spec.id) {
                part.of = source;
            }
        }
    }

    /// Waits for the turn, and until what is needed is at hand.
    async fn wait<'a>(&self, waiting: &'a Waiting, need: &Need, patience: Patience<'_>) -> Result<Turn<'a>, Cause> {
        let pot = &waiting.pot;
        let Patience { caller, since, deadline, .. } = patience;
        let others_wait = pot.full.load(Ordering::Acquire) && pot.waiting.load(Ordering::SeqCst) > 1;
        let in_vain = || need.wait.is_zero() || pot.turns.waiting(caller) >= MOST_WAITING;
        if need.account.is_rate() && others_wait && in_vain() {
            return Err(Cause::Exhausted);
        }
        let Ok(permit) = timeout_at(deadline, pot.turns.take(caller)).await else {
            let harmless = self.is_out_of_turn_harmless(waiting, need);
            return if harmless { Ok(Turn { waiting, since, _permit: None }) } else { Err(too_late(waiting, need)) };
        };
        let turn = Turn { waiting, since, _permit: Some(permit) };
        pot.first.store(waiting.amount, Ordering::Release);
        pot.first_since.store(since, Ordering::Release);
        let known = pot.known.load();
        let (amount, before) = (waiting.amount.max(1), known.answers);
        let is_fresh = before > 0 && self.clock.now().steady - known.at < FRESH;
        if !is_fresh || !known.in_vain && known.left >= amount {
            // Once; from then on the lease task asks again at each of its ticks.
            self.lane(&need.account).urge(pot);
        }
        drop(known);
        loop {
            let changed = pot.changed.notified();
            tokio::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            let until = match self.lack(waiting, need, before)? {
                None => return Ok(turn),
                Some(Lack::UsedUp) if need.account.is_rate() => {
                    pot.full.store(true, Ordering::Release);
                    patience.rate
                }
                Some(Lack::UsedUp | Lack::Unknown) => deadline,
            };
            if timeout_at(until, changed).await.is_err() {
                return Err(too_late(waiting, need));
            }
        }
    }

    /// There is enough for whoever has the turn and for this request as well. So it is where an answer of the store, or the
    /// processor, came so late that all who waited are at the end of their time at once.
    fn is_out_of_turn_harmless(&self, waiting: &Waiting, need: &Need) -> bool {
        let (pot, amount) = (&waiting.pot, waiting.amount.max(1));
        let both = pot.first.load(Ordering::Acquire).saturating_add(amount);
        pot.grant.load().free() >= both && matches!(self.lack(waiting, need, 0), Ok(None))
    }

    /// Why what is needed is not at hand; `None` = it is. `before`: answers of the store before the request had its turn.
    ///
    /// # Errors
    /// It will not be at hand, however long the request may wait.
    fn lack(&self, waiting: &Waiting, need: &Need, before: u64) -> Result<Option<Lack>, Cause> {
        let (pot, amount) = (&waiting.pot, waiting.amount.max(1));
        let (grant, now) = (pot.grant.load(), self.clock.now());
        let down = pot.down_for(now);
        let in_time = now.time < grant.slot.end;
        let lowered = need.account.limit < pot.limit.load(Ordering::Acquire) && down.is_none();
        let usable = in_time && !lowered && !pot.may_be_given_up(&need.account, now);
        if pot.gone.load(Ordering::Acquire) || usable && grant.free() >= amount {
            return Ok(None);
        }
        // What must not pass unseen waits out a hiccup of the store.
        if down.is_some_and(|time| need.account.outage != Outage::Refuse || time >= HICCUP) {
            return Err(Cause::Unavailable);
        }
        let known = pot.known.load();
        // Of this lease and limit, and not from before this request came.
        let asked = known.lease == grant.number
            && known.limit == need.account.limit
            && (known.answers > before || now.steady - known.at < FRESH);
        let more = known.left.max(0).saturating_add(grant.free().max(0));
        if !asked || !in_time || more >= amount {
            return Ok(Some(Lack::Unknown));
        }
        let others = known.others > 0 || grant.held() > 0;
        let back = Duration::from_micros(u64::try_from(pot.comes_back() - now.steady).unwrap_or(0));
        if may_come(need, amount, (others, back)) { Ok(Some(Lack::UsedUp)) } else { Err(Cause::Exhausted) }
    }

    fn pass(&self, pot: &Arc<Pot>, need: &Need, cause: Cause, caller: &str) -> Pass {
        let spec = &need.account;
        match (cause, spec.excess, spec.outage) {
            (Cause::Unavailable, _, Outage::Allow(most)) if pot.overdraw(need.amount, most, self.clock.now()) => {
                Pass::Counted(Beyond { pot: Arc::clone(pot), amount: need.amount })
            }
            (Cause::Exhausted, Excess::Throttle { rpm }, _) => Pass::Slowly(slowly(spec, rpm, caller)),
            _ => Pass::No,
        }
    }
}

/// Whether what is used up may be there again before the request gives up. `others`: requests under way hold something; `back`:
/// how long until the first of what was used as a rate leaves its minute.
fn may_come(need: &Need, amount: i64, (others, back): (bool, Duration)) -> bool {
    let spec = &need.account;
    match spec.unit {
        _ if !spec.is_rate() => others,
        Unit::Parallel => others && !need.wait.is_zero(),
        Unit::NanoUsd | Unit::Tokens | Unit::Requests => retry_after(spec, amount).max(back) <= need.wait,
    }
}

/// Why nothing came while the request waited: a store that is silent, or that does not give what it has, as after its failover, or
/// that is slow while it has enough for all who wait, is not an empty account.
fn too_late(waiting: &Waiting, need: &Need) -> Cause {
    let (pot, known) = (&waiting.pot, waiting.pot.known.load());
    let heard = known.answers > 0 && !pot.down.load(Ordering::Acquire);
    let is_slow = known.left >= pot.wanted.load(Ordering::SeqCst).max(1) && !known.in_vain && !need.account.is_rate();
    if heard && !known.withheld && !is_slow { Cause::Exhausted } else { Cause::Unavailable }
}

/// The rate at which a caller goes on beyond a limit that throttles.
fn slowly(spec: &AccountSpec, rpm: i64, caller: &str) -> Need {
    let (unit, window) = (Unit::Requests, WindowSpec::minute());
    let subject: Arc<str> = format!("{THROTTLE}{caller}").into();
    let id = AccountId::new(&spec.owner, unit, &window, &subject, None);
    let owner = spec.owner.clone();
    let account = AccountSpec {
        id,
        owner,
        subject,
        unit,
        window,
        limit: rpm,
        excess: Excess::Refuse,
        charge: Charge::Ahead,
        outage: Outage::Allow(rpm),
    };
    Need::new(Arc::new(account), 1)
}

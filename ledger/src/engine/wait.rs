//! The slow way to a hold: wait in order until others settle or the store grants more, and find out that neither will.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    sync::SemaphorePermit,
    time::{Instant, timeout_at},
};

use super::{Cause, Hold, How, Need, Refusal, Shared, Short, pot::Pot};
use crate::{
    account::{AccountId, AccountSpec, Charge, Excess, Outage, Unit},
    window::WindowSpec,
};

/// Longest that a request waits for others to settle before it is refused.
const WAIT: Duration = Duration::from_secs(2);

/// Counted among those who wait for a pot.
struct Waiting {
    pot: Arc<Pot>,
    amount: i64,
}

impl Waiting {
    fn new(pot: Arc<Pot>, amount: i64) -> Self {
        pot.waiting.fetch_add(1, Ordering::AcqRel);
        pot.wanted.fetch_add(amount, Ordering::AcqRel);
        Self { pot, amount }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.pot.wanted.fetch_sub(self.amount, Ordering::AcqRel);
        self.pot.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The right to take before all others that wait for a pot.
pub(super) type Turn<'a> = SemaphorePermit<'a>;

/// What becomes of a need that is not met.
enum Pass {
    No,
    /// It is only booked.
    Counted,
    /// It is only booked, at this rate.
    Slowly(Need),
}

impl Shared {
    pub(super) async fn reserve_slowly(&self, needs: &[Need], caller: &str, first: Short) -> Result<Hold, Refusal> {
        let deadline = Instant::now() + WAIT;
        let mut needs: Vec<(Need, How)> = needs.iter().map(|need| (need.clone(), How::Held)).collect();
        let mut short = first;
        loop {
            let Some((need, how)) = needs.get_mut(short.at) else {
                // `short` names one of the needs that were tried.
                return Ok(Hold::default());
            };
            let waiting = Waiting::new(Arc::clone(&short.pot), held(need));
            let turn = match self.wait(&waiting, deadline).await {
                Ok(turn) => Some(turn),
                Err(cause) => {
                    match self.pass(&short.pot, need, cause, caller) {
                        Pass::No => return Err(self.refusal(&short.pot, need, cause)),
                        Pass::Counted => *how = How::Counted,
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
                Ok(hold) => return Ok(hold),
                Err(next) => short = next,
            }
        }
    }

    /// Waits for the turn, and until what is needed is at hand.
    async fn wait<'a>(&self, waiting: &'a Waiting, deadline: Instant) -> Result<Turn<'a>, Cause> {
        let pot = &waiting.pot;
        let turn = timeout_at(deadline, pot.turn.acquire()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(Cause::Exhausted);
        };
        pot.first.store(waiting.amount, Ordering::Release);
        let before = pot.known.load().answers;
        // Once; from then on the lease task asks again at each of its ticks.
        self.lane(&pot.spec.load()).urge(pot);
        loop {
            let changed = pot.changed.notified();
            tokio::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            let grant = pot.grant.load();
            let in_time = grant.slot.holds(self.clock.now());
            let enough = in_time && grant.free() >= waiting.amount.max(1);
            if enough || pot.gone.load(Ordering::Acquire) {
                return Ok(turn);
            }
            if pot.down.load(Ordering::Acquire) {
                return Err(Cause::Unavailable);
            }
            let (known, spec) = (pot.known.load(), pot.spec.load());
            let asked = known.answers > before;
            let more = known.left.max(0).saturating_add(grant.free().max(0));
            let coming = !spec.is_rate() && (known.others > 0 || grant.held() > 0);
            if asked && in_time && more < waiting.amount.max(1) && !coming {
                return Err(Cause::Exhausted);
            }
            drop((grant, known, spec));
            if timeout_at(deadline, changed).await.is_err() {
                return Err(Cause::Exhausted);
            }
        }
    }

    fn pass(&self, pot: &Pot, need: &Need, cause: Cause, caller: &str) -> Pass {
        let spec = &need.account;
        match (cause, spec.excess, spec.outage) {
            (Cause::Unavailable, _, Outage::Allow(most)) => {
                let before = pot.overdraft.fetch_add(need.amount, Ordering::AcqRel);
                if before.saturating_add(need.amount) > most {
                    pot.overdraft.fetch_sub(need.amount, Ordering::AcqRel);
                    return Pass::No;
                }
                if spec.unit == Unit::NanoUsd {
                    self.overdrawn.fetch_add(need.amount, Ordering::Relaxed);
                }
                Pass::Counted
            }
            (Cause::Exhausted, Excess::Throttle { rpm }, _) => Pass::Slowly(slowly(spec, rpm, caller)),
            _ => Pass::No,
        }
    }
}

fn held(need: &Need) -> i64 {
    match need.account.charge {
        Charge::Ahead => need.amount,
        Charge::After => 0,
    }
}

/// The rate at which a caller goes on beyond a limit that throttles.
fn slowly(spec: &AccountSpec, rpm: i64, caller: &str) -> Need {
    let (unit, window) = (Unit::Requests, WindowSpec::minute());
    let subject: Arc<str> = format!("throttle:{caller}").into();
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
    Need { account: Arc::new(account), amount: 1 }
}

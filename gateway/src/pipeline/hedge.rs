//! A second attempt beside one that is slow to answer: whoever answers first wins, the other is given up.

use std::{pin::pin, sync::atomic::Ordering, time::Duration};

use futures_util::future::{Either, select};
use turnpike_ledger::engine::Hold;

use super::{
    failure,
    journey::{Journey, Step},
    meter::Meter,
    queue::Patience,
    sender::{Answered, Sender},
};

/// One attempt, and perhaps another one beside it.
pub struct Race<'r, 'a> {
    /// Makes them.
    pub sender: &'r Sender<'a>,
    /// Chooses the second.
    pub journey: &'r mut Journey<'a>,
    /// After which wait.
    pub after: Duration,
}

impl Race<'_, '_> {
    /// The first answer, or the last failure. `step` and `cap` are then those of the attempt that gave it.
    pub async fn run(self, step: &mut Step, cap: &mut Option<u64>, mut meter: Meter) -> Answered {
        // Whichever of them answers is kept.
        let keeping = meter.take_keeping();
        let mut answered = Box::pin(self.race(step, cap, meter)).await;
        meter_of(&mut answered).resume_keeping(keeping, *cap);
        answered
    }

    async fn race(self, step: &mut Step, cap: &mut Option<u64>, mut meter: Meter) -> Answered {
        let left = self.journey.left();
        let app = &self.sender.worker.app;
        // Taken before it is known to be needed: the first attempt has the meter from here on.
        let (Ok(none), Ok(slot)) = (app.in_flight.take(0), app.spend.try_reserve()) else {
            return self.sender.attempt(step, *cap, left, meter).await;
        };
        let Some((second, [first_lost, second_lost])) = meter.race(none, slot) else {
            return self.sender.attempt(step, *cap, left, meter).await;
        };
        let attempts = second.number();
        let asked = step.clone();
        let mut first = pin!(self.sender.attempt(&asked, *cap, left, meter));
        let wait = pin!(tokio::time::sleep(self.after));
        if let Either::Left((mut answered, _)) = select(&mut first, wait).await {
            second.forget();
            alone(&mut answered);
            return answered;
        }
        let Some(other) = self.journey.hedge() else {
            second.forget();
            let mut answered = first.await;
            alone(&mut answered);
            return answered;
        };
        let second = pin!(beside(self.sender, &other, self.journey.left(), second));
        let mut hold = Hold::default();
        let (mut answered, of_second) = match select(first, second).await {
            Either::Left((Err((error, meter)), second)) => {
                self.journey.lost(step, &failure::of(&error));
                match second.await {
                    // It was not made, so that there is nothing else to wait for.
                    None => (Err((error, meter)), None),
                    Some((other_cap, answered)) => {
                        hold = meter.hedged(&error);
                        (answered, Some(other_cap))
                    }
                }
            }
            Either::Left((answered, _)) => {
                second_lost.store(true, Ordering::Release);
                (answered, None)
            }
            Either::Right((None, first)) => {
                let mut answered = first.await;
                alone(&mut answered);
                return answered;
            }
            Either::Right((Some((_, Err((error, meter)))), first)) => {
                self.journey.lost(&other, &failure::of(&error));
                hold = meter.hedged(&error);
                (first.await, None)
            }
            Either::Right((Some((other_cap, answered)), _)) => {
                first_lost.store(true, Ordering::Release);
                (answered, Some(other_cap))
            }
        };
        won(&mut answered, hold, attempts);
        if let Some(other_cap) = of_second {
            (*step, *cap) = (other.clone(), other_cap);
        }
        answered
    }
}

/// The second attempt; `None` = it does not get what it needs.
async fn beside(sender: &Sender<'_>, step: &Step, left: Duration, mut meter: Meter) -> Option<(Option<u64>, Answered)> {
    let hedging = Sender { worker: sender.worker, asked: sender.asked.clone(), counts: false };
    let (Ok(()), Ok(reserved)) =
        (meter.takes_place(), hedging.reserve(step, left, Patience::NONE, Hold::default()).await)
    else {
        meter.forget();
        return None;
    };
    let cap = reserved.cap;
    meter.hold(reserved);
    Some((cap, hedging.attempt(step, cap, left, meter).await))
}

/// There was no second attempt.
fn alone(answered: &mut Answered) {
    let meter = meter_of(answered);
    let number = meter.number();
    meter.won(Hold::default(), number);
}

fn won(answered: &mut Answered, hold: Hold, attempts: u16) {
    meter_of(answered).won(hold, attempts);
}

fn meter_of(answered: &mut Answered) -> &mut Meter {
    match answered {
        Ok((_, meter)) | Err((_, meter)) => meter,
    }
}

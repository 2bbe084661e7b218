//! Answers a request by as many attempts as it takes: another member, another model, until one has something to show.
//!
//! An attempt that failed stays open until the next one may begin, so that the last one is the answer, whatever ends the
//! request: its error, a limit, the deadline, or a client that leaves.

use axum::response::Response;
use tokio::time::Instant;
use turnpike_ledger::engine::Hold;
use turnpike_routing::{failure::Cause, plan::NoMember};

use super::{
    admit::Permit,
    call::Reply,
    deliver, failure,
    hedge::Race,
    journey::{Journey, NoStep, Step},
    meter::Meter,
    mirror,
    queue::Patience,
    reserve::Reserved,
    sender::Sender,
};
use crate::{config::snapshot::Snapshot, error::Error};

/// A request that may be sent.
pub struct Attempts<'a> {
    /// Sends it.
    pub sender: Sender<'a>,
    /// What it is sent from.
    pub snapshot: &'a Snapshot,
    /// Its share of the process-wide buffer, held until the first byte of an answer.
    pub permit: Permit,
    /// Its way.
    pub journey: Journey<'a>,
    /// The failure that is played instead of the first attempts.
    pub played: Option<Error>,
}

/// The failure that the client is told of, and what became of it.
struct Failed {
    /// Of the first attempt.
    original: Error,
    /// A further attempt would have been dearer than a limit lets pass.
    over_budget: bool,
}

impl Attempts<'_> {
    /// Answers it after it has waited since then for anybody who could, within what is left of its time.
    pub async fn after(mut self, began: Instant, meter: Meter) -> Response {
        self.journey.waited(began);
        if self.journey.left().is_zero() {
            return fail(meter, NoStep::Refused(NoMember::Cold).error(&self.sender.asked.name));
        }
        self.answer(meter).await
    }

    /// Answers it.
    pub async fn answer(mut self, mut meter: Meter) -> Response {
        let mut step = match self.journey.first(&self.sender.asked.source()) {
            Ok(step) => step,
            Err(none) => return fail(meter, none.error(&self.sender.asked.name)),
        };
        if let Some(mirror) = &self.journey.pool().group.mirror {
            mirror::send(mirror, self.snapshot, &self.sender, &mut meter, rand::random());
        }
        let mut failed = None;
        let mut cap = match self.reserve(&step, Hold::default()).await {
            Ok(reserved) => {
                let cap = reserved.cap;
                meter.hold(reserved);
                if step.is_fallback {
                    meter.fell();
                }
                cap
            }
            Err((error, _)) => match Box::pin(self.pass_over(&step, error, &mut meter, &mut failed)).await {
                Ok(next) => {
                    step = next.0;
                    next.1
                }
                Err(error) => return fail(meter, error),
            },
        };
        loop {
            let began = Instant::now();
            let answered = match (self.played.take(), self.journey.hedge_after()) {
                (Some(played), _) => Err((played, meter)),
                (None, None) => self.sender.attempt(&step, cap, self.journey.left(), meter).await,
                // Boxed: only groups that hedge pay for its size.
                (None, Some(after)) => {
                    let race = Race { sender: &self.sender, journey: &mut self.journey, after };
                    Box::pin(race.run(&mut step, &mut cap, meter)).await
                }
            };
            let error = match answered {
                Ok((reply, meter)) => return self.deliver(reply, meter, &step, cap),
                Err((error, back)) => {
                    meter = back;
                    error
                }
            };
            // Boxed: only requests that fail pay for its size.
            match Box::pin(self.next(error, began, &mut meter, &mut failed)).await {
                Ok(next) => (step, cap) = next,
                Err(error) => return fail(meter, error),
            }
        }
    }

    fn deliver(self, reply: Reply, mut meter: Meter, step: &Step, cap: Option<u64>) -> Response {
        let mut journey = self.journey;
        journey.answered(step);
        meter.began_to_answer(&reply);
        let (retries, fallbacks) = meter.attempted();
        let mut response = deliver::respond(reply, meter, &step.model, &self.sender.asked.name);
        deliver::capped(&mut response, cap);
        deliver::attempted(&mut response, retries, fallbacks);
        response
    }

    /// What comes after a failed attempt.
    async fn next(
        &mut self,
        error: Error,
        began: Instant,
        meter: &mut Meter,
        failed: &mut Option<Failed>,
    ) -> Result<(Step, Option<u64>), Error> {
        let failure = failure::of(&error);
        meter.failed(&error);
        failed.get_or_insert(Failed { original: error, over_budget: false });
        let step = self.journey.failed(&failure, began, &self.sender.asked.source());
        self.prepare(step, meter, failed).await
    }

    /// What comes after an attempt that a limit does not let pass.
    async fn pass_over(
        &mut self,
        step: &Step,
        error: Error,
        meter: &mut Meter,
        failed: &mut Option<Failed>,
    ) -> Result<(Step, Option<u64>), Error> {
        let failure = failure::of(&error);
        if failure::is_full(&error) {
            self.journey.full(step);
        }
        failed.get_or_insert(Failed { original: error, over_budget: false });
        let step = self.journey.passed_over(failure.cause, &self.sender.asked.source());
        self.prepare(step, meter, failed).await
    }

    /// Holds what the next attempt may use; where a limit does not let it pass, what the one after it may; at the end of all,
    /// what the first may have that there was no room for.
    async fn prepare(
        &mut self,
        mut step: Result<Step, NoStep>,
        meter: &mut Meter,
        failed: &mut Option<Failed>,
    ) -> Result<(Step, Option<u64>), Error> {
        let worker = self.sender.worker;
        loop {
            let Ok(slot) = worker.app.spend.try_reserve() else { return Err(told(failed)) };
            let Ok(next) = step else {
                return match self.queue(meter).await {
                    Some((next, reserved)) => {
                        let cap = reserved.cap;
                        meter.retry(slot, reserved, next.is_fallback);
                        Ok((next, cap))
                    }
                    None => Err(told(failed)),
                };
            };
            if !next.after.is_zero() {
                tokio::time::sleep(next.after).await;
            }
            let (error, hold) = match self.reserve(&next, meter.take_hold()).await {
                Ok(reserved) => {
                    let cap = reserved.cap;
                    meter.retry(slot, reserved, next.is_fallback);
                    return Ok((next, cap));
                }
                Err(refused) => refused,
            };
            meter.give_back(hold);
            if failure::is_full(&error) {
                self.journey.full(&next);
            }
            let cause = match failure::of(&error).cause {
                // The client's own limit: something cheaper may pass, after the same failure.
                Cause::Client => {
                    if let Some(failed) = failed {
                        failed.over_budget = true;
                    }
                    self.journey.cause()
                }
                cause => cause,
            };
            step = self.journey.passed_over(cause, &self.sender.asked.source());
        }
    }

    /// Holds what an attempt may use. Waiting for it is no time of the backend's.
    async fn reserve(&mut self, step: &Step, hold: Hold) -> Result<Reserved, (Error, Hold)> {
        let rest = self.journey.rest(self.sender.worker.app.queue_wait);
        let patience = Patience::of_one(rest, self.journey.has_others());
        let began = Instant::now();
        let reserved = self.sender.reserve(step, self.journey.left(), patience, hold).await;
        self.journey.queued(began);
        reserved
    }

    /// Waits for the first of those for which there was no room. `None` = none of them has any in time.
    async fn queue(&mut self, meter: &mut Meter) -> Option<(Step, Reserved)> {
        let mut full = self.journey.take_full();
        let rest = self.journey.rest(self.sender.worker.app.queue_wait);
        if full.is_empty() || rest.is_zero() {
            return None;
        }
        let (steps, left): (Vec<&Step>, _) = (full.iter().map(|full| &full.step).collect(), self.journey.left());
        let began = Instant::now();
        let reserved = self.sender.reserve_any(&steps, left, Patience::of_any(rest), meter.take_hold()).await;
        self.journey.queued(began);
        match reserved {
            Ok((at, reserved)) => {
                let step = self.journey.back_to(full.swap_remove(at), &self.sender.asked.source());
                Some((step, reserved))
            }
            Err(hold) => {
                meter.give_back(hold);
                None
            }
        }
    }
}

impl Failed {
    fn told(self) -> Error {
        if self.over_budget { Error::OverBudget(Box::new(self.original)) } else { self.original }
    }
}

/// What the client of a request is told that nobody takes.
fn told(failed: &mut Option<Failed>) -> Error {
    failed.take().map_or(Error::Internal, Failed::told)
}

/// The answer to a request that failed.
pub fn fail(meter: Meter, error: Error) -> Response {
    let (dialect, request_id) = meter.client();
    let (retries, fallbacks) = meter.attempted();
    meter.fail(&error);
    let mut response = error.answer(dialect, &request_id);
    deliver::attempted(&mut response, retries, fallbacks);
    response
}

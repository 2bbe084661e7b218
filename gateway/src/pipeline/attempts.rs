//! Answers a request by as many attempts as it takes: another member, another model, until one has something to show.
//!
//! An attempt that failed stays open until the next one may begin, so that the last one is the answer, whatever ends the
//! request: its error, a limit, the deadline, or a client that leaves.

use std::sync::Arc;

use axum::response::Response;
use http::HeaderMap;
use tokio::time::Instant;
use turnpike_ledger::engine::Hold;
use turnpike_llm::{provider::Operation, request::Request};
use turnpike_routing::failure::Cause;

use super::{
    admit::Permit,
    call::{self, Call, Reply},
    count, deliver, failure,
    features::Source,
    journey::{Journey, NoStep, Step},
    media::Wanted,
    meter::{Arrival, Meter},
    mock::Mock,
    queue::Patience,
    reserve::{Reservation, Reserved},
};
use crate::{
    app::Worker,
    config::snapshot::{Backend, Caller, Model},
    error::Error,
};

/// What is asked, and by whom.
#[derive(Clone)]
pub struct Asked<'a> {
    /// When and as what it came.
    pub arrival: &'a Arrival,
    /// Who asks.
    pub caller: &'a Caller,
    /// The client's headers.
    pub client: &'a HeaderMap,
    /// The name that was asked for.
    pub name: Arc<str>,
    /// The request, kept until the first byte of an answer.
    pub request: Arc<Request>,
}

impl Asked<'_> {
    fn source(&self) -> Source<'_> {
        Source { operation: self.arrival.operation, request: &self.request, client: self.client, caller: self.caller }
    }
}

/// A request that may be sent.
pub struct Attempts<'a> {
    /// Who sends it.
    pub worker: &'a Worker,
    /// What is sent.
    pub asked: Asked<'a>,
    /// Its share of the process-wide buffer.
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

/// What an attempt gave.
type Answered = Result<(Reply, Meter), (Error, Meter)>;

impl Attempts<'_> {
    /// Answers it.
    pub async fn answer(mut self, mut meter: Meter) -> Response {
        let mut step = match self.journey.first(&self.asked.source()) {
            Ok(step) => step,
            Err(none) => return fail(meter, none.error(&self.asked.name)),
        };
        if step.is_fallback {
            meter.fell();
        }
        let mut failed = None;
        let mut cap = match self.reserve(&step, Hold::default()).await {
            Ok(reserved) => {
                let cap = reserved.cap;
                meter.hold(reserved);
                cap
            }
            Err((error, _)) => match Box::pin(self.pass_over(error, &mut meter, &mut failed)).await {
                Ok(next) => {
                    step = next.0;
                    next.1
                }
                Err(error) => return fail(meter, error),
            },
        };
        loop {
            let began = Instant::now();
            let error = match self.attempt(&step, cap, meter).await {
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
        let mut response = deliver::respond(reply, meter, &step.model, &self.asked.name);
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
        let step = self.journey.failed(&failure, began, &self.asked.source());
        self.prepare(step, meter, failed).await
    }

    /// What comes after an attempt that a limit does not let pass.
    async fn pass_over(
        &mut self,
        error: Error,
        meter: &mut Meter,
        failed: &mut Option<Failed>,
    ) -> Result<(Step, Option<u64>), Error> {
        let failure = failure::of(&error);
        failed.get_or_insert(Failed { original: error, over_budget: false });
        let step = self.journey.passed_over(failure.cause, &self.asked.source());
        self.prepare(step, meter, failed).await
    }

    /// Holds what the next attempt may use; where a limit does not let it pass, what the one after it may.
    async fn prepare(
        &mut self,
        mut step: Result<Step, NoStep>,
        meter: &mut Meter,
        failed: &mut Option<Failed>,
    ) -> Result<(Step, Option<u64>), Error> {
        let app = &self.worker.app;
        loop {
            let (Ok(next), Ok(slot)) = (step, app.spend.try_reserve()) else {
                return Err(failed.take().map_or(Error::Internal, Failed::told));
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
            step = self.journey.passed_over(cause, &self.asked.source());
        }
    }

    /// One attempt.
    async fn attempt(&mut self, step: &Step, cap: Option<u64>, mut meter: Meter) -> Answered {
        let model = &step.model;
        let upstream_model = step.upstream_model.as_ref().unwrap_or(&self.asked.name);
        meter.chosen(model, upstream_model);
        if let Some(played) = self.played.take() {
            return Err((played, meter));
        }
        if self.asked.arrival.operation == Operation::CountTokens && !counts_tokens(model) {
            let counted = count::count(&self.asked.request, upstream_model, &mut meter).await;
            return match counted {
                Ok(reply) => Ok((reply, meter)),
                Err(error) => Err((error, meter)),
            };
        }
        let (Some(upstream_model), Backend::Provider(_)) = (&step.upstream_model, &model.backend) else {
            return match self.mock(model, &mut meter) {
                Ok(reply) => Ok((reply, meter)),
                Err(error) => Err((error, meter)),
            };
        };
        let wanted = Wanted { app: &self.worker.app, model, upstream_model };
        let fetched = match wanted.fetch(self.asked.arrival.operation, &self.asked.request, &mut self.permit).await {
            Ok(fetched) => fetched,
            Err(error) => return Err((error, meter)),
        };
        let call = Call {
            model,
            upstream_model: Arc::clone(upstream_model),
            cap,
            name: &self.asked.name,
            client: self.asked.client,
            arrival: self.asked.arrival,
            fetched,
            left: self.journey.left(),
        };
        call::call(&self.worker.pool, call, &self.asked.request, meter).await
    }

    async fn reserve(&mut self, step: &Step, hold: Hold) -> Result<Reserved, (Error, Hold)> {
        let reservation = Reservation {
            caller: self.asked.caller,
            name: &self.asked.name,
            model: &step.model,
            upstream_model: step.upstream_model.as_ref().unwrap_or(&self.asked.name),
            operation: self.asked.arrival.operation,
            request: &self.asked.request,
            patience: Patience::new(self.worker.app.queue_wait, self.journey.left(), self.journey.has_others()),
        };
        let accounts = reservation.accounts(&self.worker.app);
        if accounts.is_empty() {
            return Ok(Reserved::default());
        }
        // Boxed: only requests with limits pay for its size.
        let began = Instant::now();
        let reserved = Box::pin(reservation.reserve(&self.worker.app, accounts, hold)).await;
        self.journey.waited(began);
        reserved
    }

    fn mock(&self, model: &Model, meter: &mut Meter) -> Result<Reply, Error> {
        let Backend::Mock { response: text } = &model.backend else {
            return Err(Error::Internal);
        };
        let mock = Mock {
            operation: self.asked.arrival.operation,
            name: &self.asked.name,
            text,
            request_id: &self.asked.arrival.request_id,
            created: self.asked.arrival.at_us / 1_000_000,
        };
        mock.answer(&self.asked.request, meter)
    }
}

impl Failed {
    fn told(self) -> Error {
        if self.over_budget { Error::OverBudget(Box::new(self.original)) } else { self.original }
    }
}

fn counts_tokens(model: &Model) -> bool {
    match &model.backend {
        Backend::Provider(upstream) => upstream.adapter.speaks(Operation::CountTokens),
        Backend::Mock { .. } => false,
    }
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

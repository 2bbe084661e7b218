//! Makes one attempt: holds what it may use, fetches what it needs, asks the backend.

use std::{sync::Arc, time::Duration};

use http::HeaderMap;
use turnpike_ledger::engine::Hold;
use turnpike_llm::{provider::Operation, request::Request};

use super::{
    call::{self, Call, Reply},
    count, failure,
    features::Source,
    journey::Step,
    media::Wanted,
    meter::{self, Arrival, Meter},
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
    pub caller: &'a Arc<Caller>,
    /// The client's headers.
    pub client: &'a HeaderMap,
    /// The name that was asked for.
    pub name: Arc<str>,
    /// The request, kept until the first byte of an answer.
    pub request: Arc<Request>,
}

impl Asked<'_> {
    /// Where its features are found.
    pub fn source(&self) -> Source<'_> {
        Source { operation: self.arrival.operation, request: &self.request, client: self.client, caller: self.caller }
    }
}

/// Makes attempts, wherever they go.
pub struct Sender<'a> {
    /// Who sends.
    pub worker: &'a Arc<Worker>,
    /// What is sent.
    pub asked: Asked<'a>,
    /// Its attempts count as requests; those of copies do not.
    pub counts: bool,
}

/// What an attempt gave. The meter comes back with it.
pub type Answered = Result<(Reply, Meter), (Error, Meter)>;

impl Sender<'_> {
    /// One attempt, within what is left of the request's time.
    ///
    /// # Errors
    /// It failed, and the client has seen nothing of it.
    pub async fn attempt(&self, step: &Step, cap: Option<u64>, left: Duration, mut meter: Meter) -> Answered {
        let model = &step.model;
        let upstream_model = step.upstream_model.as_ref().unwrap_or(&self.asked.name);
        meter.chosen(model, upstream_model);
        let operation = self.asked.arrival.operation;
        if operation.counts() && !counts_tokens(operation, model) {
            let counted = count::count(operation, &self.asked.request, upstream_model, &mut meter).await;
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
        // What is fetched is held for as long as the attempt may send it.
        let (fetched, _permit) = match wanted.fetch(operation, &self.asked.request).await {
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
            left,
        };
        let answered = call::call(&self.worker.pool, call, &self.asked.request, meter).await;
        if let (Err((error, _)), Some(address)) = (&answered, model.address)
            && failure::is_elsewhere(error, upstream_model)
        {
            self.worker.app.engines.suspect(&model.entry.object, address);
        }
        answered
    }

    /// Holds what an attempt may use within what is left of the request's time, and waits for it as long as `patience` lasts;
    /// `hold` is part of that.
    ///
    /// # Errors
    /// A limit does not let it pass. The hold comes back as it was.
    pub async fn reserve(
        &self,
        step: &Step,
        left: Duration,
        patience: Patience,
        hold: Hold,
    ) -> Result<Reserved, (Error, Hold)> {
        let reservation = self.reservation(step, left, patience);
        let accounts = reservation.accounts(&self.worker.app);
        if accounts.is_empty() {
            return Ok(Reserved::default());
        }
        // Boxed: only requests with limits pay for its size.
        Box::pin(reservation.reserve(&self.worker.app, accounts, hold)).await
    }

    /// Holds what one of these attempts may use, whichever can have it first, and says which; else as [`Self::reserve`].
    ///
    /// # Errors
    /// None can have it. The hold comes back as it was.
    pub async fn reserve_any(
        &self,
        steps: &[&Step],
        left: Duration,
        patience: Patience,
        hold: Hold,
    ) -> Result<(usize, Reserved), Hold> {
        let attempts: Vec<_> = steps.iter().map(|step| self.reservation(step, left, patience)).collect();
        Reservation::reserve_any(&attempts, &self.worker.app, hold).await
    }

    fn reservation<'s>(&'s self, step: &'s Step, left: Duration, patience: Patience) -> Reservation<'s> {
        let operation = self.asked.arrival.operation;
        let is_stream = operation.is_streamed(self.asked.request.stream());
        let total = meter::total(&step.model);
        Reservation {
            caller: self.asked.caller,
            name: &self.asked.name,
            model: &step.model,
            upstream_model: step.upstream_model.as_ref().unwrap_or(&self.asked.name),
            operation,
            request: &self.asked.request,
            client: self.asked.client,
            // The request's own limit ends no stream that has begun.
            longest: if is_stream { total } else { total.min(left) },
            patience,
            fixed: None,
            counts: self.counts,
        }
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

fn counts_tokens(operation: Operation, model: &Model) -> bool {
    match &model.backend {
        Backend::Provider(upstream) => upstream.adapter.speaks(operation),
        Backend::Mock { .. } => false,
    }
}

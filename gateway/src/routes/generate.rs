//! Every model call, in whatever dialect: one way for all of them.

use std::{ops::ControlFlow, sync::Arc};

use axum::{body::Body, extract::Request, response::Response};
use http::{HeaderMap, request::Parts};
use tokio::time::Instant;
use turnpike_llm::{
    provider::{Operation, ProviderKind},
    request::Request as LlmRequest,
};
use turnpike_routing::plan::NoMember;

use crate::{
    app::{Busy, Worker},
    config::snapshot::{Caller, Snapshot},
    error::Error,
    pipeline::{
        admit::Permit,
        attempts::{self, Attempts},
        authenticate::authenticate,
        body::{self, Buffered},
        cached, cold, deliver, forward,
        journey::{Journey, NoStep},
        keepalive,
        meter::{Arrival, Held, Meter},
        pass, route,
        sender::{Asked, Sender},
        wishes::Wishes,
    },
    responses::resume::resume,
};

/// How a request names its model.
#[derive(Clone, Copy, Debug, Default)]
pub struct Named<'a> {
    /// In its path (Azure, Gemini); `None` = in its body.
    pub path: Option<&'a str>,
    /// Its path says that the answer is to be streamed (Gemini).
    pub streams: bool,
    /// Only models of this provider may serve it, also by the provider's own names for them: its pass-through was called.
    pub provider: Option<ProviderKind>,
}

/// Answers one model request.
pub async fn serve(worker: Arc<Worker>, operation: Operation, named: Named<'_>, request: Request) -> Response {
    let _busy = Busy::new(&worker.busy);
    let (parts, body) = request.into_parts();
    let arrival = Arrival::now(&parts.headers, operation);
    let snapshot = worker.app.live.load();
    let mut response = match admit(&worker, &snapshot, &arrival, &parts.headers) {
        Ok((caller, meter)) => {
            let request = Incoming { worker: &worker, snapshot: &snapshot, arrival: &arrival, caller: &caller, named };
            request.run(parts, body, meter).await
        }
        Err(error) => {
            worker.app.metrics.refused(operation, error.status(), error.code());
            body::forget(body).await;
            error.answer(operation.dialect(), &arrival.request_id)
        }
    };
    deliver::identify(&mut response, operation.dialect(), &arrival.request_id);
    response
}

/// Lets a request in: its caller, and what follows it to its end.
///
/// # Errors
/// No configuration yet, no valid key, or no room.
pub(super) fn admit(
    worker: &Worker,
    snapshot: &Snapshot,
    arrival: &Arrival,
    headers: &HeaderMap,
) -> Result<(Arc<Caller>, Meter), Error> {
    let app = &worker.app;
    if !app.health.is_ready() {
        return Err(Error::NotReady);
    }
    let caller = authenticate(headers, snapshot, &app.admin, arrival.at_us / 1_000_000)?;
    let permit = app.in_flight.take(1)?;
    let slot = app.spend.try_reserve().map_err(|_| Error::Busy("spend rows waiting for the store"))?;
    let held = Held::new(permit, slot, &worker.wal);
    let meter = Meter::new(Arc::clone(app), arrival, Arc::clone(&caller), held);
    Ok((caller, meter))
}

/// A stream that waits for an engine.
struct Waiting {
    worker: Arc<Worker>,
    snapshot: Arc<Snapshot>,
    arrival: Arrival,
    caller: Arc<Caller>,
    client: HeaderMap,
    asked: (Arc<str>, Arc<LlmRequest>),
    provider: Option<ProviderKind>,
    permit: Permit,
}

impl Waiting {
    async fn answer(self, mut meter: Meter) -> Response {
        let Self { worker, snapshot, arrival, caller, client, asked: (name, request), provider, permit } = self;
        let named = Named { provider, ..Named::default() };
        let incoming = Incoming { worker: &worker, snapshot: &snapshot, arrival: &arrival, caller: &caller, named };
        match incoming.attempts((&client, name), request, permit, &mut meter) {
            Ok(attempts) => incoming.cold(attempts, meter).await,
            Err(error) => attempts::fail(meter, error),
        }
    }
}

/// A request that was let in.
struct Incoming<'a> {
    worker: &'a Arc<Worker>,
    snapshot: &'a Arc<Snapshot>,
    arrival: &'a Arrival,
    caller: &'a Arc<Caller>,
    named: Named<'a>,
}

impl Incoming<'_> {
    async fn run(&self, parts: Parts, body: Body, mut meter: Meter) -> Response {
        let read = (self.arrival.operation, self.named.streams);
        let prepared = match body::read(read, &parts.headers, body, &self.worker.app.bodies).await {
            Ok(buffered) => match self.resume(buffered, &mut meter).await {
                Ok(buffered) => self.route(&parts.headers, buffered, &mut meter),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        match prepared {
            Ok(attempts) => match cached::look(&attempts, self.snapshot, meter).await {
                // Boxed: only requests that wait pay for its size.
                ControlFlow::Continue(meter) if attempts.journey.pool().is_cold() => {
                    Box::pin(self.wait(attempts, meter)).await
                }
                ControlFlow::Continue(meter) => attempts.answer(meter).await,
                ControlFlow::Break(kept) => kept,
            },
            Err(error) => attempts::fail(meter, error),
        }
    }

    /// With what was said before, where the request goes on from an answer that is kept.
    async fn resume(&self, buffered: Buffered, meter: &mut Meter) -> Result<Buffered, Error> {
        let app = &self.worker.app;
        let Some(store) = app.responses.as_ref().filter(|_| self.arrival.operation == Operation::Responses) else {
            return Ok(buffered);
        };
        // Boxed: only these requests pay for its size.
        let (buffered, saver) = Box::pin(resume(store, self.caller, buffered, &app.bodies)).await?;
        meter.store(saver);
        Ok(buffered)
    }

    /// Answers what nobody can answer yet. A stream may begin before its answer, and then needs nothing of this call.
    async fn wait(&self, attempts: Attempts<'_>, meter: Meter) -> Response {
        if !attempts.sender.asked.request.stream() || !cold::holds(attempts.journey.pool()) {
            return self.cold(attempts, meter).await;
        }
        let Attempts { sender: Sender { asked: Asked { client, name, request, .. }, .. }, permit, .. } = attempts;
        let waiting = Waiting {
            worker: Arc::clone(self.worker),
            snapshot: Arc::clone(self.snapshot),
            arrival: self.arrival.clone(),
            caller: Arc::clone(self.caller),
            client: client.clone(),
            asked: (name, request),
            provider: self.named.provider,
            permit,
        };
        keepalive::kept_alive(Box::pin(waiting.answer(meter)), self.arrival.operation.dialect()).await
    }

    /// Answers once somebody can.
    async fn cold(&self, attempts: Attempts<'_>, mut meter: Meter) -> Response {
        let began = Instant::now();
        let Attempts { sender, journey, .. } = &attempts;
        let snapshot = match cold::meet(sender, journey.pool(), journey.left()).await {
            cold::Met::News(snapshot) => snapshot,
            cold::Met::Nobody => return attempts.after(began, meter).await,
            cold::Met::Refused => {
                let refused = NoStep::Refused(NoMember::Cold).error(&sender.asked.name);
                return attempts::fail(meter, refused);
            }
        };
        let Attempts { sender: Sender { asked: Asked { client, name, request, .. }, .. }, permit, .. } = attempts;
        let app = &self.worker.app;
        // Its key may have been revoked meanwhile.
        let caller = match authenticate(client, &snapshot, &app.admin, app.ledger.now() / 1_000_000) {
            Ok(caller) => caller,
            Err(error) => return attempts::fail(meter, error),
        };
        let renewed = Incoming { snapshot: &snapshot, caller: &caller, ..*self };
        match renewed.attempts((client, name), request, permit, &mut meter) {
            Ok(attempts) => attempts.after(began, meter).await,
            Err(error) => attempts::fail(meter, error),
        }
    }

    fn route<'r>(
        &'r self,
        client: &'r HeaderMap,
        buffered: Buffered,
        meter: &mut Meter,
    ) -> Result<Attempts<'r>, Error> {
        let Buffered { request, permit } = buffered;
        let name = self.named.path.or_else(|| request.model()).ok_or(Error::ModelMissing)?;
        let name: Arc<str> = name.into();
        meter.describe(&request, &name, &forward::tags(client));
        self.attempts((client, name), Arc::new(request), permit, meter)
    }

    fn attempts<'r>(
        &'r self,
        (client, name): (&'r HeaderMap, Arc<str>),
        request: Arc<LlmRequest>,
        permit: Permit,
        meter: &mut Meter,
    ) -> Result<Attempts<'r>, Error> {
        let routed = match self.named.provider {
            None => route::route(self.snapshot, self.caller, &name)?,
            Some(provider) => pass::choose(self.snapshot, self.caller, provider, (&name, pass::Names::Any))?,
        };
        meter.routed(&routed.pool);
        let mut wishes = Wishes::read(&request, client, &name, self.caller.object.is_none())?;
        if self.named.provider.is_some() {
            wishes.stay();
        }
        let played = wishes.played();
        let journey = Journey::new((self.snapshot, self.caller), routed, wishes, forward::timeout(client));
        Ok(Attempts {
            sender: Sender {
                worker: self.worker,
                asked: Asked { arrival: self.arrival, caller: self.caller, client, name, request },
                counts: true,
            },
            snapshot: self.snapshot,
            permit,
            journey,
            played,
        })
    }
}

//! Every model call, in whatever dialect: one way for all of them.

use std::sync::Arc;

use axum::{body::Body, extract::Request, response::Response};
use http::{HeaderMap, request::Parts};
use tokio::time::Instant;
use turnpike_ledger::engine::Hold;
use turnpike_llm::provider::Operation;

use crate::{
    app::{Busy, Worker},
    config::snapshot::{Backend, Caller, Model, Snapshot},
    error::Error,
    pipeline::{
        authenticate::authenticate,
        body::{self, Buffered},
        call::{self, Call},
        count, deliver, forward,
        media::Wanted,
        meter::{Arrival, Held, Meter},
        mock::Mock,
        reserve::{Reservation, Reserved},
        route::{self, Routed},
    },
};

/// Answers one model request. `named` is the model of an Azure-style path.
pub async fn serve(worker: Arc<Worker>, operation: Operation, named: Option<&str>, request: Request) -> Response {
    let _busy = Busy::new(&worker.busy);
    let (parts, body) = request.into_parts();
    let arrival = arrive(&parts.headers, operation);
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

fn arrive(headers: &HeaderMap, operation: Operation) -> Arrival {
    let request_id = deliver::request_id(headers);
    Arrival { at: Instant::now(), at_us: jiff::Timestamp::now().as_microsecond(), request_id, operation }
}

fn admit(
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
    let meter = Meter::new(
        Arc::clone(app),
        arrival,
        Arc::clone(&caller),
        Held { permit, slot, hold: Hold::default(), wal: Arc::clone(&worker.wal), recorded: None },
    );
    Ok((caller, meter))
}

/// A request that was let in.
struct Incoming<'a> {
    worker: &'a Worker,
    snapshot: &'a Snapshot,
    arrival: &'a Arrival,
    caller: &'a Caller,
    named: Option<&'a str>,
}

impl Incoming<'_> {
    async fn run(&self, parts: Parts, body: Body, mut meter: Meter) -> Response {
        let prepared = match body::read(self.arrival.operation, &parts.headers, body, &self.worker.app.bodies).await {
            Ok(buffered) => self.choose(&parts.headers, buffered, &mut meter),
            Err(error) => Err(error),
        };
        match prepared {
            Ok(chosen) => self.answer(parts.headers, chosen, meter).await,
            Err(error) => fail(meter, error),
        }
    }

    fn choose(&self, headers: &HeaderMap, buffered: Buffered, meter: &mut Meter) -> Result<Chosen, Error> {
        let name = self.named.or_else(|| buffered.request.model()).ok_or(Error::ModelMissing)?;
        let name: Arc<str> = name.into();
        meter.describe(&buffered.request, &name, &forward::tags(headers));
        let routed = route::route(self.snapshot, self.caller, &name, rand::random())?;
        meter.routed(&routed.pool);
        Ok(Chosen { name, routed, buffered })
    }

    async fn answer(&self, headers: HeaderMap, chosen: Chosen, mut meter: Meter) -> Response {
        let model = Arc::clone(&chosen.routed.member.model);
        let name = Arc::clone(&chosen.name);
        let upstream_model = chosen.routed.upstream_model();
        let reserved = match self.reserve(&chosen, &model, upstream_model.as_ref().unwrap_or(&name)).await {
            Ok(reserved) => reserved,
            Err(error) => return fail(meter, error),
        };
        let cap = reserved.cap;
        meter.hold(reserved);
        if self.arrival.operation == Operation::CountTokens && !counts_tokens(&model) {
            return self.count(&model, upstream_model.as_ref().unwrap_or(&name), &chosen, meter).await;
        }
        let (Some(upstream_model), Backend::Provider(_)) = (upstream_model, &model.backend) else {
            return self.mock(&model, &chosen, meter);
        };
        let Buffered { request, mut permit } = chosen.buffered;
        let wanted = Wanted { app: &self.worker.app, model: &model, upstream_model: &upstream_model };
        let fetched = match wanted.fetch(self.arrival.operation, &request, &mut permit).await {
            Ok(fetched) => fetched,
            Err(error) => return fail(meter, error),
        };
        let call = Call {
            model: Arc::clone(&model),
            upstream_model,
            cap,
            name: chosen.name,
            client: headers,
            arrival: self.arrival.clone(),
            fetched,
        };
        let answered = call::call(&self.worker.pool, call, request, meter).await;
        drop(permit);
        match answered {
            Ok((reply, meter)) => {
                let mut response = deliver::respond(reply, meter, &model, &name);
                deliver::capped(&mut response, cap);
                response
            }
            Err((error, meter)) => fail(meter, error),
        }
    }

    async fn reserve(&self, chosen: &Chosen, model: &Arc<Model>, upstream_model: &Arc<str>) -> Result<Reserved, Error> {
        let reservation = Reservation {
            caller: self.caller,
            name: &chosen.name,
            model,
            upstream_model,
            operation: self.arrival.operation,
            request: &chosen.buffered.request,
        };
        let accounts = reservation.accounts(&self.worker.app);
        if accounts.is_empty() {
            return Ok(Reserved::default());
        }
        // Boxed: only requests with limits pay for its size.
        Box::pin(reservation.reserve(&self.worker.app, accounts)).await
    }

    async fn count(
        &self,
        model: &Arc<Model>,
        upstream_model: &Arc<str>,
        chosen: &Chosen,
        mut meter: Meter,
    ) -> Response {
        meter.chosen(model, upstream_model);
        match count::count(&chosen.buffered.request, upstream_model, &mut meter).await {
            Ok(reply) => deliver::respond(reply, meter, model, &chosen.name),
            Err(error) => fail(meter, error),
        }
    }

    fn mock(&self, model: &Arc<Model>, chosen: &Chosen, mut meter: Meter) -> Response {
        let Backend::Mock { response: text } = &model.backend else {
            return fail(meter, Error::Internal);
        };
        meter.chosen(model, &chosen.name);
        let mock = Mock {
            operation: self.arrival.operation,
            name: &chosen.name,
            text,
            request_id: &self.arrival.request_id,
            created: self.arrival.at_us / 1_000_000,
        };
        match mock.answer(&chosen.buffered.request, &mut meter) {
            Ok(reply) => deliver::respond(reply, meter, model, &chosen.name),
            Err(error) => fail(meter, error),
        }
    }
}

/// A request whose backend is known.
struct Chosen {
    name: Arc<str>,
    routed: Routed,
    buffered: Buffered,
}

fn counts_tokens(model: &Model) -> bool {
    match &model.backend {
        Backend::Provider(upstream) => upstream.adapter.speaks(Operation::CountTokens),
        Backend::Mock { .. } => false,
    }
}

fn fail(meter: Meter, error: Error) -> Response {
    let (dialect, request_id) = meter.client();
    meter.fail(&error);
    error.answer(dialect, &request_id)
}

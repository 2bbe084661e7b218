//! Copies of some requests for another model. What it answers is thrown away; only its spend row and its statistics are left.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use turnpike_ledger::engine::Hold;
use turnpike_llm::request::Request;
use turnpike_routing::group::Mirror;

use super::{
    call::Reply,
    failure,
    journey::Journey,
    meter::{Arrival, Meter},
    queue::Patience,
    route::Routed,
    sender::{Asked, Sender},
    stream::Streaming,
    wishes::Wishes,
};
use crate::{
    app::Worker,
    config::snapshot::{Caller, Pool, Snapshot},
    record::End,
};

/// A copy on its way: all that it needs, as it outlives the request.
struct Copy {
    worker: Arc<Worker>,
    arrival: Arrival,
    caller: Arc<Caller>,
    client: HeaderMap,
    name: Arc<str>,
    request: Arc<Request>,
    pool: Arc<Pool>,
}

/// Sends a copy, if it is this request's turn: `draw` is uniform over u64. It takes places of its own; where there are none, there
/// is no copy, as the request itself must not feel it.
pub fn send(mirror: &Mirror, snapshot: &Snapshot, sender: &Sender<'_>, meter: &mut Meter, draw: u64) {
    if draw % 100 >= u64::from(mirror.percent) {
        return;
    }
    let Some(pool) = snapshot.objects.get(&mirror.target) else { return };
    let (worker, asked) = (sender.worker, &sender.asked);
    let app = &worker.app;
    let bytes = app.bodies.buffered.take(asked.request.bytes().len());
    let (Ok(bytes), Ok(place), Ok(slot)) = (bytes, app.in_flight.take(1), app.spend.try_reserve()) else { return };
    let Some(meter) = meter.copy(place, slot) else { return };
    let copy = Copy {
        worker: Arc::clone(worker),
        arrival: asked.arrival.clone(),
        caller: Arc::clone(asked.caller),
        client: asked.client.clone(),
        name: Arc::clone(&asked.name),
        request: Arc::clone(&asked.request),
        pool: Arc::clone(pool),
    };
    tokio::spawn(async move {
        copy.run(meter).await;
        drop(bytes);
    });
}

impl Copy {
    async fn run(self, mut meter: Meter) {
        let Self { worker, arrival, caller, client, name, request, pool } = self;
        let snapshot = worker.app.live.load();
        let asked = Asked { arrival: &arrival, caller: &caller, client: &client, name, request };
        let routed = Routed { pool, matched: None };
        let mut journey = Journey::new((&snapshot, &caller), routed, Wishes::default(), None);
        let Ok(step) = journey.first(&asked.source()) else { return meter.forget() };
        let sender = Sender { worker: &worker, asked, counts: false };
        let cap = match sender.reserve(&step, journey.left(), Patience::NONE, Hold::default()).await {
            Ok(reserved) => {
                let cap = reserved.cap;
                meter.hold(reserved);
                cap
            }
            Err(_) => return meter.forget(),
        };
        let began = tokio::time::Instant::now();
        match sender.attempt(&step, cap, journey.left(), meter).await {
            Ok((reply, meter)) => {
                journey.answered(&step);
                drain(reply, meter).await;
            }
            Err((error, meter)) => {
                // Its health is everybody's; what comes next is nobody's.
                drop(journey.failed(&failure::of(&error), began, &sender.asked.source()));
                if meter.is_dispatched() { meter.fail(&error) } else { meter.forget() }
            }
        }
    }
}

/// Reads an answer to its end.
async fn drain(reply: Reply, mut meter: Meter) {
    meter.status(StatusCode::OK);
    meter.began_to_answer(&reply);
    match reply {
        Reply::Whole { .. } | Reply::Canned(_) => meter.finish(End::Success),
        Reply::Streamed { source, events, .. } => {
            let mut body = Streaming::new(source, meter, events);
            while let Some(Ok(_)) = body.frame().await {}
        }
    }
}

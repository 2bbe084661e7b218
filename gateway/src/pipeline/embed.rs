//! Embeds a text by one of the gateway's own models, on the caller's account: a request of its own, with a spend row of its own.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use turnpike_llm::{provider::Operation, request::Request};

use super::{
    attempts::Attempts,
    journey::Journey,
    meter::{Arrival, Held, Meter},
    route::{self, Routed},
    sender::{Asked, Sender},
    wishes::Wishes,
};
use crate::{
    cache::{canonical::Digest, semantic::Answered, settings},
    config::snapshot::{Caller, Snapshot},
};

/// Longest that a request waits for it.
const PATIENCE: Duration = Duration::from_secs(3);
/// Largest answer with one vector.
const MOST: usize = 1024 * 1024;
/// What its spend row is known by.
const TAG: &str = "semantic-cache";

/// A text as numbers.
pub struct Embedded {
    /// The vector, of any length.
    pub numbers: Vec<f32>,
    /// What made it: vectors of different makers are not comparable.
    pub backends: Digest,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Datum>,
}

#[derive(Deserialize)]
struct Datum {
    embedding: Vec<f32>,
}

/// `None`: it cannot be had now; why is in the spend row and the log of that request.
pub async fn embed(
    of: &Attempts<'_>,
    (snapshot, caller): (&Snapshot, Arc<Caller>),
    model: &str,
    text: &str,
) -> Option<Embedded> {
    // Whoever set the model up lets its callers use this one for it, whatever else they may call.
    let (pool, matched) = route::visible(snapshot, &caller).find(model)?;
    let backends = settings::backends(pool.models.iter().map(|model| &**model));
    let embedders = &of.sender.worker.app.cache.embedders;
    let id = Arc::clone(&pool.models.first()?.id);
    if !embedders.allows(&id) {
        return None;
    }
    let routed = Routed { pool: Arc::clone(pool), matched };
    let body = serde_json::json!({"model": model, "input": text, "encoding_format": "float"}).to_string();
    let asked = ask(of, (snapshot, caller), (routed, model.into()), Bytes::from(body));
    let numbers = tokio::time::timeout(PATIENCE, asked).await.ok().flatten();
    embedders.answered(&id, if numbers.is_some() { Answered::Yes } else { Answered::No });
    Some(Embedded { numbers: numbers?, backends })
}

async fn ask(
    of: &Attempts<'_>,
    (snapshot, caller): (&Snapshot, Arc<Caller>),
    (routed, name): (Routed, Arc<str>),
    body: Bytes,
) -> Option<Vec<f32>> {
    let app = &of.sender.worker.app;
    let permit = app.bodies.buffered.take(body.len()).ok()?;
    let request = Request::scan(body).ok()?;
    let client = HeaderMap::new();
    let arrival = Arrival::now(&client, Operation::Embeddings);
    let held = Held::new(app.in_flight.take(1).ok()?, app.spend.try_reserve().ok()?, &of.sender.worker.wal);
    let mut meter = Meter::new(Arc::clone(app), &arrival, Arc::clone(&caller), held);
    meter.describe(&request, &name, &[TAG.into()]);
    meter.routed(&routed.pool);
    let attempts = Attempts {
        sender: Sender {
            worker: of.sender.worker,
            asked: Asked { arrival: &arrival, caller: &caller, client: &client, name, request: Arc::new(request) },
            counts: true,
        },
        snapshot,
        permit,
        journey: Journey::new((snapshot, &caller), routed, Wishes::default(), Some(PATIENCE)),
        played: None,
    };
    let response = Box::pin(attempts.answer(meter)).await;
    let is_good = response.status() == StatusCode::OK;
    let body = Limited::new(response.into_body(), MOST).collect().await.ok()?.to_bytes();
    if !is_good {
        return None;
    }
    let answer: Answer = serde_json::from_slice(&body).ok()?;
    answer.data.into_iter().next().map(|datum| datum.embedding)
}

//! One attempt made of several calls, where the upstream takes less at a time than the client asked for. To limits, the
//! spend log and routing it is one: one hold, one row, and one failure fails it.

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use http::{HeaderMap, Method};
use turnpike_llm::{provider::Decoded, splice::Splices};

use super::{
    COLLECT, COLLECT_CONVERTED, Collected, Decoding, Prepared, Reply, collect, exchange, forward, refused, too_large,
    upstream_of,
};
use crate::{error::Error, pipeline::meter::Meter, upstream::pool::Pool};

/// Calls of one attempt at a time.
const SIDE_BY_SIDE: usize = 8;

/// What one call was answered.
struct Part {
    at: usize,
    headers: HeaderMap,
    body: Bytes,
}

/// Makes all calls of an attempt, a few at a time, and joins their answers in order. Dropped, none of them goes on.
///
/// # Errors
/// That of the first call that fails; the others end with it.
pub(super) async fn whole(pool: &Pool, mut prepared: Prepared, meter: &mut Meter) -> Result<Reply, Error> {
    let total = prepared.total;
    let first = std::mem::take(&mut prepared.body);
    let bodies: Vec<Splices> = std::iter::once(first).chain(std::mem::take(&mut prepared.further)).collect();
    // Dropped in its midst, some of it may have been paid for.
    *meter.owed() = true;
    let mut owed = vec![false; bodies.len()];
    let run = all(pool, &prepared, bodies, &mut owed);
    let answered = match tokio::time::timeout(total, run).await {
        Ok(answered) => answered,
        Err(_) => Err(Error::Timeout { what: "total", after: total }),
    };
    meter.answered();
    let parts = answered.inspect_err(|_| *meter.owed() = owed.contains(&true))?;
    let headers = parts.first().map(|part| part.headers.clone()).unwrap_or_default();
    let decoded = join(prepared, parts.into_iter().map(|part| part.body).collect()).await?;
    if let Some(usage) = decoded.usage {
        meter.used(usage);
    }
    Ok(Reply::Whole { body: decoded.body, headers })
}

async fn all(pool: &Pool, prepared: &Prepared, bodies: Vec<Splices>, owed: &mut [bool]) -> Result<Vec<Part>, Error> {
    let (mut parts, mut size) = (Vec::with_capacity(bodies.len()), 0);
    let mut waiting = bodies.into_iter().zip(owed).enumerate();
    let mut running = FuturesUnordered::new();
    loop {
        let free = SIDE_BY_SIDE.saturating_sub(running.len());
        for (at, (body, owed)) in waiting.by_ref().take(free) {
            running.push(one(pool, prepared, (at, body), owed));
        }
        let Some(part) = running.next().await else { break };
        let part = part?;
        size += part.body.len();
        if size > COLLECT_CONVERTED {
            return Err(too_large().into());
        }
        parts.push(part);
    }
    parts.sort_unstable_by_key(|part| part.at);
    Ok(parts)
}

async fn one(pool: &Pool, prepared: &Prepared, (at, body): (usize, Splices), owed: &mut bool) -> Result<Part, Error> {
    let mut headers = prepared.headers.clone();
    let to = (&Method::POST, &prepared.endpoint);
    let response = exchange(pool, &prepared.model, to, (&mut headers, &body), owed).await?;
    drop(body);
    prepared.model.live.has_left(forward::remaining(response.headers()));
    if !response.status().is_success() {
        *owed = false;
        return Err(refused(&prepared.model, response).await);
    }
    let (head, body) = response.into_parts();
    let mut decoding = Decoding::of(&head.headers)?;
    match collect(body, COLLECT).await? {
        Collected::Whole(body) => Ok(Part { at, headers: head.headers, body: decoding.take(body, COLLECT)? }),
        Collected::Larger(..) => Err(too_large().into()),
    }
}

/// Work for another thread: it is only done for many.
async fn join(prepared: Prepared, bodies: Vec<Bytes>) -> Result<Decoded, Error> {
    let adapter = upstream_of(&prepared.model)?.adapter;
    let work = move || adapter.join(prepared.operation, &bodies, &prepared.shown);
    Ok(tokio::task::spawn_blocking(work).await.map_err(|_| Error::Internal)??)
}

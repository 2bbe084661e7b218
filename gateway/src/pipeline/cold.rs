//! What a request meets where everybody who could answer it is an engine without a replica: it waits for one, goes to the
//! fallbacks, or is refused.
//!
//! Whatever it meets, it has been noted as demand, so that a replica comes. It waits before anything is reserved for it, and
//! leaves nothing behind when its client does. Requests that came to such an engine as a fallback do not wait: what failed
//! before is what their clients are told.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;
use turnpike_bundle::entry::ColdStart;

use super::{journey::now, route, sender::Sender};
use crate::config::snapshot::{Engine, Pool, Snapshot};

/// What becomes of it.
pub enum Met {
    /// Somebody can answer, in this snapshot; or the model has gone.
    News(Arc<Snapshot>),
    /// Nobody has come, or is waited for: the fallbacks may answer.
    Nobody,
    /// It is to be refused.
    Refused,
}

/// Meets it. `left`: what is left of the request's time.
pub async fn meet(sender: &Sender<'_>, pool: &Pool, left: Duration) -> Met {
    pool.want(now(), true);
    match policy(&pool.engines) {
        Policy::Hold { engine, hold } => wait(sender, engine, hold.min(left)).await,
        Policy::Fall => Met::Nobody,
        Policy::Refuse => Met::Refused,
    }
}

/// Whether requests wait for an engine of this cold pool.
pub fn holds(pool: &Pool) -> bool {
    matches!(policy(&pool.engines), Policy::Hold { .. })
}

async fn wait(sender: &Sender<'_>, engine: &Engine, hold: Duration) -> Met {
    let Ok(_place) = engine.interest.held.take(1) else { return Met::Nobody };
    let is_cold = |snapshot: &Snapshot| {
        route::route(snapshot, sender.asked.caller, &sender.asked.name).is_ok_and(|routed| routed.pool.is_cold())
    };
    let started = sender.worker.app.live.until(|snapshot| !is_cold(snapshot));
    timeout(hold, started).await.map_or(Met::Nobody, Met::News)
}

/// What the engines of a cold pool say together.
enum Policy<'a> {
    /// Waiting counts as demand of this one.
    Hold {
        engine: &'a Engine,
        hold: Duration,
    },
    Fall,
    Refuse,
}

/// The most patient of the engines that demand brings replicas of. One whose replicas are set by hand may never have any, so
/// it is not waited for.
fn policy(engines: &[Arc<Engine>]) -> Policy<'_> {
    let that =
        |policy| engines.iter().filter(move |engine| engine.entry.is_scaled && engine.entry.cold_start == policy);
    let hold = that(ColdStart::Hold).map(|engine| engine.entry.hold_ms).max();
    match (that(ColdStart::Hold).next(), hold) {
        (Some(engine), Some(hold)) => Policy::Hold { engine, hold: Duration::from_millis(hold) },
        _ if engines.len() == that(ColdStart::Reject).count() => Policy::Refuse,
        _ => Policy::Fall,
    }
}

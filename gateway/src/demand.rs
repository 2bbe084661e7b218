//! What clients want of engines: what the operator sets replicas by.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use turnpike_bundle::report::{Demand, Demands};
use turnpike_routing::Moment;

use crate::{
    config::snapshot::{Engine, Snapshot},
    pipeline::admit::Budget,
};

/// Requests that are held for one engine at most, in this process: each costs a connection and its body's bytes.
const MOST_HELD: usize = 1000;
/// How long a request says that its engine is wanted.
const LATELY: Duration = Duration::from_secs(30);

/// What clients want of one engine.
#[derive(Debug)]
pub struct Interest {
    /// Requests that wait for a replica.
    pub held: Budget,
    /// When a request last came that it could have served, in microseconds, but at least 1; 0 = never.
    asked: AtomicU64,
}

impl Default for Interest {
    fn default() -> Self {
        Self { held: Budget::new(MOST_HELD, "requests that wait for a model to start"), asked: AtomicU64::new(0) }
    }
}

impl Interest {
    /// A request has come that it could serve.
    pub fn note(&self, now: Moment) {
        self.asked.fetch_max(now.0.max(1), Ordering::Relaxed);
    }

    fn is_wanted(&self, now: Moment) -> bool {
        match self.asked.load(Ordering::Relaxed) {
            0 => false,
            asked => now.since(Moment(asked)) < LATELY,
        }
    }
}

/// The demand of every engine, as this process sees it.
pub fn of(snapshot: &Snapshot, now: Moment) -> Demands {
    let engines = snapshot.engines.iter().map(|engine| (engine.model.id.to_string(), of_engine(engine, now)));
    Demands { engines: engines.collect() }
}

fn of_engine(engine: &Engine, now: Moment) -> Demand {
    Demand {
        // Over all replicas, also those that are to end and finish what they have.
        in_flight: engine.model.live.stats.in_flight(),
        waiting: engine.interest.held.used() as u64,
        wanted: engine.interest.is_wanted(now),
    }
}

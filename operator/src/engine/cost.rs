//! Counts what engines cost while this process leads, as the GPUs that their pods hold.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval};
use turnpike_bundle::entry::ObjectRef;
use turnpike_crds::ModelDeployment;
use turnpike_engine::cost;

use super::Engines;
use crate::{context::Context, world::World};

/// How often what it costs is added up while nothing changes.
const EVERY: Duration = Duration::from_secs(10);

/// Counts until cancelled.
pub async fn run(mut context: Context) {
    let mut costs = Costs::new(Instant::now());
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let rates = rates(&context.world.borrow(), &context.engines.borrow_and_update());
        for (engine, nano) in costs.advance(Instant::now(), rates) {
            context.metrics.engine_cost(&engine, nano);
            if !costs.rates.contains_key(&engine) {
                context.metrics.engine_gone(&engine);
            }
        }
        tokio::select! {
            _ = tick.tick() => {}
            changed = context.engines.changed() => if changed.is_err() { return },
        }
    }
}

/// nano-USD an hour of each engine that has a price.
fn rates(world: &World, engines: &Engines) -> BTreeMap<ObjectRef, i64> {
    let nothing = Arc::default();
    let rate = |(object, model): (&ObjectRef, &Arc<ModelDeployment>)| {
        let observed = engines.get(object).unwrap_or(&nothing);
        Some((object.clone(), cost::per_hour(model, observed)?))
    };
    world.models.iter().filter_map(rate).collect()
}

/// What engines cost from one look at them to the next.
#[derive(Debug)]
pub struct Costs {
    since: Instant,
    rates: BTreeMap<ObjectRef, i64>,
}

impl Costs {
    /// Nothing costs anything yet.
    pub fn new(now: Instant) -> Self {
        Self { since: now, rates: BTreeMap::new() }
    }

    /// nano-USD of each engine since the last look, at what it was seen to cost an hour then; from now on it costs `rates`. Of an
    /// engine that is new it is 0.
    pub fn advance(&mut self, now: Instant, rates: BTreeMap<ObjectRef, i64>) -> BTreeMap<ObjectRef, i64> {
        let lasted = now.saturating_duration_since(std::mem::replace(&mut self.since, now));
        let mut costs: BTreeMap<ObjectRef, i64> = rates.keys().map(|engine| (engine.clone(), 0)).collect();
        let before = std::mem::replace(&mut self.rates, rates);
        costs.extend(before.into_iter().map(|(engine, rate)| (engine, cost::of(rate, lasted))));
        costs
    }
}

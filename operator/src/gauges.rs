//! Gauges that follow what the operator has observed.

use crate::{context::Context, gateways::Gateways};

/// Keeps the gauges of gateways and of unreadable objects up to date for as long as both are watched.
pub async fn run(mut context: Context) {
    loop {
        let (ready, others) = count(&context.gateways.borrow_and_update());
        context.metrics.gateways(ready, others);
        let unreadable = context.world.borrow_and_update().unreadable.len();
        context.metrics.unreadable.set(i64::try_from(unreadable).unwrap_or(i64::MAX));
        let changed = tokio::select! {
            changed = context.gateways.changed() => changed,
            changed = context.world.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

/// Gateways that are ready, and those that are not.
fn count(gateways: &Gateways) -> (usize, usize) {
    let ready = gateways.values().filter(|gateway| gateway.ready).count();
    (ready, gateways.len() - ready)
}

//! Where engines' pods are, as the bundle tells gateways until DNS does.
//!
//! ```text
//!  pods of engines (watch) ─▶ ready, not ending ─▶ others than told? ─ 250 ms ─▶ told ─▶ one shard and the manifest
//! ```

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use tokio::{sync::watch, time::sleep};
use turnpike_bundle::entry::EndpointEntry;
use turnpike_engine::{names, state::is_ready};

use crate::{
    engine::{Engines, ask::address},
    kit::tell::tell,
};

/// How long further changes are waited for after a first one: pods come and go in groups, and each publication costs two writes
/// and a touch of every gateway.
pub const DEBOUNCE: Duration = Duration::from_millis(250);

/// Sorted by engine; those without a pod to name are absent.
pub type Endpoints = Arc<[EndpointEntry]>;

/// Where pods are that take requests.
pub fn of(engines: &Engines) -> Endpoints {
    let each = engines.iter().map(|(model, observed)| {
        let pods = observed.pods.values().filter(|pod| is_ready(pod));
        let addresses: BTreeSet<IpAddr> = pods.filter_map(|pod| Some(address(pod, names::PORT)?.ip())).collect();
        EndpointEntry { object: model.clone(), port: names::PORT, addresses: addresses.into_iter().collect() }
    });
    each.filter(|entry| !entry.addresses.is_empty()).collect()
}

/// Tells where pods are whenever that has come to be something else, for ever. Nothing is told before all engines are known.
pub async fn run(mut engines: watch::Receiver<Arc<Engines>>, told: watch::Sender<Option<Endpoints>>) {
    loop {
        let now = known(&mut engines);
        if now.is_some() && now != *told.borrow() {
            // The first is no change.
            if told.borrow().is_some() {
                sleep(DEBOUNCE).await;
            }
            tell(&told, known(&mut engines));
        }
        if engines.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

fn known(engines: &mut watch::Receiver<Arc<Engines>>) -> Option<Endpoints> {
    let engines = engines.borrow_and_update();
    engines.is_known().then(|| of(&engines))
}

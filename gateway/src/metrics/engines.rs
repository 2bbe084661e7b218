//! How many addresses engines have. Never which: pods come and go, and each would leave series behind.

use std::sync::{Mutex, PoisonError};

use prometheus::{IntGaugeVec, Opts, Registry};
use turnpike_bundle::entry::ObjectRef;

type Source = Box<dyn Fn() -> Vec<(ObjectRef, [usize; 2])> + Send + Sync>;

pub(super) struct Engines {
    addresses: IntGaugeVec,
    source: Mutex<Option<Source>>,
}

impl Engines {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let addresses = Opts::new(
            "turnpike_engine_addresses",
            "Addresses of an engine in this cluster: all that its name has or the operator has just named, and those that are verified and so get requests.",
        );
        let addresses = IntGaugeVec::new(addresses, &["model_id", "state"])?;
        registry.register(Box::new(addresses.clone()))?;
        Ok(Self { addresses, source: Mutex::default() })
    }

    pub(super) fn poll(&self, source: Source) {
        *self.source.lock().unwrap_or_else(PoisonError::into_inner) = Some(source);
    }

    pub(super) fn refresh(&self) {
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        self.addresses.reset();
        for (object, counts) in source.iter().flat_map(|source| source()) {
            for (state, count) in ["known", "verified"].into_iter().zip(counts) {
                let labels = [&*object.to_string(), state];
                self.addresses.with_label_values(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
            }
        }
    }
}

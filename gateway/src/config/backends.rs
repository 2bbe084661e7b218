//! What was seen of each model's backend, kept from one snapshot to the next.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use turnpike_bundle::entry::{Backend, ModelEntry, ObjectRef};
use turnpike_routing::backend::Live;

/// What was seen of every model that is served.
#[derive(Default)]
pub struct Backends {
    seen: Mutex<BTreeMap<ObjectRef, (Backend, Arc<Live>)>>,
}

/// What was seen, by model.
pub type Seen = BTreeMap<ObjectRef, Arc<Live>>;

impl Backends {
    /// What was seen of these models; what was seen of others is forgotten.
    ///
    /// A model that is sent elsewhere, or with other credentials, starts anew: a correction must not wait for the cooldown
    /// of what it corrects.
    pub fn follow(&self, models: &[ModelEntry]) -> Seen {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *seen);
        for ModelEntry { object, backend, .. } in models {
            if matches!(backend, Backend::Route(_)) {
                continue;
            }
            let kept = before.remove(object).filter(|(known, _)| known == backend);
            seen.insert(object.clone(), kept.unwrap_or_else(|| (backend.clone(), Arc::default())));
        }
        seen.iter().map(|(object, (_, live))| (object.clone(), Arc::clone(live))).collect()
    }
}

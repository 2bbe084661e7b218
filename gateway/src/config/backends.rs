//! What was seen of models' backends and of pools, kept from one snapshot to the next.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use turnpike_bundle::entry::{Backend, ModelEntry, ObjectRef};
use turnpike_routing::{backend::Live, traffic::Traffic};

use crate::demand::Interest;

/// What is kept for as long as a snapshot has it.
type Kept<K, V> = Mutex<BTreeMap<K, Weak<V>>>;

/// Finds what was seen of whatever a snapshot that is still in use holds; forgets the rest.
#[derive(Default)]
pub struct Backends {
    live: Mutex<BTreeMap<ObjectRef, (Backend, Weak<Live>)>>,
    /// By namespace and public name.
    pools: Kept<(Box<str>, Box<str>), Traffic>,
    /// By object, of what fallbacks and mirrors name.
    objects: Kept<ObjectRef, Traffic>,
    engines: Kept<ObjectRef, Interest>,
}

impl Backends {
    /// What was seen of a model.
    ///
    /// A model that is sent elsewhere, or with other credentials, starts anew: a correction must not wait for the cooldown
    /// of what it corrects.
    pub fn live(&self, entry: &ModelEntry) -> Arc<Live> {
        let mut known = locked(&self.live);
        let kept = known.get(&entry.object).filter(|(backend, _)| *backend == entry.backend);
        kept.and_then(|(_, live)| live.upgrade()).unwrap_or_else(|| {
            let live = Arc::default();
            known.insert(entry.object.clone(), (entry.backend.clone(), Arc::downgrade(&live)));
            live
        })
    }

    /// What was seen of the pool of a public name.
    pub fn of_pool(&self, namespace: &str, name: &str) -> Arc<Traffic> {
        kept(&self.pools, (namespace.into(), name.into()))
    }

    /// What was seen of an object that others name.
    pub fn of_object(&self, object: &ObjectRef) -> Arc<Traffic> {
        kept(&self.objects, object.clone())
    }

    /// What clients want of an engine.
    pub fn of_engine(&self, object: &ObjectRef) -> Arc<Interest> {
        kept(&self.engines, object.clone())
    }

    /// Makes room of what no snapshot holds any more.
    pub fn forget(&self) {
        locked(&self.live).retain(|_, (_, live)| live.strong_count() > 0);
        locked(&self.pools).retain(|_, traffic| traffic.strong_count() > 0);
        locked(&self.objects).retain(|_, traffic| traffic.strong_count() > 0);
        locked(&self.engines).retain(|_, interest| interest.strong_count() > 0);
    }
}

fn kept<K: Ord, V: Default>(known: &Kept<K, V>, key: K) -> Arc<V> {
    let mut known = locked(known);
    known.get(&key).and_then(Weak::upgrade).unwrap_or_else(|| {
        let new = Arc::default();
        known.insert(key, Arc::downgrade(&new));
        new
    })
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

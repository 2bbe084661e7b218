//! What was seen of models' backends and of pools, kept from one snapshot to the next.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use turnpike_bundle::entry::{Backend, ModelEntry, ObjectRef};
use turnpike_routing::{backend::Live, traffic::Traffic};

/// What was seen of groups.
type Kept<K> = Mutex<BTreeMap<K, Weak<Traffic>>>;

/// Finds what was seen of whatever a snapshot that is still in use holds; forgets the rest.
#[derive(Default)]
pub struct Backends {
    live: Mutex<BTreeMap<ObjectRef, (Backend, Weak<Live>)>>,
    /// By namespace and public name.
    pools: Kept<(Box<str>, Box<str>)>,
    /// By object, of what fallbacks and mirrors name.
    objects: Kept<ObjectRef>,
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

    /// Makes room of what no snapshot holds any more.
    pub fn forget(&self) {
        locked(&self.live).retain(|_, (_, live)| live.strong_count() > 0);
        locked(&self.pools).retain(|_, traffic| traffic.strong_count() > 0);
        locked(&self.objects).retain(|_, traffic| traffic.strong_count() > 0);
    }
}

fn kept<K: Ord>(known: &Kept<K>, key: K) -> Arc<Traffic> {
    let mut known = locked(known);
    known.get(&key).and_then(Weak::upgrade).unwrap_or_else(|| {
        let traffic = Arc::default();
        known.insert(key, Arc::downgrade(&traffic));
        traffic
    })
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! What was seen of models' backends and of pools, kept from one snapshot to the next.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use turnpike_bundle::entry::{Backend, ModelEntry, ObjectRef, ProviderBackend};
use turnpike_routing::{backend::Live, traffic::Traffic};

use crate::demand::Interest;

/// What is kept for as long as a snapshot has it.
type Kept<K, V> = Mutex<BTreeMap<K, Weak<V>>>;

/// Finds what was seen of whatever a snapshot that is still in use holds; forgets the rest.
#[derive(Default)]
pub struct Backends {
    live: Mutex<BTreeMap<ObjectRef, (Backend, Weak<Live>)>>,
    /// Of engines, by address.
    replicas: Mutex<BTreeMap<(ObjectRef, SocketAddr), Weak<Live>>>,
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
        let backend = apart_from_engine(&entry.backend);
        let kept = known.get(&entry.object).filter(|(known, _)| *known == *backend);
        kept.and_then(|(_, live)| live.upgrade()).unwrap_or_else(|| {
            let live = Arc::default();
            known.insert(entry.object.clone(), (backend.into_owned(), Arc::downgrade(&live)));
            live
        })
    }

    /// What was seen of one replica of an engine, of which `whole` is known.
    pub fn replica(&self, object: &ObjectRef, address: SocketAddr, whole: &Arc<Live>) -> Arc<Live> {
        let mut known = locked(&self.replicas);
        let key = (object.clone(), address);
        let kept = known.get(&key).and_then(Weak::upgrade).filter(|live| live.is_replica_of(whole));
        kept.unwrap_or_else(|| {
            let live = Arc::new(Live::of_replica(whole));
            known.insert(key, Arc::downgrade(&live));
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
        locked(&self.replicas).retain(|_, live| live.strong_count() > 0);
        locked(&self.live).retain(|_, (_, live)| live.strong_count() > 0);
        locked(&self.pools).retain(|_, traffic| traffic.strong_count() > 0);
        locked(&self.objects).retain(|_, traffic| traffic.strong_count() > 0);
        locked(&self.engines).retain(|_, interest| interest.strong_count() > 0);
    }
}

/// Where requests go and with what. Of an engine neither how it is started nor which of its models is asked changes that.
fn apart_from_engine(backend: &Backend) -> Cow<'_, Backend> {
    match backend {
        Backend::Provider(provider) if provider.engine.is_some() => {
            Cow::Owned(Backend::Provider(ProviderBackend { engine: None, model: String::new(), ..provider.clone() }))
        }
        _ => Cow::Borrowed(backend),
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

//! One watch as a source of changes: a list that is told again replaces the old one when it is whole, never before.

use std::collections::{BTreeMap, BTreeSet};

use kube::{Resource, runtime::watcher::Event};
use turnpike_bundle::entry::ObjectRef;

/// An object as it now is, or `None` = it is gone.
pub type Change<T> = (ObjectRef, Option<T>);

/// What one watch has told of.
#[derive(Debug)]
pub struct Listing<T> {
    known: BTreeSet<ObjectRef>,
    /// The list that is being told.
    incoming: Option<BTreeMap<ObjectRef, T>>,
    is_listed: bool,
}

impl<T> Default for Listing<T> {
    fn default() -> Self {
        Self { known: BTreeSet::new(), incoming: None, is_listed: false }
    }
}

impl<T> Listing<T> {
    /// Whether the watch has told a whole list once.
    pub fn is_listed(&self) -> bool {
        self.is_listed
    }

    /// The changes that an event stands for. `keep` reduces an object to what is kept of it; `None` = it is none of ours.
    pub fn take<K: Resource>(&mut self, event: Event<K>, keep: impl FnOnce(K) -> Option<T>) -> Vec<Change<T>> {
        match event {
            Event::Init => {
                // Also after a list that broke off: it starts from nothing.
                self.incoming = Some(BTreeMap::new());
                Vec::new()
            }
            Event::InitApply(object) => {
                let name = name(&object);
                if let (Some(incoming), Some(kept)) = (&mut self.incoming, keep(object)) {
                    incoming.insert(name, kept);
                }
                Vec::new()
            }
            Event::InitDone => self.incoming.take().map_or_else(Vec::new, |list| self.replace(list)),
            Event::Apply(object) => {
                let name = name(&object);
                self.change(name, keep(object))
            }
            Event::Delete(object) => self.change(name(&object), None),
        }
    }

    fn replace(&mut self, list: BTreeMap<ObjectRef, T>) -> Vec<Change<T>> {
        self.is_listed = true;
        let gone: Vec<ObjectRef> = self.known.iter().filter(|name| !list.contains_key(name)).cloned().collect();
        self.known = list.keys().cloned().collect();
        let gone = gone.into_iter().map(|name| (name, None));
        gone.chain(list.into_iter().map(|(name, kept)| (name, Some(kept)))).collect()
    }

    fn change(&mut self, name: ObjectRef, kept: Option<T>) -> Vec<Change<T>> {
        let was_known = if kept.is_some() { !self.known.insert(name.clone()) } else { self.known.remove(&name) };
        if kept.is_none() && !was_known { Vec::new() } else { vec![(name, kept)] }
    }
}

/// Objects without a namespace, such as namespaces, have an empty one.
fn name<K: Resource>(object: &K) -> ObjectRef {
    let meta = object.meta();
    ObjectRef { namespace: meta.namespace.clone().unwrap_or_default(), name: meta.name.clone().unwrap_or_default() }
}

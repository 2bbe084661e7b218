//! Follows the world from the keys' point of view: which keys a change concerns, and what is known of each. Costs a
//! pointer comparison for what has not changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use tokio::time::Instant;
use turnpike_bundle::entry::ObjectRef;
use turnpike_crds::VirtualKey;

use crate::{
    virtual_key::{
        minted::Held,
        plan::{Facts, Place, secret_name},
    },
    world::World,
};

/// The world as last seen, and what has to be known beside it.
#[derive(Default)]
pub struct Tracker {
    world: Arc<World>,
    /// Names of the Secrets that were minted for a key.
    minted: BTreeMap<ObjectRef, BTreeSet<String>>,
    /// Keys that are to lie in a Secret.
    wanted: BTreeMap<ObjectRef, BTreeSet<ObjectRef>>,
    /// Keys whose Secret was there once.
    had: BTreeSet<ObjectRef>,
    /// Keys that are being deleted, and since when this process knows.
    deleting: BTreeMap<ObjectRef, Instant>,
}

impl Tracker {
    /// Takes in the world; returns the keys that may have something to be done now.
    pub fn observe(&mut self, world: Arc<World>, now: Instant) -> BTreeSet<ObjectRef> {
        let before = std::mem::replace(&mut self.world, world);
        let mut touched = BTreeSet::new();
        for at in changed(&before.keys, &self.world.keys) {
            let (old, new) = (before.keys.get(&at), self.world.keys.get(&at));
            self.index(&at, old.map(AsRef::as_ref), new.cloned().as_deref(), now);
            touched.insert(at);
        }
        touched.extend(changed(&before.given_away, &self.world.given_away));
        for at in changed(&before.secrets, &self.world.secrets) {
            let owner = |world: &World| world.secrets.get(&at).and_then(|secret| secret.minted_for.clone());
            let (old, new) = (owner(&before), owner(&self.world));
            if let Some(owner) = &old
                && let Some(names) = self.minted.get_mut(owner)
            {
                names.remove(&at.name);
                if names.is_empty() {
                    self.minted.remove(owner);
                }
            }
            if let Some(owner) = &new {
                self.minted.entry(owner.clone()).or_default().insert(at.name.clone());
                self.had.insert(owner.clone());
            }
            touched.extend(old);
            touched.extend(new);
            touched.extend(self.wanted.get(&at).into_iter().flatten().cloned());
        }
        touched
    }

    /// Keys that are being deleted.
    pub fn deleting(&self) -> impl Iterator<Item = &ObjectRef> {
        self.deleting.keys()
    }

    /// Since when it is known that a key is being deleted.
    pub fn deleting_since(&self, at: &ObjectRef) -> Option<Instant> {
        self.deleting.get(at).copied()
    }

    /// A key's object.
    pub fn object(&self, at: &ObjectRef) -> Option<&Arc<VirtualKey>> {
        self.world.keys.get(at)
    }

    /// A key that is another instance's now and still carries our finalizer.
    pub fn given_away(&self, at: &ObjectRef) -> Option<VirtualKey> {
        let metadata = self.world.given_away.get(at)?.as_ref().clone();
        Some(VirtualKey { metadata, ..VirtualKey::default() })
    }

    /// Whether the key was made before, so that making it again means that its Secret was deleted.
    pub fn was_minted(&self, at: &ObjectRef) -> bool {
        let told = |object: &Arc<VirtualKey>| object.status.as_ref().is_some_and(|status| !status.keys.is_empty());
        self.had.contains(at) || self.object(at).is_some_and(told)
    }

    /// What is known of a key; `None` = there is no such object.
    pub fn facts<'a>(&'a self, at: &ObjectRef, finalizer: &'a str, now: Timestamp) -> Option<Facts<'a>> {
        let object = self.world.keys.get(at)?;
        let generate = object.spec.generate.as_ref();
        let name = generate.map(|generate| secret_name(object, generate)).unwrap_or_default();
        let secret = self.world.secrets.get(&ObjectRef { namespace: at.namespace.clone(), name: name.clone() });
        let place = match (secret, generate) {
            (Some(secret), Some(generate)) if secret.minted_for.as_ref() == Some(at) => {
                let has = |key: &str| secret.data.contains_key(key);
                Place::Ours(Held::read(&secret.labels, &secret.annotations, has, generate))
            }
            (Some(_), Some(_)) => Place::Taken,
            _ => Place::Free,
        };
        let elsewhere = self.minted.get(at).into_iter().flatten().find(|other| **other != name).cloned();
        let terminating = self.world.namespaces.get(&at.namespace).is_some_and(|namespace| namespace.terminating);
        Some(Facts { object: object.as_ref(), finalizer, place, elsewhere, terminating, now })
    }

    fn index(&mut self, at: &ObjectRef, old: Option<&VirtualKey>, new: Option<&VirtualKey>, now: Instant) {
        let wants = |object: &VirtualKey| {
            let name = secret_name(object, object.spec.generate.as_ref()?);
            Some(ObjectRef { namespace: at.namespace.clone(), name })
        };
        let (before, after) = (old.and_then(wants), new.and_then(wants));
        if before != after {
            if let Some(secret) = before
                && let Some(keys) = self.wanted.get_mut(&secret)
            {
                keys.remove(at);
                if keys.is_empty() {
                    self.wanted.remove(&secret);
                }
            }
            if let Some(secret) = after {
                self.wanted.entry(secret).or_default().insert(at.clone());
            }
        }
        let same = old.map(|object| &object.metadata.uid) == new.map(|object| &object.metadata.uid);
        if !same && old.is_some() {
            self.had.remove(at);
            self.deleting.remove(at);
        }
        if new.is_some_and(|object| object.metadata.deletion_timestamp.is_some()) {
            self.deleting.entry(at.clone()).or_insert(now);
        }
    }
}

/// Names whose objects are not the very same in both.
fn changed<V>(before: &BTreeMap<ObjectRef, Arc<V>>, after: &BTreeMap<ObjectRef, Arc<V>>) -> Vec<ObjectRef> {
    let (mut old, mut new) = (before.iter().peekable(), after.iter().peekable());
    let mut changed = Vec::new();
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return changed,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((a, _)), Some((b, _))) => a.cmp(b),
        };
        let was = if order.is_le() { old.next() } else { None };
        let is = if order.is_ge() { new.next() } else { None };
        if !matches!((was, is), (Some((_, was)), Some((_, is))) if Arc::ptr_eq(was, is)) {
            changed.extend(was.or(is).map(|(at, _)| at.clone()));
        }
    }
}

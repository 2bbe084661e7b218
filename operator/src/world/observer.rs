//! The picture of the cluster, kept up to date from what watches tell: pure, so that every order of events can be tested.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::core::v1::{Namespace as NamespaceObject, Secret as SecretObject, Service};
use kube::{Resource, ResourceExt, core::PartialObjectMeta, runtime::watcher::Event};
use turnpike_bundle::{
    entry::ObjectRef,
    problem::{ObjectId, ObjectKind},
};
use turnpike_crds::{Budget, ModelDeployment, VirtualKey};

use super::{
    Namespace, World,
    guard::Guard,
    kept::{self, Key, Read},
    listing::{Change, Listing},
    references::{References, Refers},
    secrets::{Answer, Order, Secrets, Seen},
};

/// What a watch tells. Several watches can cover one kind, a namespace each: `usize` is which of them.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "taken apart at once, never kept")]
pub enum Observed {
    /// Of models.
    Model(usize, Event<Guard<ModelDeployment>>),
    /// Of keys.
    Key(usize, Event<Guard<VirtualKey>>),
    /// Of budgets.
    Budget(usize, Event<Guard<Budget>>),
    /// Of Secrets, without their values.
    Secret(usize, Event<PartialObjectMeta<SecretObject>>),
    /// Of Services.
    Service(usize, Event<Service>),
    /// Of namespaces.
    Namespace(usize, Event<PartialObjectMeta<NamespaceObject>>),
}

/// Keeps the picture.
#[derive(Debug)]
pub struct Observer {
    instance: String,
    world: World,
    models: Vec<Listing<Read<ModelDeployment>>>,
    keys: Vec<Listing<Key>>,
    budgets: Vec<Listing<Read<Budget>>>,
    secret_lists: Vec<Listing<Seen>>,
    services: Vec<Listing<()>>,
    namespaces: Vec<Listing<Namespace>>,
    references: References,
    secrets: Secrets,
    is_complete: bool,
    has_changed: bool,
}

impl Observer {
    /// Knows nothing yet. `scopes`: how many watches cover each kind; `needs_label`: whether only labelled Secrets are watched.
    pub fn new(instance: String, scopes: usize, needs_label: bool) -> Self {
        Self {
            instance,
            world: World::default(),
            models: listings(scopes),
            keys: listings(scopes),
            budgets: listings(scopes),
            secret_lists: listings(scopes),
            services: listings(scopes),
            namespaces: listings(scopes),
            references: References::default(),
            secrets: Secrets::new(needs_label),
            is_complete: false,
            has_changed: false,
        }
    }

    /// Takes one event.
    pub fn observe(&mut self, observed: Observed) {
        let instance = self.instance.as_str();
        match observed {
            Observed::Model(scope, event) => {
                for change in take(&mut self.models, scope, event, |guard| kept::resource(instance, guard)) {
                    self.model(change);
                }
            }
            Observed::Key(scope, event) => {
                for change in take(&mut self.keys, scope, event, |guard| kept::key(instance, guard)) {
                    self.key(change);
                }
            }
            Observed::Budget(scope, event) => {
                for change in take(&mut self.budgets, scope, event, |guard| kept::resource(instance, guard)) {
                    let errors = &mut self.world.unreadable;
                    let effect = put(&mut self.world.budgets, errors, ObjectKind::Budget, change);
                    self.note(effect.shows, effect.matters);
                }
            }
            Observed::Secret(scope, event) => {
                for (secret, seen) in
                    take(&mut self.secret_lists, scope, event, |partial| Some(Seen::of(&partial.metadata)))
                {
                    self.secrets.see(secret, seen);
                }
            }
            Observed::Service(scope, event) => {
                for (service, is_there) in
                    take(&mut self.services, scope, event, |service| kept::opens(&service).then_some(()))
                {
                    let differs = match is_there {
                        Some(()) => self.world.services.insert(service),
                        None => self.world.services.remove(&service),
                    };
                    self.note(differs, differs);
                }
            }
            Observed::Namespace(scope, event) => {
                for (name, kept) in
                    take(&mut self.namespaces, scope, event, |partial| Some(kept::namespace(&partial.metadata)))
                {
                    let differs = self.world.namespaces.get(&name.name) != kept.as_ref();
                    match kept {
                        Some(namespace) => self.world.namespaces.insert(name.name, namespace),
                        None => self.world.namespaces.remove(&name.name),
                    };
                    self.note(differs, differs);
                }
            }
        }
    }

    fn model(&mut self, change: Change<Read<ModelDeployment>>) {
        let errors = &mut self.world.unreadable;
        let effect = put(&mut self.world.models, errors, ObjectKind::ModelDeployment, change);
        self.refer(effect.before.as_deref(), effect.after.as_deref());
        self.note(effect.shows, effect.matters);
    }

    fn key(&mut self, (name, change): Change<Key>) {
        let (ours, given_away) = match change {
            Some(Key::Ours(ours)) => (Some(ours), None),
            Some(Key::GivenAway(metadata)) => (None, Some(metadata)),
            None => (None, None),
        };
        let differs = match given_away {
            Some(metadata) => self.world.given_away.insert(name.clone(), metadata).is_none(),
            None => self.world.given_away.remove(&name).is_some(),
        };
        self.note(differs, false);
        let change = (name.clone(), ours);
        let errors = &mut self.world.unreadable;
        let effect = put(&mut self.world.keys, errors, ObjectKind::VirtualKey, change);
        self.refer(effect.before.as_deref(), effect.after.as_deref());
        if effect.before.as_ref().map(|key| key.uid()) != effect.after.as_ref().map(|key| key.uid()) {
            self.secrets.touch_minted_for(&name);
        }
        self.note(effect.shows, effect.matters);
    }

    fn refer<K: Refers>(&mut self, before: Option<&K>, after: Option<&K>) {
        let (before, after) =
            (before.map(K::references).unwrap_or_default(), after.map(K::references).unwrap_or_default());
        if before == after {
            return;
        }
        for reference in before {
            self.references.remove(&reference);
            self.secrets.touch(reference.secret);
        }
        for reference in after {
            self.secrets.touch(reference.secret.clone());
            self.references.add(reference);
        }
    }

    fn note(&mut self, shows: bool, matters: bool) {
        self.has_changed |= shows;
        self.world.inputs += u64::from(matters);
    }

    /// What has to be read of Secrets now. Nothing before every watch has told its list.
    pub fn orders(&mut self) -> Vec<Order> {
        if !self.is_listed() {
            return Vec::new();
        }
        let mut orders = Vec::new();
        while let Some((name, order)) = self.secrets.next(&self.references) {
            orders.extend(order);
            let view = self.secrets.view(&name, &self.world.keys);
            if self.world.secrets.get(&name).map(AsRef::as_ref) == view.as_ref() {
                continue;
            }
            match view {
                Some(secret) => self.world.secrets.insert(name, Arc::new(secret)),
                None => self.world.secrets.remove(&name),
            };
            self.note(true, true);
        }
        orders
    }

    /// Takes what came of an order. False = [`Observer::again`] has to be called after a while.
    pub fn answer(&mut self, order: Order, answer: Answer) -> bool {
        self.secrets.answer(order, answer)
    }

    /// Has a Secret read again, unless the watch tells of it.
    pub fn again(&mut self, secret: ObjectRef) {
        self.secrets.again(secret);
    }

    /// Whether a Secret that something refers to is about to be read for the first time: a picture that waits for it tells
    /// nobody that it is missing.
    pub fn awaits_secrets(&self) -> bool {
        self.secrets.awaits(false)
    }

    /// Whether there is something to tell, and all of it is known.
    pub fn has_news(&mut self) -> bool {
        if !self.is_complete && self.is_listed() && !self.secrets.awaits(true) {
            self.is_complete = true;
            // An empty cluster is news, too.
            self.note(true, true);
        }
        self.is_complete && self.has_changed
    }

    /// The picture as it now is.
    pub fn picture(&mut self) -> Arc<World> {
        self.has_changed = false;
        Arc::new(self.world.clone())
    }

    fn is_listed(&self) -> bool {
        all_listed(&self.models)
            && all_listed(&self.keys)
            && all_listed(&self.budgets)
            && all_listed(&self.secret_lists)
            && all_listed(&self.services)
            && all_listed(&self.namespaces)
    }
}

fn listings<T>(scopes: usize) -> Vec<Listing<T>> {
    std::iter::repeat_with(Listing::default).take(scopes).collect()
}

fn all_listed<T>(listings: &[Listing<T>]) -> bool {
    listings.iter().all(Listing::is_listed)
}

fn take<K: Resource, T>(
    listings: &mut [Listing<T>],
    scope: usize,
    event: Event<K>,
    keep: impl FnOnce(K) -> Option<T>,
) -> Vec<Change<T>> {
    listings.get_mut(scope).map(|listing| listing.take(event, keep)).unwrap_or_default()
}

/// What a change did.
struct Effect<K> {
    before: Option<Arc<K>>,
    after: Option<Arc<K>>,
    /// Something differs.
    shows: bool,
    /// Something differs that decides what is served.
    matters: bool,
}

/// Takes a change of an object into the picture. One that cannot be read stays as it was, but for its metadata.
fn put<K: Resource<DynamicType = ()> + Clone + Default>(
    objects: &mut BTreeMap<ObjectRef, Arc<K>>,
    errors: &mut BTreeMap<ObjectId, String>,
    kind: ObjectKind,
    (object, change): Change<Read<K>>,
) -> Effect<K> {
    let id = ObjectId { kind, object: object.clone() };
    let before = objects.get(&object).cloned();
    let was_unreadable = errors.get(&id).cloned();
    let after = match change {
        Some(Err(unreadable)) => {
            errors.insert(id.clone(), unreadable.error);
            kept::last_good(before.as_deref(), unreadable.metadata).map(Arc::new)
        }
        readable => {
            errors.remove(&id);
            readable.and_then(Result::ok)
        }
    };
    let version = |object: &Option<Arc<K>>| object.as_ref().map(|object| object.resource_version());
    let matter = |object: &Option<Arc<K>>| {
        let meta = object.as_ref()?.meta();
        Some((meta.uid.clone(), meta.generation, meta.deletion_timestamp.is_some()))
    };
    let shows = version(&before) != version(&after) || was_unreadable.as_ref() != errors.get(&id);
    let matters = matter(&before) != matter(&after);
    match &after {
        Some(kept) if shows => objects.insert(object, Arc::clone(kept)),
        Some(_) => None,
        None => objects.remove(&object),
    };
    Effect { before, after, shows, matters }
}

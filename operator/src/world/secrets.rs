//! Secrets: watched by their metadata only, read where something refers to them, and no more kept than that needs.
//!
//! ```text
//!  watch (metadata) ─▶ seen ─┐                    ┌─▶ Order ─▶ GET ─▶ answer ─┐
//!  references ───────────────┴─ differs from held ┘                          └─▶ held ─▶ World.secrets
//! ```
//! What is held stays until its successor is there, whatever fails in between; only a Secret that is gone takes it away.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Secret as Object;
use kube::{ResourceExt, core::ObjectMeta};
use turnpike_bundle::{
    Secret,
    entry::ObjectRef,
    objects::{USE_LABEL, Value},
};
use turnpike_crds::{GROUP, VirtualKey};

use super::references::References;

/// Something to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The Secret.
    pub secret: ObjectRef,
    /// How much of it.
    pub want: Want,
}

/// How much of a Secret is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// Whether it exists without the label by which Secrets are watched, to tell its author so.
    Metadata,
    /// Its values.
    Values {
        /// `metadata.uid` as watched.
        uid: Option<String>,
        /// `metadata.resourceVersion` as watched.
        version: Option<String>,
        /// Data keys whose values are kept as they are; of the others digests are kept.
        plain: BTreeSet<String>,
    },
}

/// What came of an order.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "taken apart at once, never kept")]
pub enum Answer {
    /// This.
    Found(Content),
    /// There is no such Secret now.
    Missing,
    /// The apiserver could not tell.
    Failed,
}

/// What is kept of a Secret.
#[derive(Debug)]
pub struct Content {
    uid: Option<String>,
    version: Option<String>,
    plain: BTreeSet<String>,
    secret: Secret,
}

impl Content {
    /// Keeps values only under the keys `plain`.
    pub fn of(object: Object, plain: &BTreeSet<String>) -> Self {
        let mut content = Self::without_values(object.metadata);
        plain.clone_into(&mut content.plain);
        for (key, value) in object.data.unwrap_or_default() {
            let value = if plain.contains(&key) { Value::Plain(value.0) } else { Value::digested(value.0.as_slice()) };
            content.secret.data.insert(key, value);
        }
        content
    }

    /// Keeps no values.
    pub fn without_values(metadata: ObjectMeta) -> Self {
        let ours = |name: &str| name.split('/').next().is_some_and(|prefix| prefix.ends_with(GROUP));
        let annotations = metadata.annotations.unwrap_or_default();
        let secret = Secret {
            labels: metadata.labels.unwrap_or_default(),
            // Others can hold anything, such as all values once more.
            annotations: annotations.into_iter().filter(|(name, _)| ours(name)).collect(),
            ..Secret::default()
        };
        Self { uid: metadata.uid, version: metadata.resource_version, plain: BTreeSet::new(), secret }
    }

    /// Forgets the values that are not needed any more.
    fn reduce(&mut self, plain: &BTreeSet<String>) {
        for (key, value) in &mut self.secret.data {
            if let (Value::Plain(bytes), false) = (&*value, plain.contains(key)) {
                *value = Value::digested(bytes);
            }
        }
        plain.clone_into(&mut self.plain);
    }
}

/// What the watch tells of a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    uid: Option<String>,
    version: Option<String>,
    used_for: Option<String>,
    /// The `VirtualKey` that it was minted for, and that object's uid.
    owner: Option<(ObjectRef, String)>,
}

impl Seen {
    pub(super) fn of(metadata: &ObjectMeta) -> Self {
        let owner = metadata
            .owner_references
            .iter()
            .flatten()
            .find(|owner| owner.kind == "VirtualKey" && owner.api_version.split('/').next() == Some(GROUP));
        let namespace = metadata.namespace.clone().unwrap_or_default();
        Self {
            uid: metadata.uid.clone(),
            version: metadata.resource_version.clone(),
            used_for: metadata.labels.as_ref().and_then(|labels| labels.get(USE_LABEL)).cloned(),
            owner: owner.map(|owner| (ObjectRef { namespace, name: owner.name.clone() }, owner.uid.clone())),
        }
    }
}

/// The last answer to an order.
#[derive(Debug)]
struct Held {
    to: Want,
    /// `None` = there was no such Secret.
    content: Option<Content>,
    /// It may have become untrue without the watch telling so.
    is_stale: bool,
}

impl Held {
    fn answers(&self, want: &Want) -> bool {
        match (want, &self.to) {
            (Want::Metadata, Want::Metadata) => !self.is_stale,
            (Want::Values { version, plain, .. }, Want::Values { version: asked, .. }) => {
                let read = self.content.as_ref().and_then(|content| content.version.as_ref());
                let is_current = version == asked || version.as_ref() == read;
                is_current && self.content.as_ref().is_none_or(|content| plain.is_subset(&content.plain))
            }
            _ => false,
        }
    }
}

/// All that is known of Secrets.
#[derive(Debug)]
pub(super) struct Secrets {
    /// Only labelled Secrets are watched, and may be referred to.
    needs_label: bool,
    seen: BTreeMap<ObjectRef, Seen>,
    /// Minted ones, by the `VirtualKey` that owns them.
    minted: BTreeMap<ObjectRef, BTreeSet<ObjectRef>>,
    held: BTreeMap<ObjectRef, Held>,
    reading: BTreeSet<ObjectRef>,
    /// Wanted and not read even once; true = a read has failed.
    awaited: BTreeMap<ObjectRef, bool>,
    /// To be looked at again.
    touched: BTreeSet<ObjectRef>,
}

impl Secrets {
    pub(super) fn new(needs_label: bool) -> Self {
        Self {
            needs_label,
            seen: BTreeMap::new(),
            minted: BTreeMap::new(),
            held: BTreeMap::new(),
            reading: BTreeSet::new(),
            awaited: BTreeMap::new(),
            touched: BTreeSet::new(),
        }
    }

    /// Something that a Secret is judged by has changed.
    pub(super) fn touch(&mut self, secret: ObjectRef) {
        self.touched.insert(secret);
    }

    /// Has a Secret read again of which the watch does not tell.
    pub(super) fn again(&mut self, secret: ObjectRef) {
        if let Some(held) = self.held.get_mut(&secret) {
            held.is_stale = true;
        }
        self.touched.insert(secret);
    }

    /// A `VirtualKey` came, went, or is another one of its name.
    pub(super) fn touch_minted_for(&mut self, key: &ObjectRef) {
        self.touched.extend(self.minted.get(key).into_iter().flatten().cloned());
    }

    /// What the watch tells; `None` = the Secret is gone, or lost its label.
    pub(super) fn see(&mut self, secret: ObjectRef, seen: Option<Seen>) {
        let before = match seen.clone() {
            Some(seen) => self.seen.insert(secret.clone(), seen),
            None => self.seen.remove(&secret),
        };
        let uid = |seen: Option<&Seen>| seen.map(|seen| seen.uid.clone());
        if before.is_some() && uid(before.as_ref()) != uid(seen.as_ref()) {
            self.held.remove(&secret);
        }
        if let Some((key, _)) = before.and_then(|before| before.owner)
            && let Some(minted) = self.minted.get_mut(&key)
        {
            minted.remove(&secret);
            if minted.is_empty() {
                self.minted.remove(&key);
            }
        }
        if let Some((key, _)) = seen.and_then(|seen| seen.owner) {
            self.minted.entry(key).or_default().insert(secret.clone());
        }
        self.touched.insert(secret);
    }

    /// Takes what came of an order. False = it has to be given again after a while, with [`Secrets::again`].
    pub(super) fn answer(&mut self, order: Order, answer: Answer) -> bool {
        let Order { secret, want } = order;
        self.reading.remove(&secret);
        let seen_uid = self.seen.get(&secret).map(|seen| &seen.uid);
        let is_moot = match &want {
            Want::Metadata => seen_uid.is_some(),
            Want::Values { uid, .. } => seen_uid != Some(uid),
        };
        if is_moot {
            self.touched.insert(secret);
            return true;
        }
        let content = match (answer, &want) {
            // What is found is newer than the watch is; the watch will tell of it.
            (Answer::Found(content), Want::Values { uid, .. }) if content.uid != *uid => return false,
            (Answer::Found(content), Want::Metadata) if content.secret.labels.contains_key(USE_LABEL) => return false,
            (Answer::Failed, _) => {
                if let Some(has_failed) = self.awaited.get_mut(&secret) {
                    *has_failed = true;
                }
                return false;
            }
            (Answer::Found(content), _) => Some(content),
            (Answer::Missing, Want::Metadata) => None,
            // The watch will tell that it is gone.
            (Answer::Missing, Want::Values { .. }) => self.held.remove(&secret).and_then(|held| held.content),
        };
        self.held.insert(secret.clone(), Held { to: want, content, is_stale: false });
        self.touched.insert(secret);
        true
    }

    /// The next Secret that was touched, and what has to be read of it.
    pub(super) fn next(&mut self, references: &References) -> Option<(ObjectRef, Option<Order>)> {
        let secret = self.touched.pop_first()?;
        let order = self.settle(&secret, references);
        Some((secret, order))
    }

    fn settle(&mut self, secret: &ObjectRef, references: &References) -> Option<Order> {
        let Some(want) = self.want(secret, references) else {
            self.held.remove(secret);
            self.awaited.remove(secret);
            return None;
        };
        if let Some(held) = self.held.get_mut(secret) {
            self.awaited.remove(secret);
            if held.answers(&want) {
                if let (Some(content), Want::Values { plain, .. }) = (&mut held.content, &want) {
                    content.reduce(plain);
                }
                return None;
            }
        } else {
            self.awaited.entry(secret.clone()).or_insert(false);
        }
        // One read at a time; its answer touches the Secret again.
        self.reading.insert(secret.clone()).then(|| Order { secret: secret.clone(), want })
    }

    /// `None` = nothing asks for it, or it does not exist.
    fn want(&self, secret: &ObjectRef, references: &References) -> Option<Want> {
        let seen = self.seen.get(secret);
        let is_minted = seen.is_some_and(|seen| seen.owner.is_some());
        if !is_minted && !references.is_used(secret) {
            return None;
        }
        let Some(seen) = seen else { return self.needs_label.then_some(Want::Metadata) };
        let used_for = seen.used_for.as_deref();
        let may_be_sent =
            if self.needs_label { matches!(used_for, Some("provider" | "engine")) } else { used_for != Some("minted") };
        let plain = if may_be_sent && !is_minted { references.plain(secret) } else { BTreeSet::new() };
        Some(Want::Values { uid: seen.uid.clone(), version: seen.version.clone(), plain })
    }

    /// The Secret as others may know it; `minted_for` tells who its owner is now, by name and uid.
    pub(super) fn view(
        &self,
        secret: &ObjectRef,
        keys: &BTreeMap<ObjectRef, std::sync::Arc<VirtualKey>>,
    ) -> Option<Secret> {
        let content = self.held.get(secret)?.content.as_ref()?;
        let owner = self.seen.get(secret).and_then(|seen| seen.owner.as_ref());
        let lives = |(key, uid): &&(ObjectRef, String)| keys.get(key).and_then(|key| key.uid()).as_ref() == Some(uid);
        let minted_for = owner.filter(lives).map(|(key, _)| key.clone());
        Some(Secret { minted_for, ..content.secret.clone() })
    }

    /// Whether some Secret has to be read for the first time; with `failed` also when its reads fail.
    pub(super) fn awaits(&self, failed: bool) -> bool {
        self.awaited.values().any(|has_failed| failed || !has_failed)
    }
}

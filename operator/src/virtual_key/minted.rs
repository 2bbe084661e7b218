//! The Secret that a key is minted into: what it says, and how each change of it looks. One write each, so that there
//! is no moment at which a key is half replaced.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::{
    ByteString,
    api::core::v1::Secret,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{Resource, ResourceExt};
use turnpike_bundle::{
    entry::KeyHash,
    minted::{self, MINTED, MINTED_AT, ROTATE_HANDLED},
    objects::{USE_LABEL, object_ref},
};
use turnpike_crds::{VirtualKey, virtual_key::Generate};

use crate::{
    kit::apply::label,
    names::{Names, ROTATE_ANNOTATION},
    virtual_key::{
        plan::{MOST_REPLACED, Rotation},
        random::Key,
    },
};

/// Seconds for which a key stays written down after it has stopped working: a clock that is ahead by less takes no
/// working key away.
const FORGET_AFTER: i64 = 24 * 3600;

/// What a minted Secret says, without its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Whether there is a value under `secretKey`.
    pub key: bool,
    /// When the key was made; `None` = the annotation is gone.
    pub minted_at: Option<Timestamp>,
    /// The last value of `turnpike.dev/rotate` that was acted upon.
    pub handled: Option<String>,
    /// When each replaced key stops working, past ones included.
    pub retirements: Vec<Timestamp>,
    /// Whether it carries the label by which it is watched.
    pub labelled: bool,
}

impl Held {
    /// Reads a Secret that is known to be minted. `has` says whether there is a value under a key of its data.
    pub fn read(
        labels: &BTreeMap<String, String>,
        annotations: &BTreeMap<String, String>,
        has: impl Fn(&str) -> bool,
        generate: &Generate,
    ) -> Self {
        let retirements = minted::replaced(annotations).into_iter().filter_map(|hash| hash.retires_at);
        Self {
            key: has(&generate.secret_key),
            minted_at: minted_at(annotations),
            handled: annotations.get(ROTATE_HANDLED).cloned(),
            retirements: retirements.filter_map(|second| Timestamp::from_second(second).ok()).collect(),
            labelled: labels.get(USE_LABEL).is_some_and(|value| value == MINTED),
        }
    }

    /// Reads the Secret itself.
    pub fn of(secret: &Secret, generate: &Generate) -> Self {
        let has = |key: &str| value(secret, key).is_some();
        Self::read(secret.labels(), secret.annotations(), has, generate)
    }
}

/// When a minted Secret's key was made.
pub fn minted_at(annotations: &BTreeMap<String, String>) -> Option<Timestamp> {
    annotations.get(MINTED_AT)?.parse().ok()
}

/// A Secret with a new key. A request for rotation that is older than the key is handled with it.
pub fn new(names: &Names, (object, generate): (&VirtualKey, &Generate), key: Key, now: Timestamp) -> Secret {
    let mut secret = empty(names, object, generate);
    put(&mut secret, &generate.secret_key, key, object, now);
    secret
}

/// The Secret under its new name, with the key and all that is known of it; `None` = `from` holds no key.
pub fn moved(names: &Names, (object, generate): (&VirtualKey, &Generate), from: &Secret) -> Option<Secret> {
    let mut secret = empty(names, object, generate);
    let value = current(from, generate)?.clone();
    secret.data = Some(BTreeMap::from([(generate.secret_key.clone(), value)]));
    let ours = [minted::PREVIOUS_SHA256, minted::RETIRES_AT, MINTED_AT, ROTATE_HANDLED];
    let annotations = from.annotations().iter().filter(|(name, _)| ours.contains(&name.as_str()));
    secret.metadata.annotations = Some(annotations.map(|(name, value)| (name.clone(), value.clone())).collect());
    Some(secret)
}

/// The Secret with a new key, the one before living on for the overlap. `now` only decides what old keys are forgotten.
pub fn rotated(
    mut secret: Secret,
    (object, generate): (&VirtualKey, &Generate),
    key: Key,
    rotation: Rotation,
    now: Timestamp,
) -> Secret {
    let mut replaced = minted::replaced(secret.annotations());
    let forgotten = now.as_second().saturating_sub(FORGET_AFTER);
    replaced.retain(|hash| hash.retires_at.is_some_and(|second| second > forgotten));
    if let (Some(value), Some(time)) = (current(&secret, generate), rotation.retires_at) {
        // A started second is given in full.
        let second = time.as_second() + i64::from(time.subsec_nanosecond() > 0);
        replaced.push(KeyHash { sha256: minted::sha256(&value.0), retires_at: Some(second) });
    }
    // Whatever still works is among those that retire last: there are never more of them.
    replaced.sort_by_key(|hash| std::cmp::Reverse(hash.retires_at));
    replaced.truncate(MOST_REPLACED);
    minted::set_replaced(secret.annotations_mut(), &replaced);
    put(&mut secret, &generate.secret_key, key, object, rotation.at);
    secret
}

/// The Secret as it was meant, with the key that it has: labels, the time, the key under its name. `None` = it has no key.
pub fn repaired(names: &Names, mut secret: Secret, generate: &Generate, now: Timestamp) -> Option<Secret> {
    let value = current(&secret, generate)?.clone();
    mark(names, &mut secret);
    if minted_at(secret.annotations()).is_none() {
        secret.annotations_mut().insert(MINTED_AT.to_owned(), text(now));
    }
    let data = secret.data.get_or_insert_default();
    if !data.contains_key(&generate.secret_key) {
        data.clear();
        data.insert(generate.secret_key.clone(), value);
    }
    Some(secret)
}

/// The key in force: the value under `secretKey`, or the only one there is after an edit of `secretKey`.
fn current<'a>(secret: &'a Secret, generate: &Generate) -> Option<&'a ByteString> {
    let data = secret.data.as_ref()?;
    let value = match data.len() {
        1 => data.values().next(),
        _ => data.get(&generate.secret_key),
    };
    value.filter(|value| !value.0.is_empty())
}

fn value<'a>(secret: &'a Secret, key: &str) -> Option<&'a ByteString> {
    secret.data.as_ref()?.get(key)
}

fn put(secret: &mut Secret, name: &str, key: Key, object: &VirtualKey, now: Timestamp) {
    let data = secret.data.get_or_insert_default();
    // The one key under another name is the same key before an edit of secretKey.
    if data.len() == 1 {
        data.clear();
    }
    data.insert(name.to_owned(), ByteString(key.into_bytes()));
    let annotations = secret.annotations_mut();
    annotations.insert(MINTED_AT.to_owned(), text(now));
    // Stays when the request is taken back: who then looks at an older object must not take it for a new one.
    if let Some(asked) = object.annotations().get(ROTATE_ANNOTATION) {
        annotations.insert(ROTATE_HANDLED.to_owned(), asked.clone());
    }
}

/// To the second, as the apiserver writes times.
fn text(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

fn empty(names: &Names, object: &VirtualKey, generate: &Generate) -> Secret {
    let at = object_ref(object);
    let owner = OwnerReference {
        api_version: VirtualKey::api_version(&()).into_owned(),
        kind: VirtualKey::kind(&()).into_owned(),
        name: at.name.clone(),
        uid: object.uid().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: None,
    };
    let mut secret = Secret {
        metadata: ObjectMeta {
            name: Some(generate.secret_name.clone().unwrap_or(at.name)),
            namespace: Some(at.namespace),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    };
    mark(names, &mut secret);
    secret
}

fn mark(names: &Names, secret: &mut Secret) {
    label(names, secret);
    secret.labels_mut().insert(USE_LABEL.to_owned(), MINTED.to_owned());
}

//! Status of a `VirtualKey`: which keys work, until when, what was spent, and why one does not work.

use std::ops::Bound;

use jiff::Timestamp;
use turnpike_bundle::{Secret, entry::ObjectRef, manifest::Kind, minted, problem::ObjectKind};
use turnpike_crds::{
    ConditionType, KeyHash, KeyId, Reason, SecretKeyRef, Time, VirtualKey,
    virtual_key::{BlockedBy, IssuedKey, KeyState, VirtualKeyStatus},
};

use super::{
    Desired, View,
    condition::{Aspect, Common, Facts, Truth, common, conditions},
    earlier, limit, message,
};
use crate::{publish::Compiled, world::World};

mod spend;

/// Most keys that a status lists.
const MOST_KEYS: usize = 8;

/// The status that follows `before`; `None` = nothing can be said yet.
pub fn desired(
    view: View<'_>,
    object: &ObjectRef,
    key: &VirtualKey,
    before: Option<&VirtualKeyStatus>,
) -> Option<Desired<VirtualKeyStatus>> {
    let compiled = view.compiled(ObjectKind::VirtualKey, object, key.metadata.generation)?;
    let facts = Facts {
        kind: Kind::Keys,
        key: &object.to_string(),
        compiled,
        before: before.map_or(&[], |before| &before.conditions),
        programmed: before.and_then(|before| before.programmed.as_ref()),
        fleet: view.fleet,
        now: view.now,
    };
    let expires = expires(key);
    let mut common = common(facts);
    let blocked_by = spend::blocked_by(view, object, key, before);
    let active = active(view.now, key, expires, compiled, (&common, &blocked_by));
    common.aspects.push(active);
    let waiting = common.waiting;
    let secret_ref = secret_ref(object, key);
    let secret = secret_ref.as_ref().and_then(|reference| secret(view.world, object, key, &reference.name));
    // Of what is not in the bundle nothing works, and whether somebody else has such a key must not be told.
    let mut keys = Vec::new();
    if compiled.digest.is_some() {
        keys = issued(view.now, key, secret_ref.as_ref().zip(secret));
    }
    let retires = keys.iter().filter_map(|key| key.retires_at.as_ref()).map(|time| time.0).min();
    let status = VirtualKeyStatus {
        observed_generation: Some(compiled.generation),
        key_id: Some(KeyId::of(&object.namespace, &object.name).to_string()),
        keys,
        secret_ref,
        blocked_by,
        budget_text: limit::tightest(&key.spec.budget).and_then(limit::amount_by_window),
        expires: expires.map(text),
        rotates: secret.and_then(|secret| rotates(key, secret)).map(text),
        programmed: common.programmed.clone(),
        conditions: conditions(facts, common),
        ..VirtualKeyStatus::default()
    };
    let next = earlier(expires.filter(|time| *time > view.now), retires);
    let desired = Desired { status, waiting, next, figures_only: false };
    Some(spend::paced(desired, before, view.spend, view.now))
}

/// When the key stops working for good; `None` = never, or not understood, which Accepted says.
fn expires(key: &VirtualKey) -> Option<Timestamp> {
    let spec = &key.spec;
    let ttl = || {
        let created = key.metadata.creation_timestamp.as_ref()?.0;
        created.saturating_add(spec.ttl.as_ref()?.parse().ok()?).ok()
    };
    spec.expires_at.as_ref().map(|time| time.0).or_else(ttl)
}

/// Whether the key is accepted.
fn active(
    now: Timestamp,
    key: &VirtualKey,
    expires: Option<Timestamp>,
    compiled: &Compiled,
    (common, blocked_by): (&Common, &[BlockedBy]),
) -> Aspect {
    let aspect = |truth, reason, message: &str| Aspect::new(ConditionType::Active, truth, reason, message);
    if key.spec.suspended {
        return aspect(Truth::False, Reason::Suspended, "spec.suspended is set; remove it to have the key accepted");
    }
    if expires.is_some_and(|expires| expires <= now) {
        return aspect(Truth::False, Reason::Expired, "The key's time is over; set a later expiresAt or a longer ttl");
    }
    if compiled.digest.is_some() {
        if let Some(message) = spend::refusal(blocked_by) {
            return aspect(Truth::False, Reason::BudgetExceeded, &message::bounded(message));
        }
        return aspect(Truth::True, Reason::Active, "The key is accepted");
    }
    // Not served, for the reason that Programmed has.
    let programming = common.aspects.iter().find(|aspect| aspect.kind == ConditionType::Programmed);
    let reason = programming.map_or(Reason::Pending, |programming| programming.reason);
    aspect(Truth::False, reason, "The key is not served; Ready says why")
}

/// Where the key lies; a keyHash's lies nowhere.
fn secret_ref(object: &ObjectRef, key: &VirtualKey) -> Option<SecretKeyRef> {
    let generated = key.spec.generate.as_ref().map(|generate| SecretKeyRef {
        name: generate.secret_name.clone().unwrap_or_else(|| object.name.clone()),
        key: generate.secret_key.clone(),
    });
    generated.or_else(|| key.spec.secret_ref.clone())
}

/// The Secret of that name; of a generated key the one that was made for it, which has another name for a while after an
/// edit of `secretName`.
fn secret<'a>(world: &'a World, object: &ObjectRef, key: &VirtualKey, name: &str) -> Option<&'a Secret> {
    let at = |name: &str| ObjectRef { namespace: object.namespace.clone(), name: name.to_owned() };
    let named = world.secrets.get(&at(name)).map(AsRef::as_ref);
    if key.spec.generate.is_none() {
        return named;
    }
    let is_ours = |secret: &&Secret| secret.minted_for.as_ref() == Some(object);
    named.filter(is_ours).or_else(|| {
        let range = world.secrets.range((Bound::Included(at("")), Bound::Unbounded));
        let same_namespace = range.take_while(|(secret, _)| secret.namespace == object.namespace);
        same_namespace.map(|(_, secret)| secret.as_ref()).find(is_ours)
    })
}

/// The current key, then those that were replaced and work on for a while.
fn issued(now: Timestamp, key: &VirtualKey, lies: Option<(&SecretKeyRef, &Secret)>) -> Vec<IssuedKey> {
    let current = |sha256: &str, created_at| IssuedKey {
        fingerprint: fingerprint(sha256),
        state: KeyState::Active,
        created_at,
        retires_at: None,
    };
    if let Some(hash) = &key.spec.key_hash {
        let valid = KeyHash::parse(hash).is_ok();
        return valid.then(|| current(hash, None)).into_iter().collect();
    }
    let Some((reference, secret)) = lies else { return Vec::new() };
    // After an edit of secretKey the only value is the key, until it lies under its new name.
    let value = match secret.data.values().next() {
        Some(only) if secret.data.len() == 1 && key.spec.generate.is_some() => Some(only),
        _ => secret.data.get(&reference.key),
    };
    let mut keys = Vec::new();
    keys.extend(value.map(|value| current(&value.digest().sha256, minted_at(secret).map(Time))));
    if key.spec.generate.is_some() {
        keys.extend(retiring(now, secret));
    }
    keys.truncate(MOST_KEYS);
    keys
}

fn retiring(now: Timestamp, secret: &Secret) -> impl Iterator<Item = IssuedKey> {
    minted::replaced(&secret.annotations).into_iter().filter_map(move |hash| {
        let retires_at = Timestamp::from_second(hash.retires_at?).ok()?;
        (retires_at > now).then(|| IssuedKey {
            fingerprint: fingerprint(&hash.sha256),
            state: KeyState::Retiring,
            created_at: None,
            retires_at: Some(Time(retires_at)),
        })
    })
}

/// The last four digits: enough to tell a person's few keys apart, too few to look one up by.
fn fingerprint(sha256: &str) -> String {
    let from = sha256.len().saturating_sub(4);
    format!("...{}", sha256.get(from..).unwrap_or_default())
}

/// When the key in a minted Secret was made.
fn minted_at(secret: &Secret) -> Option<Timestamp> {
    secret.annotations.get(minted::MINTED_AT)?.parse().ok()
}

/// When the key is replaced: an interval after it was made, but in no other one's overlap.
fn rotates(key: &VirtualKey, secret: &Secret) -> Option<Timestamp> {
    let interval = key.spec.rotation.as_ref()?.schedule().ok()?.interval?;
    let due = minted_at(secret)?.saturating_add(interval).ok()?;
    let retirements = minted::replaced(&secret.annotations).into_iter().filter_map(|hash| hash.retires_at);
    Some(retirements.filter_map(|second| Timestamp::from_second(second).ok()).fold(due, Timestamp::max))
}

/// A time as columns show it.
fn text(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

//! What has to be written for one engine: pure. Decided anew from what lies there each time, so it does not matter where an
//! earlier attempt was cut off.
//!
//! A child is applied where it is missing, where it is to be something else than what was last applied, or where somebody
//! has changed what was applied. What the apiserver adds to it counts as neither.
//!
//! A Job cannot be changed, so one for something else is deleted and made anew. Until it has filled the cache, a Deployment that
//! is there stays as it is, and serves.

use std::{collections::BTreeMap, sync::Arc};

use kube::{ResourceExt, core::DynamicObject};
use serde_json::{Map, Value};
use turnpike_crds::ModelDeployment;

use crate::{
    engine::{desired::FETCH_ANNOTATION, kind::Kind},
    kit::owner::{Owner, owner},
};

/// What is known of one engine.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The model.
    pub model: &'a ModelDeployment,
    /// What it is to have; empty = it is no engine any more.
    pub desired: &'a BTreeMap<Kind, DynamicObject>,
    /// What lies there.
    pub seen: &'a BTreeMap<Kind, Arc<DynamicObject>>,
    /// What this process has applied.
    pub applied: &'a BTreeMap<Kind, Applied>,
    /// Field manager of [`Step::Apply`].
    pub manager: &'a str,
}

/// What was applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// As it was sent.
    pub sent: DynamicObject,
    /// What of it the apiserver gave back, in its own notation.
    pub shape: Value,
}

impl Applied {
    /// `answer`: the object as the apiserver has it now.
    pub fn new(sent: DynamicObject, answer: &DynamicObject) -> Self {
        let shape = projected(&value(answer), &value(&sent));
        Self { sent, shape }
    }
}

/// One write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make it, unless somebody else's lies there: nothing of that name is known.
    Make(Kind),
    /// Have it as desired.
    Apply(Kind),
    /// Have somebody else own so many replicas of the Deployment, so that they stay when they are not applied any more.
    HandOver(i32),
    /// Delete it.
    Delete(Kind),
    /// Nothing: it is somebody else's, who must be told.
    Taken(Kind),
}

/// The writes, in their order.
pub fn plan(facts: Facts<'_>) -> Vec<Step> {
    // The garbage collector has begun, or is about to.
    if facts.model.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    let mut steps = Vec::new();
    for (kind, desired) in facts.desired {
        let Some(seen) = facts.seen.get(kind) else {
            steps.push(Step::Make(*kind));
            continue;
        };
        match owner(seen.as_ref(), facts.model) {
            // It goes, and is made anew then.
            Owner::Predecessor => continue,
            _ if seen.metadata.deletion_timestamp.is_some() => continue,
            // What was orphaned is taken back: it has our labels and nobody controls it.
            Owner::Other if is_controlled(seen) => {
                steps.push(Step::Taken(*kind));
                continue;
            }
            Owner::This if *kind == Kind::Fetch => {
                if !is_for(seen, desired) {
                    steps.push(Step::Delete(*kind));
                }
                continue;
            }
            Owner::This | Owner::Other => {}
        }
        if *kind == Kind::Deployment && awaits_files(facts) {
            continue;
        }
        let handed = (*kind == Kind::Deployment).then(|| handed_over(facts, seen, desired)).flatten();
        if let Some(replicas) = handed {
            steps.push(Step::HandOver(replicas));
        }
        let is_applied = facts.applied.get(kind).is_some_and(|applied| is_as_applied(applied, seen, desired));
        if handed.is_some() || !is_applied {
            steps.push(Step::Apply(*kind));
        }
    }
    let unwanted = facts.seen.iter().filter(|(kind, _)| !facts.desired.contains_key(kind));
    // What uses the others goes first.
    for (kind, seen) in unwanted.rev() {
        let goes = seen.metadata.deletion_timestamp.is_none() && owner(seen.as_ref(), facts.model) == Owner::This;
        if goes && !(*kind == Kind::Claim && may_hold_data(seen)) {
            steps.push(Step::Delete(*kind));
        }
    }
    steps
}

fn is_as_applied(applied: &Applied, seen: &DynamicObject, desired: &DynamicObject) -> bool {
    applied.sent == *desired && projected(&value(seen), &value(desired)) == applied.shape
}

/// Whether a Job fetches what is to be fetched.
fn is_for(seen: &DynamicObject, desired: &DynamicObject) -> bool {
    seen.annotations().get(FETCH_ANNOTATION) == desired.annotations().get(FETCH_ANNOTATION)
}

/// Whether the cache is still to be filled.
fn awaits_files(facts: Facts<'_>) -> bool {
    let Some(desired) = facts.desired.get(&Kind::Fetch) else { return false };
    let done =
        facts.seen.get(&Kind::Fetch).filter(|seen| is_for(seen, desired)).is_some_and(|job| has(job, "Complete"));
    !done
}

fn has(object: &DynamicObject, condition: &str) -> bool {
    let conditions = object.data.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|one| one["type"] == condition && one["status"] == "True")
}

/// How many replicas there are to hand over: they are to be set by demand now, and we still own them, so that leaving them
/// out would have the apiserver set its default.
fn handed_over(facts: Facts<'_>, seen: &DynamicObject, desired: &DynamicObject) -> Option<i32> {
    if desired.data.pointer("/spec/replicas").is_some() {
        return None;
    }
    let ours = seen.managed_fields().iter().find(|entry| {
        entry.manager.as_deref() == Some(facts.manager)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.is_none()
    })?;
    ours.fields_v1.as_ref()?.0.pointer("/f:spec/f:replicas")?;
    let replicas = seen.data.pointer("/spec/replicas")?.as_i64()?;
    i32::try_from(replicas).ok()
}

fn is_controlled(child: &DynamicObject) -> bool {
    child.owner_references().iter().any(|owner| owner.controller == Some(true))
}

/// A claim without a volume holds nothing.
fn may_hold_data(claim: &DynamicObject) -> bool {
    claim.data.pointer("/status/phase").and_then(Value::as_str) != Some("Pending")
}

fn value(object: &DynamicObject) -> Value {
    // An object that came as JSON goes as JSON.
    serde_json::to_value(object).unwrap_or_default()
}

/// Of `of`, the members that `like` has too. Lists of another length are taken whole.
fn projected(of: &Value, like: &Value) -> Value {
    match (of, like) {
        (Value::Object(of), Value::Object(like)) => {
            let members = like.iter().filter_map(|(name, like)| Some((name.clone(), projected(of.get(name)?, like))));
            Value::Object(members.collect::<Map<_, _>>())
        }
        (Value::Array(of), Value::Array(like)) if of.len() == like.len() => {
            Value::Array(of.iter().zip(like).map(|(of, like)| projected(of, like)).collect())
        }
        _ => of.clone(),
    }
}

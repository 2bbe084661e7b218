//! From a step to the one write that does it, and what people are told of it.

use jiff::{Timestamp, Unit};
use k8s_openapi::api::core::v1::Secret;
use turnpike_crds::{VirtualKey, virtual_key::Generate};

use crate::{
    kit::events::EventType,
    names::Names,
    virtual_key::{
        minted,
        plan::{Rotation, Step, secret_name},
        random::Key,
    },
};

/// What was read for a step.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The Secret of the name that the spec gives it.
    pub secret: Option<Secret>,
    /// The one minted for this object under another name.
    pub old: Option<Secret>,
    /// The key was made before.
    pub was_minted: bool,
}

/// One write of a Secret.
#[derive(Clone, Debug)]
pub enum Write {
    /// POST: fails if there is one.
    Create(Secret),
    /// PUT with the resourceVersion that was read.
    Replace(Secret),
    /// DELETE with the uid and resourceVersion that were read.
    Delete(Secret),
}

/// A write, and what to tell once it is done.
#[derive(Clone, Debug)]
pub struct Change {
    /// The write.
    pub write: Write,
    /// The event.
    pub told: Option<Told>,
}

/// An event about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// How serious.
    pub kind: EventType,
    /// For machines.
    pub reason: &'static str,
    /// What the operator did.
    pub action: &'static str,
    /// For people.
    pub note: String,
}

/// The change that does `step`; `None` = it needs no write of a Secret. `key` draws a new key.
///
/// # Errors
/// Those of `key`.
pub fn change<E>(
    names: &Names,
    step: &Step,
    whose: (&VirtualKey, &Generate),
    found: Found,
    (key, now): (impl FnOnce() -> Result<Key, E>, Timestamp),
) -> Result<Option<Change>, E> {
    let name = secret_name(whose.0, whose.1);
    let Found { secret, old, was_minted } = found;
    let moved = || minted::moved(names, whose, old.as_ref().filter(|_| matches!(step, Step::Move(_)))?);
    let change = match (step, secret, &old) {
        (Step::Mint | Step::Move(_), None, _) if let Some(moved) = moved() => Change {
            write: Write::Create(moved),
            told: Some(normal("KeyMoved", "Move", format!("the key lies in the Secret {name} now"))),
        },
        (Step::Mint | Step::Move(_), None, _) => Change {
            write: Write::Create(minted::new(names, whose, key()?, now)),
            told: Some(if was_minted {
                replaced(format!("the Secret {name} was deleted, which revoked its key; a new key was made"))
            } else {
                normal("KeyMinted", "Mint", format!("the key lies in the Secret {name}"))
            }),
        },
        (Step::Repair, Some(secret), _) => {
            if let Some(repaired) = minted::repaired(names, secret.clone(), whose.1, now) {
                return Ok(Some(Change { write: Write::Replace(repaired), told: None }));
            }
            let rotation = Rotation { at: now, retires_at: None };
            Change {
                write: Write::Replace(minted::rotated(secret, whose, key()?, rotation, now)),
                told: Some(replaced(format!("the key was gone from the Secret {name}; a new one was made"))),
            }
        }
        (Step::Rotate(rotation), Some(secret), _) => Change {
            write: Write::Replace(minted::rotated(secret, whose, key()?, *rotation, now)),
            told: Some(normal("KeyRotated", "Rotate", format!("the Secret {name} has a new key; {}", until(rotation)))),
        },
        (Step::Discard(_), _, Some(old)) => Change { write: Write::Delete(old.clone()), told: None },
        _ => return Ok(None),
    };
    Ok(Some(change))
}

fn until(rotation: &Rotation) -> String {
    rotation.retires_at.map_or_else(
        || "the one before works no more".to_owned(),
        |time| format!("the one before works until {}", time.round(Unit::Second).unwrap_or(time)),
    )
}

fn normal(reason: &'static str, action: &'static str, note: String) -> Told {
    Told { kind: EventType::Normal, reason, action, note }
}

fn replaced(note: String) -> Told {
    Told { kind: EventType::Warning, reason: "KeyReplaced", action: "Mint", note }
}

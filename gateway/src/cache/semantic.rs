//! Requests that are not equal but mean the same: the last message is compared by its embedding, all the rest must be equal.

pub mod index;
pub mod prompt;
pub mod shared;

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use tokio::time::Instant;
use turnpike_ledger::store::Breaker;

use super::key::Key;
use index::Vector;

/// What a request means, and to whom.
#[derive(Clone, Debug)]
pub struct Meaning {
    /// What it shares with those that it may be compared with: everything but its last message.
    pub partition: Key,
    /// The embedding of its last message.
    pub vector: Vector,
}

/// The embedding models that fail at present, so that not every request waits for them.
#[derive(Debug, Default)]
pub struct Embedders(Mutex<HashMap<Box<str>, Breaker>>);

impl Embedders {
    /// Whether to ask this one.
    pub fn allows(&self, model: &str) -> bool {
        let failing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failing.get(model).is_none_or(|breaker| breaker.allows(Instant::now()))
    }

    /// It answered, or it did not.
    pub fn answered(&self, model: &str, has_answered: Answered) {
        let mut failing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match has_answered {
            Answered::Yes => drop(failing.remove(model)),
            Answered::No => drop(failing.entry(model.into()).or_default().failed(Instant::now())),
        }
    }
}

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// It was answered.
    Yes,
    /// It failed, or took too long.
    No,
}

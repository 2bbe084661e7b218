//! What was last published, and for each object what became of it there.

use std::collections::BTreeMap;

use turnpike_bundle::{Manifest, Problem, problem::ObjectId};

pub mod bump;
pub mod compile;
pub mod parts;
pub mod plan;
pub mod previous;
pub mod tokens;

/// The published bundle as the rest of the operator needs to know it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Published {
    /// The manifest in the cluster; `None` before the first.
    pub manifest: Option<Manifest>,
    /// Every object that was rendered, deleted ones that still exist included.
    pub objects: BTreeMap<ObjectId, Compiled>,
}

/// What became of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compiled {
    /// `metadata.generation` that was rendered.
    pub generation: i64,
    /// sha256 of its entry, 16 lower-case hex digits; `None` = the bundle has no entry of it.
    pub digest: Option<String>,
    /// Version of the bundle in which the entry became what it is, or vanished.
    pub since: u64,
    /// Why it, or parts of it, are left out.
    pub problems: Vec<Problem>,
    /// What is served, but perhaps not as meant.
    pub warnings: Vec<Problem>,
}

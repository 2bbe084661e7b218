//! Compiles objects to contents: total, deterministic, and each object by itself as far as possible.
//!
//! ```text
//!  each object alone ──▶ entry or problems ──▶ what only several can decide, the oldest object first
//!                                              ├─ models: names and aliases, Cluster visibility, loops of routes,
//!                                              │          what they say of each other
//!                                              ├─ keys: one hash, one owner
//!                                              └─ models without a price where money is limited
//! ```
//! An object that cannot be compiled still holds its names and hashes, so that no other one changes because of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    entry::{Backend, Contents, CredentialEntry, ObjectRef},
    objects::{Objects, Settings},
    problem::{ObjectKind, Problem, Report},
};

mod budgets;
mod credentials;
mod engine;
mod identity;
mod keys;
mod limits;
mod links;
mod models;
mod names;
mod policy;
mod provider;
mod references;
mod resilience;
mod routes;
mod secrets;
mod unpriced;

pub use limits::key_budget;

/// What objects compile to.
#[derive(Clone, Debug, Default)]
pub struct Rendered {
    /// To serve from.
    pub contents: Contents,
    /// Why objects, or parts of them, were left out; sorted.
    pub problems: Vec<Problem>,
    /// What is served but perhaps not as meant; sorted.
    pub warnings: Vec<Problem>,
}

/// What the whole compilation reads.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) objects: &'a Objects,
    pub(crate) settings: &'a Settings,
    /// Names of all models.
    pub(crate) models: &'a BTreeSet<ObjectRef>,
    /// Names of all budgets.
    pub(crate) budgets: &'a BTreeSet<ObjectRef>,
}

/// Compiles objects. The order of the input does not matter.
pub fn render(objects: &Objects, settings: &Settings) -> Rendered {
    let (names, budgets) = (names_of(&objects.models), names_of(&objects.budgets));
    let context = Context { objects, settings, models: &names, budgets: &budgets };
    let mut rendered = Rendered::default();
    let models = models::render(context, &mut rendered);
    rendered.contents.keys = keys::render(context, &mut rendered);
    rendered.contents.budgets = budgets::render(context, &mut rendered);
    rendered.contents.credentials = named_credentials(&models);
    rendered.contents.models = models.into_iter().map(|model| model.entry).collect();
    unpriced::report(&mut rendered);
    rendered.problems.sort();
    rendered.problems.dedup();
    rendered.warnings.sort();
    rendered.warnings.dedup();
    rendered
}

fn names_of<K: kube::Resource>(objects: &[Arc<K>]) -> BTreeSet<ObjectRef> {
    objects.iter().map(|object| crate::objects::object_ref(object.as_ref())).collect()
}

fn named_credentials(models: &[models::Compiled]) -> BTreeMap<String, CredentialEntry> {
    let entries = models.iter().filter_map(|model| match &model.entry.backend {
        Backend::Provider(_) => model.credential.clone(),
        Backend::Route(_) | Backend::Mock { .. } => None,
    });
    entries.map(|entry| (entry.digest.clone(), entry)).collect()
}

impl Rendered {
    fn take(&mut self, report: Report) {
        self.problems.extend(report.problems);
        self.warnings.extend(report.warnings);
    }
}

/// Objects of one kind by age, the oldest first, each once.
fn by_age<'a, K: kube::Resource>(
    objects: &'a [Arc<K>],
    kind: ObjectKind,
    rendered: &mut Rendered,
) -> Vec<(ObjectRef, &'a K)> {
    let mut sorted: Vec<(i64, ObjectRef, &K)> = objects
        .iter()
        .map(|object| {
            let object = object.as_ref();
            (crate::objects::created(object), crate::objects::object_ref(object), object)
        })
        .collect();
    sorted.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    let mut seen = BTreeSet::new();
    let mut distinct = Vec::with_capacity(sorted.len());
    for (_, object, resource) in sorted {
        if object.name.is_empty() {
            let mut report = Report::new(kind, object);
            report.invalid("metadata.name", "the object has no name", "set metadata.name");
            rendered.take(report);
        } else if seen.insert(object.clone()) {
            distinct.push((object, resource));
        } else {
            let mut report = Report::new(kind, object);
            report.invalid(
                "metadata.name",
                "there are two objects of this kind and name",
                "rename or remove one of them",
            );
            rendered.take(report);
        }
    }
    distinct
}

//! Objects that are in no file: made over the admin API, served like those of the folder, and never in place of one of them.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;
use turnpike_bundle::{Contents, Problem, Settings, problem::ObjectId, render};
use turnpike_console::store::{self, Catalog, Change, Held, Origin, StoreError};
use turnpike_crds::{Reason, violations};

use super::{Directory, manifests::Object};

impl Directory {
    /// The same with objects that are in no file.
    #[must_use]
    pub fn with(mut self, objects: Vec<store::Object>) -> Self {
        self.beside = objects.into_iter().map(|object| (object.id(), known(object))).collect();
        self
    }

    /// Makes changes to them, for the next look at the folder.
    pub fn make(&mut self, changes: Vec<Change>) {
        apply(changes, &mut self.beside);
    }

    /// Whether changes would be served as they are meant.
    ///
    /// # Errors
    /// The first fault of one of their objects.
    pub fn trial(&self, changes: &[Change]) -> Result<(), StoreError> {
        let after = || changes.iter().filter_map(|change| change.after.as_ref());
        for object in after() {
            schema(object)?;
        }
        let mut objects = self.good.clone();
        apply(changes.to_vec(), &mut objects);
        let rendered = render(&super::objects(&objects, &self.secrets), &Settings::standalone());
        let fault = rendered.problems.into_iter().find(|problem| after().any(|object| object.id() == problem.object));
        match fault {
            None => Ok(()),
            Some(Problem { field, message, next_step, .. }) => Err(StoreError::Refused { field, message, next_step }),
        }
    }

    /// Keys and budgets that are served, and from where.
    pub fn catalog(&self, contents: Arc<Contents>) -> Catalog {
        let mut catalog = Catalog { contents, ..Catalog::default() };
        let origins = self.origins();
        for (id, object) in &self.good {
            let origin = origins.get(id).map_or(Origin::Api, |file| Origin::File((*file).to_owned()));
            match object {
                Object::Key(key) => catalog.keys.push(Held { resource: Arc::clone(key), origin }),
                Object::Budget(budget) => catalog.budgets.push(Held { resource: Arc::clone(budget), origin }),
                Object::Model(_) | Object::Secret(_) => {}
            }
        }
        catalog
    }

    /// The file of each object that is in one, the first of several.
    fn origins(&self) -> BTreeMap<&ObjectId, &str> {
        let mut origins = BTreeMap::new();
        for (file, known) in &self.files {
            for item in &known.items {
                origins.entry(&item.id).or_insert(file.as_str());
            }
        }
        origins
    }

    pub(super) fn add_beside(&self, current: &mut BTreeMap<ObjectId, Object>, warnings: &mut Vec<Problem>) {
        let origins = self.origins();
        for (id, object) in &self.beside {
            match origins.get(id) {
                None => {
                    current.insert(id.clone(), object.clone());
                }
                Some(file) => warnings.push(Problem {
                    object: id.clone(),
                    field: "metadata.name".to_owned(),
                    reason: Reason::Invalid,
                    message: format!("the admin API made an object of this name too; the one in {file} is served"),
                    next_step: "rename one of the two".to_owned(),
                }),
            }
        }
    }
}

fn known(object: store::Object) -> Object {
    match object {
        store::Object::Key(key) => Object::Key(key),
        store::Object::Budget(budget) => Object::Budget(budget),
    }
}

fn apply(changes: Vec<Change>, objects: &mut BTreeMap<ObjectId, Object>) {
    for Change { before, after } in changes {
        match (after, before) {
            (Some(object), _) => {
                objects.insert(object.id(), known(object));
            }
            (None, Some(object)) => {
                objects.remove(&object.id());
            }
            (None, None) => {}
        }
    }
}

/// What an API server would refuse.
fn schema(object: &store::Object) -> Result<(), StoreError> {
    let value = match object {
        store::Object::Key(key) => serde_json::to_value(key.as_ref()),
        store::Object::Budget(budget) => serde_json::to_value(budget.as_ref()),
    };
    let found = violations(&value.unwrap_or(Value::Null), object.id().kind.as_str());
    match found.into_iter().next() {
        None => Ok(()),
        Some(violation) => Err(StoreError::Refused {
            field: violation.path,
            message: violation.message,
            next_step: "correct it".to_owned(),
        }),
    }
}

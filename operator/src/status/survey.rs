//! Every object whose status is not what it should be.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::{ResourceExt, core::object::HasStatus};
use serde::Serialize;
use turnpike_bundle::{
    entry::ObjectRef,
    problem::{ObjectId, ObjectKind},
};
use turnpike_crds::{
    Budget, ModelDeployment, ObjectMeta, VirtualKey, budget::BudgetStatus, model_deployment::ModelDeploymentStatus,
    virtual_key::VirtualKeyStatus,
};

use super::{Desired, View, budget, condition::Waiting, earlier, event::Side, model_deployment, virtual_key};
use crate::publish::Compiled;

/// A status of any kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Status {
    /// Of a `ModelDeployment`.
    Model(ModelDeploymentStatus),
    /// Of a `VirtualKey`.
    Key(VirtualKeyStatus),
    /// Of a `Budget`.
    Budget(BudgetStatus),
}

/// A status that was written and that the watch has not shown yet.
#[derive(Clone, Debug)]
pub struct Written {
    /// `metadata.resourceVersion` that the write made.
    pub version: u64,
    /// `metadata.uid` of the object.
    pub uid: Option<String>,
    /// What was written.
    pub status: Status,
}

/// What was written lately, by object.
pub type Known = BTreeMap<ObjectId, Written>;

/// A status to be written.
#[derive(Clone, Debug)]
pub struct Draft {
    /// `metadata.uid` of the object.
    pub uid: Option<String>,
    /// `metadata.generation` of the object.
    pub generation: i64,
    /// The status that it has.
    pub before: Option<Status>,
    /// The status that it should have.
    pub after: Status,
    /// Nothing but what was spent differs.
    pub figures_only: bool,
    /// What a better one waits for.
    pub waiting: Option<Waiting>,
    /// What the object compiled to.
    pub compiled: Compiled,
}

/// What one look at everything found.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// By object.
    pub drafts: BTreeMap<ObjectId, Draft>,
    /// When something will be another with nothing else changed.
    pub next: Option<Timestamp>,
}

/// The fields that all three statuses have.
macro_rules! side {
    ($status:expr) => {
        Side {
            generation: $status.observed_generation,
            conditions: &$status.conditions,
            programmed: $status.programmed.as_ref(),
            budget: None,
        }
    };
}

impl Status {
    /// What events are made from.
    pub fn side(&self) -> Side<'_> {
        match self {
            Self::Model(status) => side!(status),
            Self::Key(status) => side!(status),
            Self::Budget(status) => Side { budget: Some(status), ..side!(status) },
        }
    }
}

/// Looks at every object.
pub fn survey(view: View<'_>, known: &Known) -> Survey {
    let mut survey = Survey::default();
    for (object, model) in &view.world.models {
        survey.look(view, known, object, model.as_ref());
    }
    for (object, key) in &view.world.keys {
        survey.look(view, known, object, key.as_ref());
    }
    for (object, budget) in &view.world.budgets {
        survey.look(view, known, object, budget.as_ref());
    }
    survey
}

impl Survey {
    fn look<K: Described>(&mut self, view: View<'_>, known: &Known, object: &ObjectRef, resource: &K) {
        let metadata = resource.meta();
        // What is being deleted is not judged any more.
        if metadata.deletion_timestamp.is_some() {
            return;
        }
        let id = ObjectId { kind: K::KIND, object: object.clone() };
        // Nor what cannot be read: an event says so.
        if view.world.unreadable.contains_key(&id) {
            return;
        }
        let written = known.get(&id).filter(|written| written.is_ahead_of(metadata)).map(|written| &written.status);
        let before = written.and_then(K::unwrap).or_else(|| resource.status());
        let Some(desired) = resource.desired(view, object, before) else { return };
        self.next = earlier(self.next, desired.next);
        if before == Some(&desired.status) {
            return;
        }
        let Some(compiled) = view.published.objects.get(&id) else { return };
        let draft = Draft {
            uid: metadata.uid.clone(),
            generation: compiled.generation,
            before: before.cloned().map(K::wrap),
            after: K::wrap(desired.status),
            figures_only: desired.figures_only,
            waiting: desired.waiting,
            compiled: compiled.clone(),
        };
        self.drafts.insert(id, draft);
    }
}

impl Written {
    /// Whether the watch has yet to show it.
    pub fn is_ahead_of(&self, metadata: &ObjectMeta) -> bool {
        let shown = metadata.resource_version.as_ref().and_then(|version| version.parse::<u64>().ok());
        self.uid == metadata.uid && shown.is_some_and(|shown| shown < self.version)
    }
}

/// What the three kinds are to this module.
trait Described: ResourceExt + HasStatus<Status: Clone + PartialEq> {
    const KIND: ObjectKind;
    fn desired(
        &self,
        view: View<'_>,
        object: &ObjectRef,
        before: Option<&Self::Status>,
    ) -> Option<Desired<Self::Status>>;
    fn wrap(status: Self::Status) -> Status;
    fn unwrap(status: &Status) -> Option<&Self::Status>;
}

macro_rules! described {
    ($($kind:ident: $variant:ident, $module:ident;)+) => {$(
        impl Described for $kind {
            const KIND: ObjectKind = ObjectKind::$kind;

            fn desired(
                &self,
                view: View<'_>,
                object: &ObjectRef,
                before: Option<&Self::Status>,
            ) -> Option<Desired<Self::Status>> {
                $module::desired(view, object, self, before)
            }

            fn wrap(status: Self::Status) -> Status {
                Status::$variant(status)
            }

            fn unwrap(status: &Status) -> Option<&Self::Status> {
                match status {
                    Status::$variant(status) => Some(status),
                    _ => None,
                }
            }
        }
    )+};
}

described! {
    ModelDeployment: Model, model_deployment;
    VirtualKey: Key, virtual_key;
    Budget: Budget, budget;
}

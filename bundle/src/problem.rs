//! What is wrong with an object, said so that its author can act: object, field, reason, message, next step.

use serde::Serialize;
use turnpike_crds::Reason;

use crate::entry::ObjectRef;

/// Where faults can lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum ObjectKind {
    /// A model.
    ModelDeployment,
    /// A client key.
    VirtualKey,
    /// A budget.
    Budget,
    /// A Secret in a folder of manifests.
    Secret,
    /// A manifest's file, as a whole; it has no namespace and its name is the file's.
    File,
}

impl ObjectKind {
    /// As in manifests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ModelDeployment => "ModelDeployment",
            Self::VirtualKey => "VirtualKey",
            Self::Budget => "Budget",
            Self::Secret => "Secret",
            Self::File => "File",
        }
    }
}

/// An object of any kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ObjectId {
    /// Its kind.
    pub kind: ObjectKind,
    /// Namespace and name.
    #[serde(flatten)]
    pub object: ObjectRef,
}

impl std::fmt::Display for ObjectId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.object.namespace.as_str() {
            "" => write!(f, "{} {}", self.kind.as_str(), self.object.name),
            _ => write!(f, "{} {}", self.kind.as_str(), self.object),
        }
    }
}

/// One fault of one object. Display is one line for a log or a terminal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Whose fault it is.
    pub object: ObjectId,
    /// Path of the field, such as `spec.provider.baseURL`; within a file, its document and line.
    pub field: String,
    /// The condition's reason.
    pub reason: Reason,
    /// What is wrong, without a full stop. Never holds a secret.
    pub message: String,
    /// What to do about it.
    pub next_step: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { object, field, reason, message, next_step } = self;
        write!(f, "{object}: {field}: {message} ({reason}); {next_step}")
    }
}

/// A part cannot be compiled; its problem is in the report already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reported;

/// Collects the problems and warnings of one object while it is compiled.
#[derive(Debug)]
pub(crate) struct Report {
    object: ObjectId,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Problem>,
}

impl Report {
    pub(crate) fn new(kind: ObjectKind, object: ObjectRef) -> Self {
        Self { object: ObjectId { kind, object }, problems: Vec::new(), warnings: Vec::new() }
    }

    /// Something is left out because of this.
    pub(crate) fn problem(
        &mut self,
        field: impl Into<String>,
        reason: Reason,
        message: impl Into<String>,
        next_step: impl Into<String>,
    ) {
        let problem = self.entry(field.into(), reason, message.into(), next_step.into());
        self.problems.push(problem);
    }

    /// A field's value is wrong.
    pub(crate) fn invalid(
        &mut self,
        field: impl Into<String>,
        message: impl Into<String>,
        next_step: impl Into<String>,
    ) {
        self.problem(field, Reason::Invalid, message, next_step);
    }

    /// All is compiled, but not as its author may think.
    pub(crate) fn warn(
        &mut self,
        field: impl Into<String>,
        reason: Reason,
        message: impl Into<String>,
        next_step: impl Into<String>,
    ) {
        let warning = self.entry(field.into(), reason, message.into(), next_step.into());
        self.warnings.push(warning);
    }

    fn entry(&self, field: String, reason: Reason, message: String, next_step: String) -> Problem {
        Problem { object: self.object.clone(), field, reason, message, next_step }
    }
}

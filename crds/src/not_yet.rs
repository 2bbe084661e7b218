//! Fields that the schema has and this version does nothing with: using one yields a warning that names it.
//!
//! A row goes when its behaviour arrives; the list ends empty.

pub mod policy;

use std::fmt;

use serde_json::Value;

/// A field in use that does nothing yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotYet {
    /// Path of the field in the manifest, such as `spec.price.gpuHour`.
    pub path: &'static str,
    /// What the field is part of, as a noun phrase.
    pub capability: &'static str,
}

impl fmt::Display for NotYet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has no effect in this version: {} is not there yet", self.path, self.capability)
    }
}

/// Of one kind, as named in manifests.
struct Row {
    kind: &'static str,
    field: NotYet,
}

const fn model(path: &'static str, capability: &'static str) -> Row {
    Row { kind: "ModelDeployment", field: NotYet { path, capability } }
}

const ROWS: &[Row] = &[model("spec.price.gpuHour", "the cost of engines")];

/// Every field of `object` that is in use and does nothing yet; none for a kind that is not ours.
pub fn not_yet(object: &Value, kind: &str) -> Vec<NotYet> {
    let of_kind = ROWS.iter().filter(|row| row.kind == kind).map(|row| row.field);
    of_kind.filter(|field| in_use(object, field.path)).collect()
}

/// Kind and path of every field without effect, for documents and tests.
pub fn paths() -> impl Iterator<Item = (&'static str, &'static str)> {
    ROWS.iter().map(|row| (row.kind, row.field.path))
}

/// Also where it is empty: an empty object asks for its defaults.
fn in_use(object: &Value, path: &str) -> bool {
    path.split('.').try_fold(object, |value, name| value.get(name)).is_some_and(|value| !value.is_null())
}

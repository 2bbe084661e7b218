//! Fields that the schema has and this version does nothing with: using one yields a warning that names it.

use serde_json::Value;

/// A field in use that does nothing yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotYet {
    /// Path of the field in the manifest, such as `spec.limits`.
    pub path: String,
    /// What it will do, as a noun phrase.
    pub capability: &'static str,
}
/// TBD
pub fn not_yet(_: &Value, _: &str) -> Vec<NotYet> {
    Vec::new()
}

//! Fields that the schema has and this version does nothing with: using one yields a warning that names it.
//!
//! A row goes when its behaviour arrives; the list ends empty.

pub mod policy;

use std::fmt;

use serde_json::Value;

/// A field in use that does nothing yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotYet {
    /// Path of the field in the manifest, such as `spec.route.targets[1].tags`.
    pub path: String,
    /// What the field is part of, as a noun phrase.
    pub capability: &'static str,
}

impl fmt::Display for NotYet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has no effect in this version: {} is not there yet", self.path, self.capability)
    }
}

/// A field without behaviour.
struct Row {
    kind: &'static str,
    /// Field names joined by `.`; `[]` after a name means every item of the list.
    path: &'static str,
    /// The one value that already does what it says, as it stands in a manifest; empty if none does.
    works: &'static str,
    capability: &'static str,
}

const fn model(path: &'static str, works: &'static str, capability: &'static str) -> Row {
    Row { kind: "ModelDeployment", path, works, capability }
}

const ROWS: &[Row] = &[
    model("spec.vllm", "", "running engines in the cluster"),
    model("spec.route.strategy", "Weighted", "choosing a target by anything but weights"),
    model("spec.route.stickyBy", "None", "keeping a caller on one target"),
    model("spec.route.targets[].tags", "", "routing by tag"),
    model("spec.route.complexity", "", "choosing a target by the prompt"),
    model("spec.route.mirror", "", "mirroring requests"),
    model("spec.route.hedge", "", "hedging requests"),
    model("spec.tags", "", "routing by tag"),
    model("spec.poolStrategy", "Weighted", "choosing within a pool by anything but weights"),
    model("spec.price.gpuHour", "", "the cost of engines"),
    model("spec.retry", "", "retrying"),
    model("spec.fallbacks", "", "falling back to another model"),
    model("spec.health", "", "health checking"),
];

/// Every field of `object` that is in use and does nothing yet; none for a kind that is not ours.
pub fn not_yet(object: &Value, kind: &str) -> Vec<NotYet> {
    let mut found = Vec::new();
    for row in ROWS.iter().filter(|row| row.kind == kind) {
        visit(object, row.path, String::new(), row, &mut found);
    }
    found
}

/// Kind and path of every field without effect, for documents and tests; `[]` after a name means every item of the list.
pub fn paths() -> impl Iterator<Item = (&'static str, &'static str)> {
    ROWS.iter().map(|row| (row.kind, row.path))
}

fn visit(value: &Value, rest: &str, path: String, row: &Row, found: &mut Vec<NotYet>) {
    if rest.is_empty() {
        if in_use(value, row.works) {
            found.push(NotYet { path, capability: row.capability });
        }
        return;
    }
    let (step, rest) = rest.split_once('.').unwrap_or((rest, ""));
    let (name, every) = step.strip_suffix("[]").map_or((step, false), |name| (name, true));
    let Some(value) = value.get(name) else { return };
    let dot = if path.is_empty() { "" } else { "." };
    let path = format!("{path}{dot}{name}");
    if !every {
        return visit(value, rest, path, row, found);
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        visit(item, rest, format!("{path}[{index}]"), row, found);
    }
}

fn in_use(value: &Value, works: &str) -> bool {
    match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::String(text) => text != works,
        Value::Bool(flag) => flag.to_string() != works,
        // Also when empty: `aws: {}` asks for the workload's own identity.
        Value::Number(_) | Value::Object(_) => true,
    }
}

//! Tests of the resource types, their generated CRDs and the helpers beside them; one binary, a module for each behaviour.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed assumption should fail the test"
)]

mod checks;
mod generated;
mod manifests;
mod scopes;
mod values;
mod windows;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use serde_json::Value;

static SCHEMAS: LazyLock<Vec<(String, Value)>> = LazyLock::new(|| {
    turnpike_crds::all()
        .into_iter()
        .map(|crd| {
            let version = crd.spec.versions.into_iter().next().unwrap();
            let schema = version.schema.unwrap().open_api_v3_schema.unwrap();
            (crd.spec.names.kind, serde_json::to_value(schema).unwrap())
        })
        .collect()
});

/// The generated openAPIV3Schema of each kind.
fn schemas() -> impl Iterator<Item = (String, &'static Value)> {
    SCHEMAS.iter().map(|(kind, schema)| (kind.clone(), schema))
}

fn schema_of(kind: &str) -> &'static Value {
    schemas().find(|(name, _)| name == kind).unwrap().1
}

/// Calls `seen` with the path and the schema of every place in a schema, the root first.
fn walk(path: &str, schema: &Value, seen: &mut impl FnMut(&str, &Value)) {
    seen(path, schema);
    for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        walk(&format!("{path}.{name}"), property, seen);
    }
    for (name, suffix) in [("items", "[]"), ("additionalProperties", "{}")] {
        if let Some(inner) = schema.get(name) {
            walk(&format!("{path}{suffix}"), inner, seen);
        }
    }
}

/// The YAML files of a folder below `tests`, sorted by name.
fn files(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path, text)
        })
        .collect()
}

/// Compares with the snapshot of that name in `tests/golden`.
fn golden(name: &str, value: &[String]) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("golden");
    settings.set_prepend_module_to_snapshot(false);
    settings.bind(|| insta::assert_json_snapshot!(name, value));
}

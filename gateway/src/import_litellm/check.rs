//! What a gateway would say of the result: it is compiled as a folder of manifests is, with secrets that are not there.

use std::{collections::BTreeMap, sync::Arc};

use turnpike_bundle::{Objects, Problem, Secret, Settings, entry::ObjectRef, objects::Value, render};

use jiff::Timestamp;
use serde::Serialize;
use turnpike_crds::{Time, Violation, VirtualKey, violations};

use super::{
    Imported,
    notes::{Note, Outcome},
    secrets::SECRET,
};

/// Stands in for every secret.
const ANY_SECRET: &str = "sk-0123456789abcdef0123456789abcdef";
/// Where objects are that name no namespace.
const DEFAULT_NAMESPACE: &str = "default";

/// What is not served as it is written, and what costs an unknown price.
pub(super) fn notes(imported: &Imported) -> Vec<Note> {
    let rendered = render(&objects(imported), &Settings::standalone());
    // A key file that stands in for a real one cannot be read.
    let is_ours = |problem: &&Problem| !problem.field.starts_with("spec.provider.credentials");
    let of_bundle = rendered.problems.iter().chain(&rendered.warnings).filter(is_ours).map(note);
    let models = imported.models.iter().flat_map(|object| refused(object, "ModelDeployment"));
    let keys = imported.keys.iter().flat_map(|object| refused(object, "VirtualKey"));
    let budgets = imported.budgets.iter().flat_map(|object| refused(object, "Budget"));
    of_bundle.chain(models).chain(keys).chain(budgets).collect()
}

/// What an API server would refuse.
fn refused(object: &impl Serialize, kind: &str) -> Vec<Note> {
    let written = serde_json::to_value(object).unwrap_or_default();
    let name = written.pointer("/metadata/name").and_then(serde_json::Value::as_str).unwrap_or_default();
    let of = |violation: Violation| Note {
        path: format!("{kind} {name}: {}", violation.path),
        outcome: Outcome::Hand,
        text: format!("{}; an API server would refuse it: correct it", violation.message),
    };
    violations(&written, kind).into_iter().map(of).collect()
}

fn note(problem: &Problem) -> Note {
    Note {
        path: format!("{}: {}", problem.object, problem.field),
        outcome: Outcome::Hand,
        text: format!("{}; {}", problem.message, problem.next_step),
    }
}

fn objects(imported: &Imported) -> Objects {
    let namespace = imported.namespace.clone().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
    let of = |name: &str| ObjectRef { namespace: namespace.clone(), name: name.to_owned() };
    let plain = |key: &str| (key.to_owned(), Value::Plain(ANY_SECRET.into()));
    let credentials = Secret { data: imported.secrets.keys().map(plain).collect(), ..Secret::default() };
    let mut secrets = BTreeMap::from([(of(SECRET), Arc::new(credentials))]);
    for key in &imported.keys {
        let (Some(generate), Some(name)) = (&key.spec.generate, &key.metadata.name) else { continue };
        let data = BTreeMap::from([(generate.secret_key.clone(), Value::digested(ANY_SECRET.as_bytes()))]);
        let minted = Secret { data, minted_for: Some(of(name)), ..Secret::default() };
        secrets.insert(of(generate.secret_name.as_deref().unwrap_or(name)), Arc::new(minted));
    }
    Objects {
        models: imported.models.iter().cloned().map(Arc::new).collect(),
        keys: imported.keys.iter().cloned().map(made).map(Arc::new).collect(),
        budgets: imported.budgets.iter().cloned().map(Arc::new).collect(),
        secrets,
        ..Objects::default()
    }
}

/// As an object that somebody has made, whenever that will be.
fn made(mut key: VirtualKey) -> VirtualKey {
    key.metadata.creation_timestamp.get_or_insert(Time(Timestamp::UNIX_EPOCH));
    key
}

//! Golden cases: `golden/<case>/in.yaml` to contents, problems and warnings.

use std::{fs, path::Path};

use serde::Serialize;
use turnpike_bundle::{Contents, render};

use crate::manifests;

#[derive(Serialize)]
struct View<'a> {
    models: &'a [turnpike_bundle::entry::ModelEntry],
    keys: &'a [turnpike_bundle::entry::KeyEntry],
    budgets: &'a [turnpike_bundle::entry::BudgetEntry],
    credentials: Vec<&'a turnpike_bundle::entry::CredentialEntry>,
    problems: Vec<String>,
    warnings: Vec<String>,
}

#[test]
fn cases_compile_to_their_snapshots() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut cases: Vec<_> = fs::read_dir(&golden).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 15, "only {} cases", cases.len());
    for case in cases {
        let (objects, settings) = manifests::read(&fs::read_to_string(case.join("in.yaml")).unwrap());
        let rendered = render(&objects, &settings);
        let Contents { models, keys, budgets, credentials, endpoints } = &rendered.contents;
        assert_eq!(endpoints, &[], "objects say nothing of them");
        let view = View {
            models,
            keys,
            budgets,
            credentials: credentials.values().collect(),
            problems: rendered.problems.iter().map(ToString::to_string).collect(),
            warnings: rendered.warnings.iter().map(ToString::to_string).collect(),
        };
        insta::with_settings!({ snapshot_path => &case, prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_yaml_snapshot!("out", view);
        });
    }
}

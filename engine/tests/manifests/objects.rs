//! Whole engines, as they go to the API server.

use std::{fs, path::Path};

use serde_json::Value;
use turnpike_engine::{Settings, children::children};

use crate::models::{engine, model, settings};

/// Every case of the folder; the test of the manifests' schemas reads what comes out.
#[test]
fn engines() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut cases = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        cases += 1;
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let settings = Settings {
            pod_monitor: text.contains("# with PodMonitor"),
            monitoring_peers: serde_json::from_value(serde_json::json!([
                {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
            ]))
            .unwrap(),
            ..settings()
        };
        let made = documents(&children(&model(&text), &settings).unwrap());
        insta::with_settings!({ snapshot_path => &folder, prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name, made);
        });
    }
    assert!(cases > 0, "no cases in {}", folder.display());
}

/// Deployment tools would take children for their own that have the labels by which they know theirs.
#[test]
fn owners_labels_stay_with_the_owner() {
    let made = documents(&children(&engine("source: {huggingFace: {repo: a/b}}"), &settings()).unwrap());
    assert!(!made.contains("theirs"), "{made}");
}

fn documents(made: &turnpike_engine::children::Children) -> String {
    let mut all: Vec<Value> = vec![
        serde_json::to_value(&made.service_account).unwrap(),
        serde_json::to_value(&made.deployment).unwrap(),
        serde_json::to_value(&made.service).unwrap(),
    ];
    all.extend(made.claim.as_ref().map(|claim| serde_json::to_value(claim).unwrap()));
    all.extend(made.fetch.as_ref().map(|job| serde_json::to_value(job).unwrap()));
    all.push(serde_json::to_value(&made.disruption_budget).unwrap());
    all.push(serde_json::to_value(&made.network_policy).unwrap());
    all.extend(made.pod_monitor.as_ref().map(|monitor| serde_json::to_value(monitor).unwrap()));
    let documents: Vec<String> = all.iter().map(|object| serde_saphyr::to_string(object).unwrap()).collect();
    documents.join("---\n")
}

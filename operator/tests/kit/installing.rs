//! Which CRDs `install-crds` applies.

use serde_json::{Value, json};
use turnpike_operator::install;

use crate::server::{self, Seen};

/// The CRD in the cluster, served, with a version.
fn served(seen: &Seen, version: &str) -> Value {
    let plural =
        ["modeldeployments", "virtualkeys", "budgets"].into_iter().find(|one| seen.line.contains(one)).unwrap();
    let crd = turnpike_crds::all().into_iter().find(|crd| crd.spec.names.plural == plural).unwrap();
    let mut crd = serde_json::to_value(crd).unwrap();
    crd["metadata"]["annotations"]["turnpike.dev/crd-version"] = json!(version);
    crd["metadata"]["resourceVersion"] = json!("1");
    crd["status"] = json!({ "conditions": [
        { "type": "Established", "status": "True", "reason": "a", "message": "b", "lastTransitionTime": "2026-01-01T00:00:00Z" },
    ]});
    crd
}

/// Answers for a cluster whose CRDs have a version; `None` = there are none.
fn cluster(seen: &Seen, version: Option<&str>) -> (u16, Value) {
    if seen.line.starts_with("GET /apis/apiextensions.k8s.io/v1/customresourcedefinitions?") {
        let list = json!({
            "kind": "CustomResourceDefinitionList", "apiVersion": "apiextensions.k8s.io/v1",
            "metadata": { "resourceVersion": "1" }, "items": [served(seen, "1")],
        });
        return (200, list);
    }
    match version {
        None if seen.line.starts_with("GET") => server::refusal(404, "NotFound"),
        version => (200, served(seen, version.unwrap_or("1"))),
    }
}

/// Names of the CRDs that were applied.
async fn applied(version: Option<&'static str>) -> Vec<String> {
    let (client, log) = server::client(move |seen| cluster(seen, version));
    install::run(&client).await.unwrap();
    let log = log.lock().unwrap();
    let patches: Vec<_> = log.iter().filter(|seen| seen.line.starts_with("PATCH")).collect();
    for patch in &patches {
        assert!(patch.line.ends_with("?&force=true&fieldManager=turnpike-operator"), "{}", patch.line);
        assert_eq!(patch.content, "application/apply-patch+yaml");
        assert_eq!(patch.body["metadata"]["annotations"]["turnpike.dev/crd-version"], turnpike_crds::CRD_VERSION);
    }
    patches.iter().map(|seen| seen.body["spec"]["names"]["plural"].as_str().unwrap().to_owned()).collect()
}

const ALL: [&str; 3] = ["modeldeployments", "virtualkeys", "budgets"];

#[tokio::test]
async fn crds_that_are_missing_older_or_the_same_are_applied() {
    assert_eq!(applied(None).await, ALL);
    assert_eq!(applied(Some("0")).await, ALL);
    assert_eq!(applied(Some("no number")).await, ALL);
    assert_eq!(applied(Some(turnpike_crds::CRD_VERSION)).await, ALL);
}

#[tokio::test]
async fn a_newer_crd_stays() {
    assert!(applied(Some("1000")).await.is_empty());
}

#[tokio::test]
async fn a_refusal_is_named() {
    let (client, _) = server::client(|_| server::refusal(403, "Forbidden"));
    let error = install::run(&client).await.unwrap_err().to_string();
    assert_eq!(error, "the CRD modeldeployments.turnpike.dev cannot be applied");
}

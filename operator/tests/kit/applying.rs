//! What a server-side apply looks like on the wire, and what is counted.

use k8s_openapi::{
    api::core::v1::ConfigMap,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use serde_json::json;
use turnpike_operator::kit::apply::{apply, apply_status, stamp};

use crate::server;

fn map() -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some("a".to_owned()),
            namespace: Some("llm".to_owned()),
            uid: Some("u1".to_owned()),
            ..ObjectMeta::default()
        },
        data: Some([("k".to_owned(), "v".to_owned())].into()),
        ..ConfigMap::default()
    }
}

#[tokio::test]
async fn an_object_is_applied_with_force_by_the_instances_manager_and_marked_as_ours() {
    let (client, log) = server::client(|seen| (200, seen.body.clone()));
    let (mut context, _writer) = server::context(client);
    context.root =
        Some(OwnerReference { name: "trial-root".to_owned(), uid: "r".to_owned(), ..OwnerReference::default() });
    let mut object = map();
    stamp(&context, &mut object);
    apply(&context, &object).await.unwrap();
    let seen = log.lock().unwrap()[0].clone();
    assert_eq!(seen.line, "PATCH /api/v1/namespaces/llm/configmaps/a?&force=true&fieldManager=trial-operator");
    assert_eq!(seen.content, "application/apply-patch+yaml");
    assert_eq!(
        seen.body["metadata"]["labels"],
        json!({ "app.kubernetes.io/managed-by": "turnpike-operator", "turnpike.dev/instance": "trial" })
    );
    assert_eq!(seen.body["metadata"]["ownerReferences"][0]["uid"], "r");
    let text = context.metrics.render().unwrap();
    assert!(text.contains(r#"turnpike_operator_writes_total{kind="ConfigMap",outcome="ok",verb="apply"} 1"#), "{text}");
}

#[tokio::test]
async fn a_status_is_applied_alone_and_only_to_the_object_with_that_uid() {
    let (client, log) = server::client(|_| server::refusal(409, "Conflict"));
    let (context, _writer) = server::context(client);
    apply_status(&context, &map(), &json!({ "phase": "x" })).await.unwrap_err();
    let seen = log.lock().unwrap()[0].clone();
    assert!(seen.line.starts_with("PATCH /api/v1/namespaces/llm/configmaps/a/status?"), "{}", seen.line);
    assert_eq!(
        seen.body,
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a", "uid": "u1" }, "status": { "phase": "x" },
        })
    );
    let text = context.metrics.render().unwrap();
    assert!(text.contains(r#"{kind="ConfigMap",outcome="conflict",verb="apply_status"} 1"#), "{text}");
}

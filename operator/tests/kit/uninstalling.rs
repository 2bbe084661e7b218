//! `release-finalizers`: the operator is stopped first, then every key is let go.

use std::{
    collections::BTreeSet,
    sync::Arc,
    sync::atomic::{AtomicUsize, Ordering},
};

use kube::Client;
use serde_json::{Value, json};
use turnpike_operator::{settings::Settings, uninstall};

use crate::server::{self, Log, Seen};

const OURS: &str = "trial.turnpike.dev/revocation";

async fn run(client: Client, namespaces: &[&str]) -> Result<(), uninstall::UninstallError> {
    let (context, _writer) = server::context(client.clone());
    let watch_namespaces: BTreeSet<String> = namespaces.iter().map(|&name| name.to_owned()).collect();
    let settings = Settings { watch_namespaces, ..(*context.settings).clone() };
    uninstall::run(&client, &context.names, &settings).await
}

fn key(name: &str, finalizers: &[&str]) -> Value {
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": { "name": name, "namespace": "a", "uid": format!("uid-{name}"), "finalizers": finalizers },
    })
}

fn list(items: &[Value], next: &str) -> (u16, Value) {
    (
        200,
        json!({
            "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": { "continue": next }, "items": items,
        }),
    )
}

fn scale() -> (u16, Value) {
    (200, json!({ "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {}, "spec": {} }))
}

fn lines(log: &Log) -> Vec<String> {
    log.lock().unwrap().iter().map(|seen| seen.line.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn the_operator_has_ended_before_any_key_is_touched() {
    let looks = Arc::new(AtomicUsize::new(0));
    let (client, log) = server::client(move |seen: &Seen| match seen.line.as_str() {
        line if line.contains("/scale") => scale(),
        line if line.contains("/pods") => {
            let pod = [key("operator-0", &[])];
            list(if looks.fetch_add(1, Ordering::Relaxed) < 2 { &pod } else { &[] }, "")
        }
        line if line.starts_with("PATCH") => (200, key("one", &[])),
        line if line.contains("continue=") => list(&[key("two", &["other", OURS]), key("free", &["other"])], ""),
        _ => list(&[key("one", &[OURS])], "more"),
    });
    run(client, &[]).await.unwrap();
    let seen = lines(&log);
    assert_eq!(seen[0], "PATCH /apis/apps/v1/namespaces/llm/deployments/trial-operator/scale?");
    assert_eq!(log.lock().unwrap()[0].body, json!({ "spec": { "replicas": 0 } }));
    assert!(seen[1..4].iter().all(|line| line.contains(
        "/namespaces/llm/pods?&labelSelector=app.kubernetes.io%2Fcomponent%3Doperator%2Cturnpike.dev%2Finstance%3Dtrial"
    )));
    assert!(seen[4..6].iter().all(|line| line.starts_with("GET /apis/turnpike.dev/v1alpha1/virtualkeys?")), "{seen:?}");
    let patches: Vec<Value> = log.lock().unwrap()[6..].iter().map(|seen| seen.body.clone()).collect();
    assert_eq!(
        patches,
        [
            json!([
                { "op": "test", "path": "/metadata/uid", "value": "uid-one" },
                { "op": "test", "path": "/metadata/finalizers/0", "value": OURS },
                { "op": "remove", "path": "/metadata/finalizers/0" },
            ]),
            json!([
                { "op": "test", "path": "/metadata/uid", "value": "uid-two" },
                { "op": "test", "path": "/metadata/finalizers/1", "value": OURS },
                { "op": "remove", "path": "/metadata/finalizers/1" },
            ]),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_never_ends_does_not_stop_the_uninstall() {
    let (client, log) = server::client(|seen: &Seen| match seen.line.as_str() {
        line if line.contains("/scale") => scale(),
        line if line.contains("/pods") => list(&[key("operator-0", &[])], ""),
        _ => list(&[], ""),
    });
    run(client, &[]).await.unwrap();
    assert!(lines(&log).last().unwrap().contains("/virtualkeys?"));
}

#[tokio::test]
async fn only_watched_namespaces_are_asked() {
    let (client, log) = server::client(|seen: &Seen| match seen.line.as_str() {
        line if line.contains("/scale") => server::refusal(404, "NotFound"),
        _ => list(&[], ""),
    });
    run(client, &["a", "b"]).await.unwrap();
    let asked: Vec<String> =
        lines(&log).into_iter().skip(1).map(|line| line[..line.find('?').unwrap()].to_owned()).collect();
    assert_eq!(asked, ["a", "b"].map(|name| format!("GET /apis/turnpike.dev/v1alpha1/namespaces/{name}/virtualkeys")));
}

#[tokio::test]
async fn a_key_that_changes_meanwhile_is_read_again() {
    let (client, log) = server::client(|seen: &Seen| match seen.line.as_str() {
        line if line.contains("/scale") => server::refusal(404, "NotFound"),
        line if line.starts_with("PATCH") && seen.body[1]["path"] == "/metadata/finalizers/0" => {
            server::refusal(422, "Invalid")
        }
        line if line.starts_with("PATCH") => (200, key("one", &["other"])),
        line if line.contains("/virtualkeys/one") => (200, key("one", &["other", OURS])),
        _ => list(&[key("one", &[OURS])], ""),
    });
    run(client, &[]).await.unwrap();
    assert_eq!(lines(&log).iter().filter(|line| line.starts_with("PATCH /apis/turnpike.dev")).count(), 2);
}

#[tokio::test]
async fn a_key_that_always_changes_is_named_and_one_that_is_gone_is_not() {
    let answer = |gone: bool| {
        move |seen: &Seen| match seen.line.as_str() {
            line if line.contains("/scale") => server::refusal(404, "NotFound"),
            line if line.starts_with("PATCH") => server::refusal(422, "Invalid"),
            line if line.contains("/virtualkeys/one") && gone => server::refusal(404, "NotFound"),
            line if line.contains("/virtualkeys/one") => (200, key("one", &[OURS])),
            _ => list(&[key("one", &[OURS])], ""),
        }
    };
    let error = run(server::client(answer(false)).0, &[]).await.unwrap_err().to_string();
    assert_eq!(error, "VirtualKey a/one changes all the time; its finalizer is still there");
    run(server::client(answer(true)).0, &[]).await.unwrap();
}

#[tokio::test]
async fn without_the_crd_there_is_nothing_to_do() {
    let (client, _) = server::client(|_| server::refusal(404, "NotFound"));
    run(client, &[]).await.unwrap();
}

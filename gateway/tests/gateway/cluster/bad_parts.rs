//! Torn, edited, missing, older: whatever lies in the volume, the last good state goes on serving, and what is wrong is told.

use serde_json::json;
use turnpike_bundle::{layout, shard};
use turnpike_testkit::wait::eventually;

use super::{Operator, Pod, files, mocks};
use crate::stage::{CHAT, chat, setup, with};

#[tokio::test]
async fn a_bad_part_is_told_and_the_last_good_state_serves() {
    let mut pod = Pod::new(&mocks(&["one"])).await;
    let older = files(&shard(&mocks(&["older"]), None, 500));
    let conflict = files(&shard(&mocks(&["conflict"]), None, 1000));
    let good = files(&pod.operator.last.clone().unwrap());
    let with_part = |part: &str, bytes: &[u8]| {
        let mut files = good.clone();
        files.insert(part.to_owned(), bytes.to_vec());
        files
    };
    let torn = |part: &str| with_part(part, &good[part][..good[part].len() / 2]);
    let edited = |part: &str, from: &str, to: &str| {
        let text = String::from_utf8(good[part].clone()).unwrap();
        assert!(text.contains(from), "{text}");
        with_part(part, text.replace(from, to).as_bytes())
    };
    let cases = [
        ("a torn shard", torn("models-00"), "models-00", "torn or was edited"),
        ("a torn secret", torn("keys-00"), "keys-00", "torn or was edited"),
        ("an edited shard", edited("models-00", "\"one\"", "\"two\""), "models-00", "torn or was edited"),
        ("a torn manifest", torn("manifest"), "manifest", "not readable"),
        ("an edited manifest", edited("manifest", "1000", "2000"), "manifest", "torn or was edited"),
        ("a manifest of the future", edited("manifest", "\"format\":2", "\"format\":9"), "manifest", "format 9"),
        ("an older bundle", older, "manifest", "older than 1000"),
        ("another bundle of this version", conflict, "manifest", "another manifest of version 1000"),
        ("a big file of zeros", with_part("manifest", &vec![0; 1 << 20]), "manifest", "not readable"),
    ];
    let before = pod.report().await;
    for (what, files, part, reason) in cases {
        let failures = pod.gateway.metric("turnpike_config_reloads_total", "failure").await;
        pod.operator.bundle.publish(&files);
        let report = eventually(what, || async {
            let report = pod.report().await;
            report.rejections.iter().any(|it| it.part == part && it.reason.contains(reason)).then_some(report)
        })
        .await;
        assert_eq!((&report.hash, &report.shards), (&before.hash, &before.shards), "{what}: all is still loaded");
        let reply = pod.alice().post(CHAT, &with(chat(), "model", json!("one"))).await;
        assert_eq!(reply.status, 200, "{what}");
        let detail = pod.gateway.internal().get("/health/readiness").await;
        assert_eq!(detail.status, 200, "{what}: it takes no traffic away");
        assert_eq!(detail.json()["rejected"][0]["part"], part, "{what}");
        let failed = pod.gateway.metric("turnpike_config_reloads_total", "failure").await;
        assert!((failed - failures - 1.0).abs() < f64::EPSILON, "{what}: {failed} after {failures}");
        let told = |line: &str| line.contains("\"ERROR\"") && line.contains(part) && line.contains(reason);
        pod.gateway.process.wrote(what, told).await;
        pod.operator.bundle.publish(&good);
        eventually("it is mended", || async { pod.report().await.rejections.is_empty().then_some(()) }).await;
    }
    let next = pod.operator.publish(&mocks(&["one", "two"]));
    pod.has(&next).await;
}

#[tokio::test]
async fn what_is_missing_is_waited_for_without_a_fuss() {
    let mut pod = Pod::new(&mocks(&["one"])).await;
    let bundle = pod.operator.next(&mocks(&["one", "two"]));
    let whole = files(&bundle);
    let mut parts = whole.clone();
    parts.remove("models-00");
    for (what, files) in [("a shard", parts), ("everything", std::collections::BTreeMap::new())] {
        pod.operator.bundle.publish(&files);
        eventually(what, || async { (!pod.report().await.rejections.is_empty()).then_some(()) }).await;
        assert_eq!(pod.alice().post(CHAT, &with(chat(), "model", json!("one"))).await.status, 200, "{what}");
    }
    assert_eq!(pod.report().await.hash, None, "the new manifest is accepted, but not all of it is here");
    pod.operator.bundle.publish(&whole);
    pod.has(&bundle).await;
    assert_eq!(pod.alice().post(CHAT, &with(chat(), "model", json!("two"))).await.status, 200);
    assert!(!pod.gateway.process.output().contains("\"ERROR\""));
    let failed = pod.gateway.metric("turnpike_config_reloads_total", "failure").await;
    assert!(failed.abs() < f64::EPSILON, "{failed}");
}

#[tokio::test]
async fn a_new_pod_waits_until_a_bad_bundle_is_mended() {
    let process = setup().mounted().spawn();
    let mut operator = Operator::of(&process);
    let bundle = operator.next(&mocks(&["one"]));
    let mut files = files(&bundle);
    let good = files.insert("models-00".to_owned(), b"{}".to_vec()).unwrap();
    operator.bundle.publish(&files);
    process.wrote("the torn part", |line| line.contains("\"ERROR\"") && line.contains("models-00")).await;
    assert!(!process.output().contains("\nlistening on"));
    files.insert("models-00".to_owned(), good);
    assert!(files.contains_key(layout::MANIFEST));
    operator.bundle.publish(&files);
    let gateway = turnpike_testkit::Gateway::up(process).await;
    let reply = gateway.client().with_key(crate::stage::ALICE).post(CHAT, &with(chat(), "model", json!("one"))).await;
    assert_eq!(reply.status, 200);
}

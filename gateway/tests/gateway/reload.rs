//! Manifests change while traffic flows: live at once, nothing dropped, and a bad edit changes nothing.

use std::{
    os::unix::fs::symlink,
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use serde_json::json;
use tokio::time::Instant;
use turnpike_testkit::{Gateway, Script, manifest, spend::query_json, upstream::Gate, wait::eventually};

use crate::stage::{ALICE, CHAT, MODEL, Stage, chat, model, secret, setup, streamed, upstream, with};

/// How long until asking for `name` answers `status`.
async fn until(gateway: &Gateway, name: &str, status: u16) -> Duration {
    let started = Instant::now();
    let client = gateway.client().with_key(ALICE);
    eventually(&format!("{name} answers {status}"), || async {
        (client.post(CHAT, &with(chat(), "model", json!(name))).await.status == status).then_some(())
    })
    .await;
    started.elapsed()
}

#[tokio::test]
async fn adding_editing_and_deleting_are_live_within_200_ms() {
    let stage = Stage::new().await;
    let mut took = Vec::new();
    for round in 0..5 {
        let name = format!("added-{round}");
        stage.gateway.write("added.yaml", &manifest::mock(&name, "one").yaml());
        took.push(until(&stage.gateway, &name, 200).await);
        let started = Instant::now();
        stage.gateway.write("added.yaml", &manifest::mock(&name, "two").yaml());
        eventually("the edit is live", || async {
            let reply = stage.alice().post(CHAT, &with(chat(), "model", json!(name))).await;
            (reply.json()["choices"][0]["message"]["content"] == "two").then_some(())
        })
        .await;
        took.push(started.elapsed());
        std::fs::remove_file(stage.gateway.process.manifests().join("added.yaml")).unwrap();
        took.push(until(&stage.gateway, &name, 404).await);
    }
    took.sort_unstable();
    // The median: a machine that is busy with other tests may be late now and then.
    assert!(took[took.len() / 2] < Duration::from_millis(200), "{took:?}");
}

#[tokio::test]
async fn how_long_a_request_may_take_is_told_the_database_for_the_case_that_the_gateway_is_lost() {
    let stage = Stage::new().await;
    let longest = async |seconds: u64| {
        let sql = "select json(max(longest) / 1000000) from ledger_holder where not ended";
        eventually(&format!("{seconds} s"), || async {
            (query_json(&stage.gateway.database(), sql).await? == seconds).then_some(())
        })
        .await;
    };
    longest(600).await;
    let slow = |total: &str| manifest::mock("slow", "Hi").with("timeouts", json!({"total": total})).yaml();
    stage.gateway.write("slow.yaml", &slow("20m"));
    longest(1200).await;
    // Who came before the next change may still take as long.
    stage.gateway.write("slow.yaml", &slow("5m"));
    stage.gateway.write("later.yaml", &manifest::mock("later", "Hi").with("timeouts", json!({"total": "21m"})).yaml());
    longest(1260).await;
}

#[tokio::test]
async fn writing_in_place_is_seen_as_well() {
    let stage = Stage::new().await;
    let path = stage.gateway.process.manifests().join("inplace.yaml");
    std::fs::write(&path, manifest::mock("inplace", "one").yaml()).unwrap();
    until(&stage.gateway, "inplace", 200).await;
    std::fs::write(&path, manifest::mock("renamed", "one").yaml()).unwrap();
    until(&stage.gateway, "renamed", 200).await;
    until(&stage.gateway, "inplace", 404).await;
}

#[tokio::test]
async fn no_request_is_dropped_by_thirty_reloads() {
    let stage = Stage::new().await;
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let load = async {
        let alice = stage.alice();
        let mut connection = alice.connect().await;
        while !stop.load(Ordering::Relaxed) {
            for body in [chat(), streamed()] {
                let reply = connection.send(alice.json(CHAT, &body, &[])).await.unwrap();
                assert!(reply.status == 200 && reply.complete, "{reply:?}");
                served.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let edits = async {
        for round in 0..30 {
            let name = format!("round-{round}");
            let changed = model(MODEL, &stage.upstream).with("provider.params", json!({"defaults": {"seed": round}}));
            stage.gateway.write(
                "objects-0.yaml",
                &manifest::documents(&[changed, secret(), manifest::key("alice", ALICE), manifest::mock(&name, "x")]),
            );
            until(&stage.gateway, &name, 200).await;
        }
        stop.store(true, Ordering::Relaxed);
    };
    futures_util::future::join(load, edits).await;
    assert!(served.load(Ordering::Relaxed) > 30);
    stage.still_serves().await;
}

#[tokio::test]
async fn a_request_under_way_keeps_what_it_began_with() {
    let stage = Stage::new().await;
    let gate = Gate::default();
    gate.open(1);
    stage.upstream.next(Script::pieces(3).paced(&gate));
    let streaming = stage.alice().stream(CHAT, &streamed()).await;
    // The model and even the key are gone; the stream is not.
    std::fs::remove_file(stage.gateway.process.manifests().join("objects-0.yaml")).unwrap();
    until(&stage.gateway, MODEL, 401).await;
    gate.open(10);
    let rest = streaming.rest().await;
    assert!(rest.clean);
    assert_eq!(rest.events.last().unwrap().data, "[DONE]");
}

#[tokio::test]
async fn new_credentials_and_keys_are_used_at_once() {
    let stage = Stage::new().await;
    let objects = [
        model(MODEL, &stage.upstream),
        manifest::secret("upstream", "api-key", "sk-wrong-now"),
        manifest::key("alice", ALICE),
    ];
    stage.gateway.write("objects-0.yaml", &manifest::documents(&objects));
    until(&stage.gateway, MODEL, 502).await;
    let objects = [model(MODEL, &stage.upstream), secret(), manifest::key("alice", ALICE).with("suspended", true)];
    stage.gateway.write("objects-0.yaml", &manifest::documents(&objects));
    until(&stage.gateway, MODEL, 401).await;
    let objects = [model(MODEL, &stage.upstream), secret(), manifest::key("alice", ALICE)];
    stage.gateway.write("objects-0.yaml", &manifest::documents(&objects));
    until(&stage.gateway, MODEL, 200).await;
}

#[tokio::test]
async fn a_bad_edit_is_reported_and_the_last_good_state_serves() {
    let stage = Stage::new().await;
    let good = manifest::documents(&[model(MODEL, &stage.upstream), secret(), manifest::key("alice", ALICE)]);
    let unparsable = format!("{good}\n---\nkind: [unclosed");
    let exclusive =
        format!("{good}\n---\n{}", manifest::mock("both", "x").with("provider", json!({"type": "OpenAI"})).yaml());
    let unknown = format!("{good}\n---\n{}", manifest::mock("unknown", "x").with("noSuchField", 1).yaml());
    for (what, bad, names) in [
        ("not yaml", unparsable, "objects-0.yaml"),
        ("two backends", exclusive, "both"),
        ("an unknown field", unknown, "unknown"),
    ] {
        stage.gateway.write("objects-0.yaml", &bad);
        let detail = eventually(what, || async {
            let detail = stage.gateway.internal().get("/health/readiness").await;
            detail.text().contains(names).then_some(detail)
        })
        .await;
        assert_eq!(detail.status, 200, "a bad edit takes no traffic away: {detail:?}");
        let problems = stage.gateway.metric("turnpike_config_problems", "").await
            + stage.gateway.metric("turnpike_config_reloads_total", "failure").await;
        assert!(problems > 0.0, "{what}");
        let reported = |line: &str| line.contains("\"ERROR\"") && line.contains(names);
        stage.gateway.process.wrote(what, reported).await;
        assert_eq!(stage.alice().post(CHAT, &chat()).await.status, 200, "{what}");
        stage.gateway.write("objects-0.yaml", &good);
        eventually("the report is gone", || async {
            let detail = stage.gateway.internal().get("/health/readiness").await.text();
            (!detail.contains(names)).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn one_bad_object_does_not_touch_its_neighbours() {
    let stage = Stage::new().await;
    let bad = manifest::model("bad", "not a url");
    stage.gateway.write("more.yaml", &manifest::documents(&[bad, manifest::mock("good", "x")]));
    until(&stage.gateway, "good", 200).await;
    assert_eq!(stage.alice().post(CHAT, &with(chat(), "model", json!("bad"))).await.status, 404);
    assert_eq!(stage.alice().post(CHAT, &chat()).await.status, 200);
}

/// Publishes `content` as the kubelet does: a new timestamped folder, then one rename of the `..data` link.
fn publish(folder: &Path, version: &str, content: &str) {
    let data = folder.join(version);
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("objects.yaml"), content).unwrap();
    let fresh = folder.join("..data_tmp");
    symlink(version, &fresh).unwrap();
    std::fs::rename(fresh, folder.join("..data")).unwrap();
    let visible = folder.join("objects.yaml");
    if !visible.exists() {
        symlink("..data/objects.yaml", visible).unwrap();
    }
}

#[tokio::test]
async fn the_kubelet_s_way_of_swapping_a_folder_is_followed() {
    let upstream = upstream().await;
    let gateway = setup().start().await;
    let folder = gateway.process.manifests();
    let objects = |name: &str| manifest::documents(&[manifest::mock(name, "x"), manifest::key("alice", ALICE)]);
    publish(&folder, "..2026_01_01", &objects("first"));
    until(&gateway, "first", 200).await;
    let listed = gateway.client().with_key(ALICE).get("/v1/models").await.json();
    assert_eq!(
        listed["data"].as_array().unwrap().len(),
        1,
        "each object once, though it is seen by two paths: {listed}"
    );
    let mut took = Vec::new();
    for (version, name) in [("..2026_01_02", "second"), ("..2026_01_03", "third"), ("..2026_01_04", "fourth")] {
        publish(&folder, version, &objects(name));
        took.push(until(&gateway, name, 200).await);
    }
    std::fs::remove_dir_all(folder.join("..2026_01_01")).unwrap();
    until(&gateway, "first", 404).await;
    until(&gateway, "fourth", 200).await;
    took.sort_unstable();
    assert!(took[1] < Duration::from_millis(200), "{took:?}");
    drop(upstream);
}

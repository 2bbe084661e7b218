//! The write-ahead files: what they survive, and what becomes of those of ended runs.

use std::{fs, path::PathBuf};

use serde_json::json;
use turnpike_testkit::{Gateway, Script, spend::rows, upstream::Gate, wait::eventually};

use crate::stage::{ALICE, CHAT, Stage, streamed};

/// Bytes before the first record of a segment.
const HEADER: usize = 23;

/// The segments of all runs.
fn segments(gateway: &Gateway) -> Vec<PathBuf> {
    let files = |folder: PathBuf| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let all = files(gateway.process.data().join("wal")).flat_map(files);
    all.filter(|path| path.extension().is_some_and(|extension| extension == "wal")).collect()
}

/// A stage whose only request is under way, and stays so.
async fn under_way(arguments: &[&str]) -> (Stage, Gate, turnpike_testkit::client::Streaming) {
    let stage = Stage::with(|setup, _| arguments.iter().fold(setup, |setup, argument| setup.arg(argument))).await;
    let gate = Gate::default();
    gate.open(2);
    stage.upstream.next(Script::pieces(10).paced(&gate));
    let mut streaming = stage.alice().stream(CHAT, &streamed()).await;
    assert!(streaming.event().await.unwrap().is_some());
    (stage, gate, streaming)
}

#[tokio::test]
async fn a_record_can_be_made_to_survive_a_loss_of_power() {
    for (arguments, sync) in [(&[][..], 0), (&["--wal-sync", "group"][..], 1)] {
        let (stage, gate, streaming) = under_way(arguments).await;
        let segment = segments(&stage.gateway).remove(0);
        let bytes = fs::read(&segment).unwrap();
        assert!(bytes.len() > HEADER, "it was recorded before it was sent");
        // What whoever reads it after a loss of power goes by.
        assert_eq!(bytes[6], sync, "{arguments:?}");
        gate.open(100);
        streaming.rest().await;
        let row = rows(&stage.gateway.database(), ("spend", "sequence"), &["outcome"], 1).await.remove(0);
        assert_eq!(row["outcome"], json!("success"), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_run_of_an_unknown_format_is_left_and_told_once_and_those_after_it_are_booked() {
    let (stage, _gate, streaming) = under_way(&[]).await;
    let mut gateway = stage.gateway;
    gateway.process.signal("KILL");
    gateway.process.exit().await;
    drop(streaming);
    // Of another version, and the first in their order.
    let unknown = gateway.process.data().join("wal/00000000-0000-4000-8000-000000000001");
    fs::create_dir(&unknown).unwrap();
    fs::write(unknown.join("lock"), "").unwrap();
    fs::write(unknown.join("0-0.wal"), [&b"TPWAL\xff\0"[..], &[0; 100]].concat()).unwrap();

    let gateway = gateway.restart().await;
    let row = rows(&gateway.database(), ("spend", "sequence"), &["outcome"], 1).await.remove(0);
    assert_eq!(row["outcome"], json!("crashed"));
    gateway.metric_is("turnpike_wal_unreadable_runs", "", 1.0).await;
    let told = |output: &str| output.matches("cannot be read by this version").count();
    gateway.process.wrote("the unknown format", |output| told(output) > 0).await;
    assert_eq!(told(&gateway.process.output()), 1);
    assert!(unknown.join("0-0.wal").exists(), "whoever knows the format can still read it");
    let client = gateway.client().with_key(ALICE);
    stage.upstream.next(Script::chat("Hi"));
    assert_eq!(client.post(CHAT, &crate::stage::chat()).await.status, 200);
}

#[tokio::test]
async fn what_another_run_leaves_after_the_start_is_booked_too() {
    let (stage, _gate, streaming) = under_way(&[]).await;
    let mut gateway = stage.gateway;
    gateway.process.signal("KILL");
    gateway.process.exit().await;
    drop(streaming);
    // A pod that ends beside its successor lets go of its files while that one runs.
    let files = fs::read_dir(gateway.process.data().join("wal")).unwrap().next().unwrap().unwrap().path();
    let aside = gateway.process.data().join("aside");
    fs::rename(&files, &aside).unwrap();
    let gateway = gateway.restart().await;
    fs::rename(&aside, &files).unwrap();
    let row = rows(&gateway.database(), ("spend", "sequence"), &["outcome"], 1).await.remove(0);
    assert_eq!(row["outcome"], json!("crashed"));
    eventually("the files are gone", async || (!files.exists()).then_some(())).await;
}

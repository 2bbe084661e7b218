//! The write-ahead files, seen from outside.

use std::{fs, path::PathBuf};

use serde_json::json;
use turnpike_testkit::{Gateway, Script, spend::rows, upstream::Gate};

use crate::stage::{CHAT, Stage, streamed};

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

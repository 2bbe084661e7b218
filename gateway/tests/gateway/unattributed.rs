//! What a gateway leaves that is lost with its disk, and how an admin takes it back.

use std::process::{Command, Output};

use serde_json::json;
use turnpike_ledger::store::{LeaseStore, PostgresStore, SqliteStore};
use turnpike_testkit::{
    Script, manifest, postgres,
    spend::{change, postgres_change},
    upstream::Gate,
};

use crate::stage::{CHAT, Stage, streamed};

const KEY: &str = "sk-lost-0123456789abcdef";
/// As if all that hold leases had been silent for a day.
const SILENCE: &str = "UPDATE ledger_holder SET heard = heard - 86400000000";

fn command(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_turnpike-gateway")).arg("unattributed").args(arguments).output().unwrap()
}

fn listed(arguments: &[&str]) -> String {
    let output = command(arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A gateway whose disk is lost while a request is under way; returned with its database, whose holders are silent.
async fn lost(database: Option<&str>) -> Stage {
    let price = json!({"inputPerMillion": "1.00", "outputPerMillion": "1.00"});
    let limited = manifest::key("lost", KEY).with("budget", json!([{"window": "Month", "usd": "1.00"}]));
    let mut stage = Stage::with_model(
        |model| model.with("price", price),
        |setup, _| {
            let setup = setup.manifests(&[limited]);
            database.into_iter().fold(setup, |setup, url| setup.arg("--database-url").arg(url))
        },
    )
    .await;
    let gate = Gate::default();
    gate.open(2);
    stage.upstream.next(Script::pieces(10).paced(&gate));
    let mut streaming = stage.gateway.client().with_key(KEY).stream(CHAT, &streamed()).await;
    assert!(streaming.event().await.unwrap().is_some());
    stage.gateway.process.signal("KILL");
    stage.gateway.process.exit().await;
    std::fs::remove_dir_all(stage.gateway.process.data().join("wal")).unwrap();
    stage
}

/// Lists, voids, and lists again.
fn voided(arguments: &[&str]) {
    let before = listed(arguments);
    assert!(before.contains(" USD  VirtualKey/default/lost/usd/Month/"), "{before}");
    let run = before.split(' ').next().unwrap();
    let nothing = command(&[arguments, &["--void", "00000000-0000-4000-8000-000000000001"]].concat());
    assert!(!nothing.status.success());
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("nothing is unattributed of run 0"), "{nothing:?}");
    let done = listed(&[arguments, &["--void", run]].concat());
    assert_eq!(done, before, "what was taken back is told as it was listed");
    assert_eq!(listed(arguments), "");
}

#[tokio::test]
async fn in_sqlite() {
    let stage = lost(None).await;
    let file = stage.gateway.database();
    change(&file, SILENCE).await;
    assert_eq!(SqliteStore::open(&file).await.unwrap().reap().await.unwrap(), 1);
    let data = stage.gateway.process.data();
    voided(&["--data", data.to_str().unwrap()]);
    let elsewhere = command(&["--data", "/nowhere"]);
    assert!(!elsewhere.status.success());
    assert!(
        String::from_utf8_lossy(&elsewhere.stderr).contains("there is no spend database /nowhere"),
        "{elsewhere:?}"
    );
}

#[tokio::test]
async fn in_postgresql() {
    let url = postgres::database().await;
    let _stage = lost(Some(&url)).await;
    postgres_change(&url, SILENCE).await;
    assert_eq!(PostgresStore::open(&url).await.unwrap().reap().await.unwrap(), 1);
    voided(&["--database-url", &url]);
}

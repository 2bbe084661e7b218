//! docs/metrics.md says what `/metrics` says.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use http::StatusCode;
use turnpike_bundle::entry::{KeyEntry, KeyLimits, ObjectRef, PerModelLimit};
use turnpike_gateway::{
    metrics::Metrics,
    record::{CacheUse, End, Record},
};
use turnpike_ledger::account::{Owner, OwnerKind};
use turnpike_llm::error::ErrorClass;

use crate::finished::{key, model, served, snapshot};

/// One of everything, so that every metric has a series.
fn rendered() -> String {
    let limit = PerModelLimit { model: "gpt".to_owned(), rpm: Some(1), tpm: Some(2) };
    let limits = KeyLimits { per_model: vec![limit], ..KeyLimits::default() };
    let snapshot = snapshot(vec![model("gpt")], vec![KeyEntry { limits, ..key("a") }]);
    let metrics = Metrics::new().unwrap();
    let ok = served(&snapshot, "a", "gpt");
    for cache in [CacheUse::Miss, CacheUse::Hit] {
        metrics.observe(&Record { cache, ..ok.clone() });
    }
    let end = End::Upstream(ErrorClass::ServerError);
    metrics.observe(&Record { end, status: StatusCode::BAD_GATEWAY, ..ok });
    metrics.config_loaded(&snapshot, 0, 0);
    let owner = Owner { kind: OwnerKind::ModelDeployment, namespace: "ns".into(), name: "gpt".into() };
    metrics.poll_queues(move || vec![(owner.clone(), 1)]);
    let object = ObjectRef { namespace: "ns".into(), name: "gpt".into() };
    snapshot.models[0].live.has_left([Some(1), Some(2)]);
    metrics.poll_rates(|account| account.limit);
    metrics.poll_engines(move || vec![(object.clone(), [2, 1])]);
    metrics.render()
}

/// Labels of a sample: `name{a="x",b="y"} 1`.
fn labels(sample: &str) -> String {
    let Some((_, rest)) = sample.split_once('{') else { return String::new() };
    let names = rest.split("\",").filter_map(|pair| pair.split_once("=\"")).map(|(name, _)| name);
    names.filter(|name| *name != "le").map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The table of all metrics, made from the text format alone.
fn table(text: &str) -> String {
    let (mut help, mut kind) = (BTreeMap::new(), BTreeMap::new());
    let mut rows = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, words)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            help.insert(name, words);
        } else if let Some((name, word)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            kind.insert(name, word);
        } else {
            let sample = line.split(['{', ' ']).next().unwrap();
            let name = if kind.contains_key(sample) { sample } else { sample.rsplit_once('_').unwrap().0 };
            rows.entry(name).or_insert_with(|| labels(line));
        }
    }
    assert_eq!(rows.len(), kind.len());
    let mut out = String::from("| name | type | labels | meaning |\n|---|---|---|---|\n");
    for (name, labels) in rows {
        writeln!(out, "| `{name}` | {} | {labels} | {} |", kind[name], help[name]).unwrap();
    }
    out
}

#[test]
fn the_table_in_the_docs_is_what_the_gateway_serves() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let docs = fs::read_to_string(&path).unwrap();
    let expected = table(&rendered());
    if !docs.contains(&expected) {
        let written = Path::new(env!("CARGO_TARGET_TMPDIR")).join("metrics-table.md");
        fs::write(&written, &expected).unwrap();
        assert_eq!(docs, expected, "put the table of {} into docs/metrics.md", written.display());
    }
}

//! Whose a manifest is; whether gateways would take it; when changes are at rest.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, advance, sleep},
};
use turnpike_bundle::{Contents, Manifest, Report, shard};
use turnpike_operator::{
    gateways::{Gateway, Gateways},
    publish::{
        format::ahead,
        settle::{LONGEST, QUIET, settle},
        verdict::{Foreign, Verdict, judge},
    },
};

fn manifest(version: u64) -> Manifest {
    shard(&Contents::default(), None, version).manifest
}

#[test]
fn only_a_newer_manifest_of_nobody_known_ends_the_process() {
    let ours = manifest(1000);
    let (older, newer) = (manifest(900), manifest(1100));
    let judged = |found: Option<&Manifest>, tried: &[&Manifest]| {
        let tried: BTreeSet<String> = tried.iter().map(|manifest| manifest.hash.clone()).collect();
        judge(found.map(Manifest::to_bytes).as_deref(), Some(&ours), &tried)
    };
    assert_eq!(judged(Some(&ours), &[]), Verdict::Ours);
    assert_eq!(judged(None, &[]), Verdict::Damaged);
    assert_eq!(judged(Some(&older), &[]), Verdict::Damaged, "somebody put an old one back");
    assert_eq!(judged(Some(&newer), &[]), Verdict::Foreign(Foreign { found: 1100, ours: 1000 }));
    assert_eq!(judged(Some(&newer), &[&newer]), Verdict::Arrived, "our own write, whose answer was lost");
    assert_eq!(judge(Some(b"{}"), Some(&ours), &BTreeSet::new()), Verdict::Damaged);
    let nothing = judge(Some(&newer.to_bytes()), None, &BTreeSet::new());
    assert_eq!(nothing, Verdict::Foreign(Foreign { found: 1100, ours: 0 }));
}

#[test]
fn gateways_that_hold_a_later_bundle_are_overtaken_unless_nobody_can_have_written_it() {
    let gateway = |running: bool, version: u64| Gateway {
        running,
        report: Some(Arc::new(Report { version, ..Report::default() })),
        ..Gateway::default()
    };
    let gateways = Gateways::from([
        ("same".to_owned(), gateway(true, 1000)),
        ("later".to_owned(), gateway(true, 1100)),
        ("gone".to_owned(), gateway(false, 1200)),
        ("absurd".to_owned(), gateway(true, 9000)),
    ]);
    assert_eq!(ahead(&gateways, 1000, 5000), Some(1100));
    assert_eq!(ahead(&gateways, 1100, 5000), None);
    assert_eq!(ahead(&gateways, 1000, 9000), Some(9000));
    assert_eq!(ahead(&Gateways::new(), 0, 5000), None);
}

/// How long it takes to settle when a change comes every `every` after the first, `count` times.
async fn settled_after(every: Duration, count: u32) -> Duration {
    let (sender, mut receiver) = watch::channel(0);
    let first = Instant::now();
    let changes = async {
        for change in 0..count {
            sleep(every).await;
            sender.send_replace(change);
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = settle(&mut receiver, first) => first.elapsed(),
        () = changes => unreachable!("it never ends"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_of_changes_is_published_once_and_soon() {
    assert_eq!(settled_after(QUIET, 0).await, QUIET);
    assert_eq!(settled_after(QUIET / 2, 3).await, QUIET / 2 * 3 + QUIET);
    assert_eq!(settled_after(QUIET / 2, 1000).await, LONGEST);
    // Whoever has waited already waits no longer.
    let (_sender, mut receiver) = watch::channel(0);
    let first = Instant::now();
    advance(LONGEST).await;
    settle(&mut receiver, first).await;
    assert_eq!(first.elapsed(), LONGEST);
}
